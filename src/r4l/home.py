# SPDX-License-Identifier: MIT
"""The one folder under which everything that r4l makes lies, and the rules for writing there.

Whatever is made is written under a temporary name and renamed when it is whole, so an interrupt at any
moment leaves nothing half-made that is taken for whole; two processes share the home through file locks.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import platformdirs
from filelock import FileLock, Timeout

from r4l.errors import EnvironmentFault
from r4l.paths import require_for_make

WORD_AFTER = 3.0
"""Seconds to wait for another process without a word."""


def home() -> Path:
    """The home: `$R4L_HOME`, or `r4l` in the user's XDG cache. Made if missing."""
    named = os.environ.get("R4L_HOME")
    path = Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("r4l"))
    if not path.is_absolute():
        # A `~` that nothing is known to stand for; it would become a folder of that name.
        raise EnvironmentFault("this user has no home folder", "set HOME, or R4L_HOME to a folder you can write to")
    require_for_make(path, "set R4L_HOME to another folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot make the home folder {path}: {error.strerror}", "set R4L_HOME to a folder you can write to"
        ) from error
    return path


def room(*names: str) -> Path:
    """A folder under the home, made if missing."""
    path = home().joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


def content_key(*parts: bytes | str | Path) -> str:
    """A short key for a cache entry: hash of the parts, where a `Path` counts by its file's content."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.read_bytes() if isinstance(part, Path) else part
        # Paths may hold bytes that are no text.
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]


class Lock(FileLock):
    """A lock that says on a terminal when it has to be waited for."""

    def __enter__(self) -> Self:
        """Acquire it."""
        try:
            self.acquire(timeout=WORD_AFTER)
        except Timeout:
            if sys.stderr.isatty():
                print(f"r4l: waiting for another r4l, which works on {Path(self.lock_file).stem}", file=sys.stderr)
            self.acquire()
        return self


def lock(name: str) -> Lock:
    """The lock of that name, as a context manager; freed by the system when its holder dies."""
    return Lock(room("locks") / f"{name}.lock")


def temporary(final: Path) -> Path:
    """A name beside `final` to write to before `publish`; what a dead process left there is removed.

    To be called with the entry's lock held, which makes every leftover the work of a dead process.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for leftover in final.parent.glob(f".{final.name}.partial-*"):
        remove(leftover)
    return final.parent / f".{final.name}.partial-{os.getpid()}"


def replace_text(path: Path, text: str) -> None:
    """Write a file anew. A link of that name is replaced: in a folder that a build writes to, it may lead anywhere."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.unlink(missing_ok=True)
    with partial.open("x", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def publish(partial: Path, final: Path) -> None:
    """Give what is whole its name: one rename, so that nobody ever sees half of it."""
    if final.is_dir() and not final.is_symlink():
        remove(final)
    partial.rename(final)


def remove(path: Path) -> None:
    """Remove a file or a folder that r4l made; never what is mounted in it.

    Raises:
        EnvironmentFault: something is mounted there.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    mounted = mounts_below(path)
    if mounted:
        raise EnvironmentFault(f"{mounted[-1]} is mounted inside {path}", f"umount {mounted[-1]}")
    shutil.rmtree(path, onerror=_make_writable_and_retry)


def mounts_below(path: Path) -> list[Path]:
    """Mount points at or below a path (proc_pid_mountinfo(5), field 5, with octal escapes)."""
    # Names of others' mounts may be no text. Only a line's end ends a line here.
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]
    points = [Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[4])) for line in lines]
    return [point for point in points if point.is_relative_to(path.resolve())]


def _make_writable_and_retry(function: object, name: str, _info: object) -> None:
    """Folders without write permission (a toolchain tree has some) keep their owner from emptying them."""
    path = Path(name)
    path.parent.chmod(0o700)
    if path.is_dir() and not path.is_symlink():
        path.chmod(0o700)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@dataclass
class _Disk:
    """A disk on which stages of this process work: what was free before the first of them, and what they asked for."""

    free: int
    claims: list[tuple[str, int]] = field(default_factory=list)


_disks: dict[int, _Disk] = {}
_claiming = threading.Lock()


@contextmanager
def space(folder: Path, mebibytes: int, what: str) -> Iterator[None]:
    """Refuse to begin what cannot end, also where another thread's stage goes on beside it and will need its own.

    Raises:
        EnvironmentFault: fewer than `mebibytes` MiB are free where `folder` lies, without what is claimed already.
    """
    device = folder.stat().st_dev
    claim = (what, mebibytes)
    with _claiming:
        disk = _disks.setdefault(device, _Disk(0))
        if not disk.claims:
            disk.free = _free(folder)
        # What the others have written by now is no longer free, and was claimed before.
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
    """Refuse to begin what cannot end.

    Raises:
        EnvironmentFault: fewer than `mebibytes` MiB are free where `folder` lies, without what is claimed by `space`.
    """
    with space(folder, mebibytes, what):
        pass


def _free(folder: Path) -> int:
    """MiB that are free where a folder lies."""
    return shutil.disk_usage(folder).free // 2**20


def _require(free: int, folder: Path, mebibytes: int, what: str, others: Sequence[str]) -> None:
    if free < mebibytes:
        beside = f" besides {' and '.join(others)}, which is being made," if others else ""
        raise EnvironmentFault(
            f"{what} needs {mebibytes} MiB, but only {max(0, free)} MiB are free{beside} under {folder}",
            "free some space (`r4l clean`), or set R4L_HOME to a folder on a larger disk",
        )


def copy(source: Path, target: Path, *options: str) -> None:
    """Copy a file or a folder with cp(1); a copy with all attributes where no options say otherwise.

    Raises:
        EnvironmentFault: the disk is full, or something cannot be read.
    """
    argv = ["cp", *(options or ("-a", "--reflink=auto")), "--", str(source), str(target)]
    done = subprocess.run(argv, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode == 0:
        return
    said = done.stderr[:4096].decode(errors="replace")
    if "No space left" in said:
        raise EnvironmentFault(
            "the disk is full", "free some space, or set R4L_HOME to a folder on a larger disk", detail=said
        )
    raise EnvironmentFault(f"cannot copy {source}", "see what cp says", detail=said)


def disk_usage(folder: Path) -> int:
    """Bytes that a folder takes on the disk."""
    done = subprocess.run(["du", "-sk", str(folder)], capture_output=True, text=True, check=False, encoding="utf-8")
    return int(done.stdout.split()[0]) * 1024 if done.stdout else 0
