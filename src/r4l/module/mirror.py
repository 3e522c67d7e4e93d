# SPDX-License-Identifier: MIT
"""The folder that a build sees in the place of the user's: a copy that it may write to, kept like the user's.

Kbuild is at its best in the module's own folder: `$(PWD)`, `$(src)`, `$(obj)` and `.` are one place, and what it makes
lies beside the sources. So the copy, with all that was ever made in it, is mounted over the user's folder in the
sandbox, and the user's folder itself is never written to. Copies keep their times, so that make compiles only what has
changed.

What Kbuild has left in the user's folder is not copied: it may be of another kernel, and would count as made.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import stat
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.errors import UsageError

Entry = list[int] | str | None
"""What a mirror knows of a place in the user's folder: of a file its stamp, of a link its target, None of a folder."""

UNSURE: Entry = []
"""The entry of a file while it is copied: if that is interrupted, it is copied again."""
FORMAT = 1
PARTIAL = ".r4l-partial"
LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is copied; a larger one (a disk image, a kernel) is linked to."""
NEVER = frozenset({".git", ".hg", ".svn", ".bzr", ".venv", ".tox", ".pytest_cache", "__pycache__", "node_modules"})
"""Folders that no Makefile builds from."""
MADE = re.compile(
    r"modules\.order|built-in\.a|\.module-common\.o|.*\.(?:ko|mod|mod\.[co]|o\.d|rmeta|rlib|dwo|gcno)|\..*\.(?:tmp|d)"
)
"""Files that Kbuild makes (scripts/Makefile.build, Makefile.modfinal, modpost), and compilers beside an object."""
SYMBOLS = "Module.symvers"
"""Made by modpost in the folder that make was called for; in any other, another module's."""
RECORD = re.compile(r"\.(.+)\.cmd")
"""The name of the file in which Kbuild notes how it made another (scripts/Kbuild.include)."""
COMMAND = re.compile(rb"(?:saved)?cmd_\S+ :=")
SOURCES = (".c", ".S", ".rs", ".cc", ".cpp", ".s", ".l", ".y")
"""Endings of what an object is made from."""
READ = frozenset({".c", ".h", ".S", ".rs"})
"""Endings of sources that must not lie where the build cannot see them: make would keep an object of theirs."""


