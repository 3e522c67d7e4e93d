# SPDX-License-Identifier: MIT
"""The folder that a build sees in the place of the user's: a writable copy, kept up to date with the user's.

Kbuild works best in the module's own folder: `$(PWD)`, `$(src)`, `$(obj)` and `.` are one place, and its products lie
beside the sources. So the copy, with all that was ever made in it, is mounted over the user's folder in the sandbox,
and the user's folder itself is never written to. Copies keep their times, so that make compiles only changed files.

Kbuild's products in the user's folder are not copied: they may be for another kernel, and make would take them as up to
date.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import stat
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.errors import UsageError
from r4l.paths import followed

Entry = list[int] | str | None
"""Record of an entry in the user's folder: the stamp of a file, the target of a link, None for a folder."""

UNSURE: Entry = []
"""Record of a file while it is copied: after an interruption the file is copied again."""
FORMAT = 1
PARTIAL = ".r4l-partial"
LARGEST = 16 * 1024 * 1024
"""Largest file that is copied, in bytes; a larger one (a disk image, a kernel) is linked to."""
DEEPEST = 200
"""Most folders that lie one in another; Linux's own tree has 12, and each takes a call of a function."""
HOLLOW = 64 * 1024
"""Size from which a file that takes less than half of it on the disk is linked to: a folder of a few KiB could
otherwise fill the disk with copies."""
NEVER = frozenset({".git", ".hg", ".svn", ".bzr", ".venv", ".tox", ".pytest_cache", "__pycache__", "node_modules"})
"""Folders that no Makefile builds from."""
MADE = re.compile(
    r"modules\.order|built-in\.a|\.module-common\.o|.*\.(?:ko|mod|mod\.[co]|o\.d|rmeta|rlib|dwo|gcno)|\..*\.(?:tmp|d)"
)
"""Files that Kbuild makes (scripts/Makefile.build, Makefile.modfinal, modpost), and compilers beside an object."""
SYMBOLS = "Module.symvers"
"""File that modpost makes in the folder that make was called for; in any other folder it is another module's."""
OF_MODPOST = ".mod.c"
"""End of the names of the sources that modpost writes. One that is left in the copy is from an interrupted build."""
RECORD = re.compile(r"\.(.+)\.cmd")
"""Name of the file in which Kbuild notes how it made another (scripts/Kbuild.include)."""
COMMAND = re.compile(rb"(?:saved)?cmd_\S+ :=")
SOURCES = (".c", ".S", ".rs", ".cc", ".cpp", ".s", ".l", ".y")
"""Endings of the files that objects are made from."""
WRITTEN = (".c", ".h", ".S", ".rs")
READ = frozenset(WRITTEN)
"""Endings of sources that must not lie outside the build's view: make would keep an object made from them."""


