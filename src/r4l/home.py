# SPDX-License-Identifier: MIT
"""The home: the one folder for everything that r4l makes, and the rules for writing to it.

Files are written under a temporary name and renamed when complete, so that an interrupt never leaves a partial file
under its final name. Processes share the home through file locks.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import platformdirs
from filelock import FileLock, Timeout

from r4l.errors import NO_SPACE, EnvironmentFault, disk_full
from r4l.paths import require_for_make
from r4l.shortage import DISK_FULL, full_disk
from r4l.walk import walk

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of flock(2) on network file systems without a lock service (nfs(5), `local_lock`)."""
TAG = "CACHEDIR.TAG"
TAG_TEXT = """\
Signature: 8a477f597d28d172789f06886806bc55
# This folder was made by r4l. Backup programs leave it out (https://bford.info/cachedir/), and `r4l clean` may remove
# what nothing uses.
"""
"""Mark of a home. Programs that know the signature take the folder for a cache."""
FIRST = frozenset({"venv", "logs", "locks"})
"""Names of what the launcher makes in a home before this program runs."""
_looked_at: set[Path] = set()
"""Homes that this process has looked at."""
WORD_AFTER = 3.0
"""Seconds of waiting for another process before a message is printed."""


def home() -> Path:
    """Return the home, `$R4L_HOME` or `r4l` in the user's XDG cache, creating it if missing.

    Raises:
        EnvironmentFault: the folder cannot be created, or the user has no home folder.
        UsageError: the path contains characters that the kernel's Makefiles cannot handle.
    """
    named = os.environ.get("R4L_HOME")
    path = Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("r4l"))
    if not path.is_absolute():
        # An unresolved `~` would become a folder of that name.
        raise EnvironmentFault("this user has no home folder", "set HOME, or R4L_HOME to a folder you can write to")
    require_for_make(path, "set R4L_HOME to another folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        if path not in _looked_at:
            _looked_at.add(path)
            _mark_new(path)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot make the home folder {path}: {error.strerror}", "set R4L_HOME to a folder you can write to"
        ) from error
    return path


def _mark_new(path: Path) -> None:
    """Mark a home that was empty before r4l, so that files which others put there later do not make it theirs."""
    # Without it the home is as good: on a disk that is read-only or full, the first file of use tells that.
    with suppress(OSError, EnvironmentFault):
        names = {one.name for one in path.iterdir()}
        if not names or "venv" in names <= FIRST:
            mark(path)


def mark(path: Path) -> None:
    """Mark a folder as a home, in which no file is anybody else's."""
    replace_text(path / TAG, TAG_TEXT)


def is_marked(path: Path) -> bool:
    """Return True if a folder was marked as a home."""
    try:
        return (path / TAG).read_text(encoding="utf-8", errors="replace") == TAG_TEXT
    except OSError:
        return False


def room(*names: str) -> Path:
    """Return a folder in the home, creating it if missing."""
    path = home().joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


def content_key(*parts: bytes | str | Path) -> str:
    """Return a short hash of the parts as key of a cache entry; a `Path` counts by its file's content."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.read_bytes() if isinstance(part, Path) else part
        # Paths may contain bytes that are not UTF-8.
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]


class Lock(FileLock):
    """A file lock that prints a message on a terminal when it has to wait."""

    def __enter__(self) -> Self:
        """Acquire the lock.

        Raises:
            EnvironmentFault: the file system has no locks, as NFS without its lock service.
        """
        try:
            try:
                self.acquire(timeout=WORD_AFTER)
            except Timeout:
                if sys.stderr.isatty():
                    print(f"r4l: waiting for another r4l, which works on {Path(self.lock_file).stem}", file=sys.stderr)
                self.acquire()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            raise EnvironmentFault(
                f"files in {Path(self.lock_file).parent} cannot be locked: {error.strerror}",
                "set R4L_HOME to a folder on a local disk; on NFS, start its lock service, or mount it with "
                "local_lock=flock",
            ) from error
        return self


def lock(name: str) -> Lock:
    """Return the lock of that name, a context manager. The system releases it when its holder dies."""
    return Lock(room("locks") / f"{name}.lock")


def temporary(final: Path) -> Path:
    """Return a name beside `final` to write to before `publish`, after removing leftovers of dead processes.

    The caller holds the entry's lock, so every leftover belongs to a dead process.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for leftover in final.parent.glob(f".{final.name}.partial-*"):
        remove(leftover)
    return final.parent / f".{final.name}.partial-{os.getpid()}"