@dataclass(frozen=True)
class Mirror:
    """A copy of a user's folder, and what is known of it.

    Attributes:
        folder: the user's.
        place: the copy.
        record: the file that says what of `place` was copied; out of the build's reach.
        view: where the build sees `folder` itself, read-only. Large files are links to there.
        visible: the user's folders that the build sees; a link to anywhere else is not copied.
        apart: a folder that is not copied where it lies in `folder`: the home of r4l.
    """

    folder: Path
    place: Path
    record: Path
    view: Path
    visible: tuple[Path, ...]
    apart: Path

    def update(self) -> None:
        """Make the copy like the folder: what is new, changed, moved or gone there.

        What make has changed of a copied file stays until the user changes theirs. To be called with nobody building.

        Raises:
            UsageError: a source is a link to where the build sees nothing.
        """
        known = self._known()
        begun = known is None
        if known is None:
            # Nothing yet, or of another kind.
            home.remove(self.place)
            self.place.mkdir()
            known = {}
        wanted: dict[str, Entry] = {}
        stale = self._compare("", True, known, wanted)
        gone = known.keys() - wanted.keys()
        if not (begun or stale or gone):
            return
        self._note({**known, **wanted, **dict.fromkeys(stale, UNSURE)})
        for name in sorted(gone, reverse=True):
            self._remove(name)
        # Folders come before what is in them. What is copied later is newer for make: as it was with the user's.
        for name in sorted(stale, key=lambda name: _order(wanted[name])):
            self._put(name, wanted[name], new=begun, known=name in known)
        self._note(wanted)

    def _known(self) -> dict[str, Entry] | None:
        try:
            read = json.loads(self.record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if read["format"] != FORMAT or not self.place.is_dir():
            return None
        entries: dict[str, Entry] = read["entries"]
        return entries

    def _note(self, entries: Mapping[str, Entry]) -> None:
        home.replace_text(self.record, json.dumps({"format": FORMAT, "entries": entries}))

    def _compare(self, below: str, is_there: bool, known: Mapping[str, Entry], wanted: dict[str, Entry]) -> list[str]:
        """The entries below a folder that differ from their copies; all entries go to `wanted`.

        Args:
            below: the folder's path in the mirror, empty or ending with a slash.
            is_there: the mirror has that folder: no link that a build has put in its place.
        """
        stale: list[str] = []
        copies = _listed(self.place / below) if is_there else {}
        entries = _inputs(_listed(self.folder / below), top=not below)
        for name, entry in entries.items():
            path, record = below + name, f".{name}.cmd"
            if record in copies and below + record not in known:
                # Kbuild makes it.
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and Path(entry.path) == self.apart:
                continue
            now = None if is_folder else self._entry(entry, path)
            if not is_folder and now is None:
                continue
            wanted[path] = now
            copy = copies.get(name)
            fits = copy is not None and copy.is_dir(follow_symlinks=False) == is_folder
            if not fits or known.get(path, UNSURE) != now:
                stale.append(path)
            if is_folder:
                stale += self._compare(f"{path}/", fits, known, wanted)
        return stale

    def _entry(self, found: os.DirEntry[str], path: str) -> Entry:
        """What to know of a file or a link; None where it is not copied.

        Raises:
            UsageError: it is a source, and a link to where the build sees nothing.
        """
        if found.is_symlink():
            return self._target(Path(found.path))
        if not found.is_file(follow_symlinks=False):
            return None
        status = found.stat(follow_symlinks=False)
        if status.st_size > LARGEST:
            return str(self.view / path)
        return [status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns]

    def _target(self, link: Path) -> str | None:
        target, text = link.resolve(), link.readlink()
        if any(target.is_relative_to(folder) for folder in self.visible):
            # By a way that leads out of the folder, the copy would be somewhere else.
            leaves = os.path.normpath(link.parent.relative_to(self.folder) / text).startswith("..")
            return str(target if leaves else text)
        if link.suffix in READ:
            raise UsageError(
                f"{link} is a link to {target}, which the build cannot see", "copy the file into the folder"
            )
        return None

    def _put(self, name: str, entry: Entry, *, new: bool, known: bool) -> None:
        """Copy an entry.

        Args:
            new: the whole mirror is.
            known: the entry was copied before.
        """
        source, target = self.folder / name, self.place / name
        is_folder = target.is_dir() and not target.is_symlink()
        if is_folder and entry is None:
            return
        if is_folder or entry is None:
            home.remove(target)
        if entry is None:
            target.mkdir()
            return
        beside = target.with_name(PARTIAL)
        home.remove(beside)
        if isinstance(entry, str):
            beside.symlink_to(entry)
        elif not _copy(source, beside):
            target.unlink(missing_ok=True)
            return
        elif new:
            _set_time(beside, source.lstat())
        elif (before := _status(target)) and filecmp.cmp(beside, target, shallow=False):
            # Moved, with other rights, or made by the user's make too. What was touched is new to make.
            touched = known and source.stat().st_mtime_ns > before.st_mtime_ns
            _set_time(beside, beside.stat() if touched else before)
        beside.replace(target)

    def _remove(self, name: str) -> None:
        """Remove the copy of what is no longer in the user's folder, with the object that was made from it."""
        target = self.place / name
        around = [self.place, *(self.place / folder for folder in list(Path(name).parents)[:-1])]
        if any(folder.is_symlink() or not folder.is_dir() for folder in around):
            return
        if not target.with_name(f".{target.name}.cmd").exists():
            home.remove(target)
        if target.suffix in SOURCES:
            # make would take an object without a source as it is.
            made = target.with_suffix(".o")
            for path in (made, made.with_name(f".{made.name}.cmd")):
                path.unlink(missing_ok=True)


def _listed(folder: Path) -> dict[str, os.DirEntry[str]]:
    """The entries of a folder by name; none where it is gone, or not for us to read."""
    try:
        with os.scandir(folder) as found:
            return {entry.name: entry for entry in found}
    except (FileNotFoundError, PermissionError):
        return {}


def _inputs(entries: Mapping[str, os.DirEntry[str]], *, top: bool) -> dict[str, os.DirEntry[str]]:
    """The entries of a folder without what Kbuild has made there, and what no build reads.

    Args:
        top: it is the folder that make is called for.
    """
    made: set[str] = set()
    for name, entry in entries.items():
        if entry.is_dir(follow_symlinks=False):
            made |= {name} & NEVER
        elif MADE.fullmatch(name) or (top and name == SYMBOLS) or _has_source(name, entries):
            made.add(name)
        elif (record := RECORD.fullmatch(name)) and _is_record(entry):
            made |= {name, record[1]}
    return {name: entry for name, entry in entries.items() if name not in made}


def _has_source(name: str, names: Container[str]) -> bool:
    """Whether it is an object that is made from one of these files. Others come without their source."""
    return name.endswith(".o") and any(name.removesuffix(".o") + ending in names for ending in SOURCES)


def _is_record(entry: os.DirEntry[str]) -> bool:
    """Whether a file says how Kbuild made another; people put an empty one beside an object without a source."""
    try:
        if not entry.is_file(follow_symlinks=False):
            return False
        with Path(entry.path).open("rb") as file:
            return COMMAND.match(file.read(256)) is not None
    except OSError:
        return False


def _order(entry: Entry) -> int:
    """The time of a file, and less of what has none."""
    return entry[0] if isinstance(entry, list) and entry else -1


def _copy(source: Path, target: Path) -> bool:
    """Copy a file; False where it is gone by now, or may not be read: then the build does without it, or says so."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        target.chmod(os.fstat(descriptor).st_mode & 0o777 | 0o600)
    return True


def _set_time(file: Path, status: os.stat_result) -> None:
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def _status(file: Path) -> os.stat_result | None:
    """The status of a file; None where there is none, or no file."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