@dataclass(frozen=True)
class FolderMirror:
    """A copy of a user's folder, and the record of its contents.

    Attributes:
        folder: the user's folder.
        place: the copy.
        record: file that lists the copied entries of `place`; out of the build's reach.
        view: path at which the build sees `folder` itself, read-only; links to large files lead there.
        visible: the user's folders that the build sees; a link to anywhere else is not copied.
        apart: folders that are not copied: the home of r4l, and git's own.
        points: None for a copy of everything. Otherwise only the files of `folder` are copied, and its folders are
            links to `view`, except those at or above these folders, where other mirrors are mounted.
    """

    folder: Path
    place: Path
    record: Path
    view: Path
    visible: tuple[Path, ...]
    apart: frozenset[Path]
    points: frozenset[Path] | None = None

    def update(self) -> dict[str, Entry]:
        """Update the copy from the folder: new, changed, moved and removed entries.

        Changes that make has made to a copied file stay until the user changes the original. Call it while no build
        runs.

        Returns:
            The copied entries by their paths, relative to the folder.

        Raises:
            UsageError: a source is a link to a file that the build cannot see, or the folders are nested too deeply.
        """
        known = self._known()
        begun = known is None
        if known is None:
            # No copy yet, or one of another format.
            home.remove(self.place)
            # Whoever waits for the lock makes the empty folder, too.
            self.place.mkdir(exist_ok=True)
            known = {}
        # Before files are copied, which then are newer.
        home.settle_times(self.place)
        wanted: dict[str, Entry] = {}
        stale = self._compare("", True, known, wanted)
        gone = known.keys() - wanted.keys()
        if not (begun or stale or gone):
            return wanted
        self._note({**known, **wanted, **dict.fromkeys(stale, UNSURE)})
        for name in sorted(gone, reverse=True):
            self._remove(name)
        # Folders come before their contents. Files copied later are newer for make, in the order of the originals.
        for name in sorted(stale, key=lambda name: _order(wanted[name])):
            self._put(name, wanted[name], new=begun, known=name in known)
        self._note(wanted)
        return wanted

    def _known(self) -> dict[str, Entry] | None:
        read = home.record(self.record)
        if not read or read["format"] != FORMAT or not self.place.is_dir():
            return None
        entries: dict[str, Entry] = read["entries"]
        return entries

    def _note(self, entries: Mapping[str, Entry]) -> None:
        home.replace_text(self.record, json.dumps({"format": FORMAT, "entries": entries}))

    def _compare(self, below: str, is_there: bool, known: Mapping[str, Entry], wanted: dict[str, Entry]) -> list[str]:
        """Return the entries below a folder that differ from their copies, and add all entries to `wanted`.

        Args:
            below: the folder's path in the mirror, empty or ending with a slash.
            is_there: the mirror has that folder, and no build has put a link in its place.
            known: records of the copied entries.
            wanted: receives the records of the entries that belong in the copy.

        Raises:
            UsageError: the folders are nested too deeply, or as for `_entry`.
        """
        if below.count("/") > DEEPEST:
            raise UsageError(
                f"the folders in {self.folder} are nested more than {DEEPEST} deep",
                "move those away that no build needs",
            )
        stale: list[str] = []
        copies = _listed(self.place / below) if is_there else {}
        entries = _inputs(_listed(self.folder / below), top=not below and self.points is None)
        self._forget_modpost(below, copies.values(), known)
        records = [name for name in copies if name.endswith(".cmd") and below + name not in known]
        products = {match[1] for name in records if (match := RECORD.fullmatch(name))}
        for name, entry in entries.items():
            if name in products:
                continue
            path = below + name
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and Path(entry.path) in self.apart:
                continue
            now = None if is_folder else self._entry(entry, path)
            if not is_folder and now is None:
                continue
            if is_folder and not self._is_copied(Path(entry.path)):
                is_folder, now = False, str(self.view / path)
            wanted[path] = now
            copy = copies.get(name)
            fits = copy is not None and copy.is_dir(follow_symlinks=False) == is_folder
            if not fits or known.get(path, UNSURE) != now:
                stale.append(path)
            if is_folder and Path(entry.path) not in (self.points or ()):
                stale += self._compare(f"{path}/", fits, known, wanted)
        return stale

    def _forget_modpost(self, below: str, copies: Iterable[os.DirEntry[str]], known: Container[str]) -> None:
        """Remove modpost's sources from a folder of the copy, where a wildcard would take them for the module's own.

        Without its list of symbols, modpost writes them again.
        """
        for copy in copies:
            if copy.name.endswith(OF_MODPOST):
                home.remove(Path(copy.path))
                lists = [str(folder / SYMBOLS) for folder in (Path(below), *Path(below).parents)]
                for name in lists:
                    if name not in known:
                        home.remove(self.place / name)

    def _is_copied(self, folder: Path) -> bool:
        """Return True if the copy has its own folder for a folder of the user's."""
        return self.points is None or any(point.is_relative_to(folder) for point in self.points)

    def _entry(self, found: os.DirEntry[str], path: str) -> Entry:
        """Return the record of a file or a link; None if it is not copied.

        Raises:
            UsageError: the entry is a source, and a link to a file that the build cannot see.
        """
        if found.is_symlink():
            return self._target(Path(found.path))
        if not found.is_file(follow_symlinks=False):
            return None
        status = found.stat(follow_symlinks=False)
        is_hollow = status.st_size > HOLLOW and status.st_blocks * 512 < status.st_size // 2
        if status.st_size > LARGEST or is_hollow:
            return str(self.view / path)
        return [status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns]

    def _target(self, link: Path) -> str | None:
        target, text = followed(link), link.readlink()
        if any(target.is_relative_to(folder) for folder in self.visible):
            # A relative way out of the folder would lead elsewhere from the copy.
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
            name: path of the entry in the folder.
            entry: record of the entry.
            new: the whole mirror is new.
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
            home.remove(target)
            return
        elif new:
            _set_time(beside, source.lstat())
        elif (before := _status(target)) and filecmp.cmp(beside, target, shallow=False):
            # Moved, with other rights, or made by the user's make too. A touched file is new to make.
            touched = known and source.stat().st_mtime_ns > before.st_mtime_ns
            _set_time(beside, beside.stat() if touched else before)
        beside.replace(target)

    def _remove(self, name: str) -> None:
        """Remove the copy of an entry that the user's folder no longer has, with the object that was made from it."""
        target = self.place / name
        around = [self.place, *(self.place / folder for folder in list(Path(name).parents)[:-1])]
        if any(folder.is_symlink() or not folder.is_dir() for folder in around):
            return
        if not target.with_name(f".{target.name}.cmd").exists():
            home.remove(target)
        if target.suffix in SOURCES:
            # make would use an object without a source unchanged.
            made = target.with_suffix(".o")
            for path in (made, made.with_name(f".{made.name}.cmd")):
                home.remove(path)