def replace_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 by renaming, as `replace_bytes`. Surrogates stand for other bytes (PEP 383)."""
    replace_bytes(path, text.encode(errors="surrogateescape"))


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a file by renaming.

    A link or folder of that name is replaced and not followed: in a folder that a build writes to, it may lead
    anywhere.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    remove(partial)
    with partial.open("xb") as file:
        file.write(data)
    publish(partial, path)


def publish(partial: Path, final: Path) -> None:
    """Rename a complete file or folder to its final name, so that no reader sees a part of it, not even after the
    machine has lost its power: the new name may reach the disk before what was written."""
    if final.is_dir() and not final.is_symlink():
        remove(final)
    _save(partial)
    partial.replace(final)


def record(path: Path) -> Any:
    """Return the JSON of a file of r4l's own; None if the file is missing, or has no JSON, as after a failure of the
    disk: whatever r4l notes can be found out once more."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _save(path: Path) -> None:
    """Wait until a file, or all files of a folder, are on the disk (fsync(2), syncfs(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Some file systems have no fsync; what cannot be written for another reason is told by the next write.
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            ctypes.CDLL(None).syncfs(descriptor)
        else:
            with suppress(OSError):
                os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or folder that r4l made, however deep. File systems mounted in it are never touched.

    Raises:
        EnvironmentFault: a file system is mounted in the folder.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    mounted = mounts_below(path)
    if mounted:
        raise EnvironmentFault(f"{mounted[-1]} is mounted inside {path}", f"umount {mounted[-1]}")
    # Read-only folders, as in a toolchain's tree, cannot be emptied by their owner.
    for step in walk(path, force=True):
        # Another process may remove it, too.
        with suppress(FileNotFoundError):
            if step.left:
                os.rmdir(step.left, dir_fd=step.folder)
        for entry in step.entries:
            if not entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=step.folder)
    with suppress(FileNotFoundError):
        path.rmdir()


def mounts_below(path: Path) -> list[Path]:
    """Return the mount points at or below a path (proc_pid_mountinfo(5), field 5, with octal escapes)."""
    # Mount points may contain bytes that are not UTF-8. str.splitlines would split at other characters too.
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]
    points = [Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4])) for line in lines]
    return [point for point in points if point.is_relative_to(path.resolve())]


@dataclass
class _Disk:
    """A disk that stages of this process write to: free space before the first stage, and the claims of all."""

    free: int
    claims: list[tuple[str, int]] = field(default_factory=list)


_disks: dict[int, _Disk] = {}
_claiming = threading.Lock()


@contextmanager
def space(folder: Path, mebibytes: int, what: str) -> Iterator[None]:
    """Claim disk space for the duration of the context. Claims of stages in other threads are respected.

    Args:
        folder: any folder on the disk.
        mebibytes: MiB needed.
        what: subject of the error message.

    Raises:
        EnvironmentFault: fewer than `mebibytes` MiB are free beyond the present claims.
    """
    device = folder.stat().st_dev
    claim = (what, mebibytes)
    with _claiming:
        disk = _disks.setdefault(device, _Disk(0))
        if not disk.claims:
            disk.free = _free(folder)
        # Space that other stages have written by now is no longer free, and is part of their claims.
        left = min(_free(folder), disk.free - sum(claimed for _, claimed in disk.claims))
        _require(left, folder, mebibytes, what, [other for other, _ in disk.claims])
        disk.claims.append(claim)
    try:
        yield
    finally:
        with _claiming:
            disk.claims.remove(claim)
            disk.free -= mebibytes


def require_space(folder: Path, mebibytes: int, what: str) -> None:
    """Check that a disk has enough free space.

    Raises:
        EnvironmentFault: fewer than `mebibytes` MiB are free beyond the claims made by `space`.
    """
    with space(folder, mebibytes, what):
        pass


def _free(folder: Path) -> int:
    """Return the free MiB of the disk of a folder."""
    return shutil.disk_usage(folder).free // 2**20


def _require(free: int, folder: Path, mebibytes: int, what: str, others: Sequence[str]) -> None:
    if free < mebibytes:
        beside = f" besides {' and '.join(others)}, which is being made," if others else ""
        raise EnvironmentFault(
            f"{what} needs {mebibytes} MiB, but only {max(0, free)} MiB are free{beside} under {folder}",
            "free some space (`r4l clean`), or set R4L_HOME to a folder on a larger disk",
        )


@contextmanager
def no_full_disk() -> Iterator[None]:
    """Turn the system's error for a full disk, or for an exceeded quota, into r4l's.

    Raises:
        EnvironmentFault: there is no space left.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise disk_full(str(error)) from error


def settle_times(folder: Path) -> None:
    """Give the present time to the files of a folder that are newer than now.

    A clock that was set back leaves such files, and make takes them for newer than sources that are changed afterwards.
    Folders that a build has closed to their owner are opened.
    """
    now = time.time_ns()
    for step in walk(folder, force=True):
        for entry in step.entries:
            # A build that runs may remove it.
            with suppress(FileNotFoundError):
                if not entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime_ns > now:
                    os.utime(entry.name, ns=(now, now), dir_fd=step.folder, follow_symlinks=False)


def copy(source: Path, target: Path, *options: str) -> None:
    """Copy a file or folder with cp(1), by default with all attributes.

    Raises:
        EnvironmentFault: the disk is full, or a file cannot be read.
    """
    argv = ["cp", *(options or ("-a", "--reflink=auto")), "--", str(source), str(target)]
    done = subprocess.run(argv, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode == 0:
        return
    said = done.stderr[:4096].decode(errors="replace")
    # The message also has names of files, which may be a stranger's.
    if DISK_FULL.search(said) and full_disk([target.parent]):
        raise disk_full(said)
    raise EnvironmentFault(f"cannot copy {source}", "see cp's message below", detail=said)


def disk_usage(folder: Path) -> int:
    """Return the bytes that a folder occupies on the disk; 0 if it does not exist."""
    done = subprocess.run(["du", "-sk", str(folder)], capture_output=True, text=True, check=False, encoding="utf-8")
    return int(done.stdout.split()[0]) * 1024 if done.stdout else 0