def _listed(folder: Path) -> dict[str, os.DirEntry[str]]:
    """Return the entries of a folder by name; empty if the folder is gone or unreadable."""
    try:
        with os.scandir(folder) as found:
            return {entry.name: entry for entry in found}
    except (FileNotFoundError, PermissionError):
        return {}


def _inputs(entries: Mapping[str, os.DirEntry[str]], *, top: bool) -> dict[str, os.DirEntry[str]]:
    """Return the entries of a folder without Kbuild's products and files that no build reads.

    Args:
        entries: entries of the folder by name.
        top: the folder is the one that make is called for.
    """
    made: set[str] = set()
    for name, entry in entries.items():
        if entry.is_dir(follow_symlinks=False):
            made |= {name} & NEVER
        elif name.endswith(WRITTEN) and name[0] != "." and not name.endswith(OF_MODPOST):
            # Nearly all files of a large folder: none of the patterns below matches them.
            continue
        elif MADE.fullmatch(name) or (top and name == SYMBOLS) or _has_source(name, entries):
            made.add(name)
        elif (record := RECORD.fullmatch(name)) and _is_record(entry):
            made |= {name, record[1]}
    if not top:
        made.discard(SYMBOLS)
    return {name: entry for name, entry in entries.items() if name not in made} if made else dict(entries)


def _has_source(name: str, names: Container[str]) -> bool:
    """Return True for an object that is made from one of these files; other objects come without their source."""
    return name.endswith(".o") and any(name.removesuffix(".o") + ending in names for ending in SOURCES)


def _is_record(entry: os.DirEntry[str]) -> bool:
    """Return True if a file tells how Kbuild made another; people put an empty one beside an object without a
    source."""
    try:
        if not entry.is_file(follow_symlinks=False):
            return False
        with Path(entry.path).open("rb") as file:
            return COMMAND.match(file.read(256)) is not None
    except OSError:
        return False


def _order(entry: Entry) -> int:
    """Return the time of a file; -1 for an entry without one."""
    return entry[0] if isinstance(entry, list) and entry else -1


def _copy(source: Path, target: Path) -> bool:
    """Copy a file; return False if it is gone or unreadable: the build then does without it, or fails with a
    message."""
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
    """Return the status of a file; None if there is none, or no regular file."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
