# SPDX-License-Identifier: MIT
"""The files of a driver under watch, and the runs that a save requires."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from r4l import resources
from r4l.module import Module, mirror
from r4l.module.makefiles import is_makefile
from r4l.module.mirror import NEVER
from r4l.module.repository import repository_of
from r4l.paths import followed, is_below, leads_to_file, leads_to_folder, text_or_none
from r4l.walk import walk

SOURCES = frozenset({*mirror.SOURCES, ".h", ".inc", ".lds", ".dts", ".dtsi", ".dtso", ".py", ".ini", ".toml"})
NAMES = re.compile(r".*_shipped|(Kbuild|Kconfig|(GNUm|M|m)akefile)(\.(?!orig$|rej$|bak$|old$|o$)\w+)?")
"""With `SOURCES` and the Makefiles (`is_makefile`), the files that count as source, by suffix or name.

Others (products of a plain make, editors' own files, a pcap that a test writes) must not start a run, which might write
them again.
"""
MOST_AROUND = 200
"""Folders outside of the module's that are watched."""

_TEST = re.compile(r"test_.*\.py|.*_test\.py")
_REFERENCES = re.compile(r"(HEAD|packed-refs|refs/(heads|tags)/.+|reftable/.+)$")
"""Files by which git knows what a commit is called (gitrepository-layout(5))."""


@dataclass(frozen=True)
class Work:
    """The tests to run.

    Attributes:
        everything: run all tests; without any, load and unload the module.
        tests: test files to run if not `everything`.
    """

    everything: bool = False
    tests: frozenset[Path] = frozenset()

    def __or__(self, other: Work) -> Work:
        return Work(self.everything or other.everything, self.tests | other.tests)

    def __bool__(self) -> bool:
        return self.everything or bool(self.tests)


@dataclass(frozen=True)
class Project:
    """A module's folder with everything else that its tests depend on.

    Attributes:
        folder: the module's folder.
        kit: the kit, if the module's Kbuild includes it.
        shelf: the folder `tests/` of the checkout that the module belongs to; tests in it count if they are named after
            the module's folder.
        git: git's folders for the work tree that the folder lies in: its own, and that of all work trees.
        around: files and folders outside of the module's that its build is known to read (`Module.read_around`).
    """

    folder: Path
    kit: Path | None = None
    shelf: Path | None = None
    git: tuple[Path, ...] = ()
    around: frozenset[Path] = frozenset()

    @classmethod
    def of(cls, folder: Path) -> Project:
        """Return the project of a module's folder.

        Raises:
            UsageError: the folder contains no module.
        """
        module = Module(folder)
        kbuild = module.require_kbuild()
        takes_kit = "R4L_KIT" in text_or_none(kbuild)
        checkout = resources.checkout()
        repository = repository_of(module.folder)
        ours = checkout and module.folder.is_relative_to(resources.rust().resolve())
        return cls(
            module.folder,
            resources.kit().resolve() if takes_kit else None,
            checkout.resolve() / "tests" if checkout and ours else None,
            tuple(dict.fromkeys((repository.own, repository.common))) if repository else (),
        )

    @property
    def watched(self) -> list[Path]:
        """Folders to watch recursively."""
        return [*self._bases, *(folder for folder in self.git if not folder.is_relative_to(self.folder))]

    @property
    def _bases(self) -> list[Path]:
        return [folder for folder in (self.folder, self.kit, self.shelf) if folder]

    @cached_property
    def watched_around(self) -> tuple[Path, ...]:
        """Folders to watch without the folders in them, for `around`."""
        folders = {path if leads_to_folder(path) else path.parent for path in self.around}
        apart = (folder for folder in sorted(folders) if not any(is_below(folder, base) for base in self._bases))
        return tuple(islice((folder for folder in apart if leads_to_folder(folder)), MOST_AROUND))

    def folders(self) -> frozenset[Path]:
        """Return the folders below those under watch that hold sources."""
        return frozenset(
            folder
            for base in self._bases
            if base != self.shelf
            for path in _sources(base, base)
            for folder in path.parents
            if folder != base and is_below(folder, base)
        )

    def tests(self) -> list[Path]:
        """Return the files and folders to give to pytest for all tests; none for those that it finds in the folder."""
        if not self.shelf:
            return []
        return [self.folder, *sorted(path for path in _sources(self.shelf, self.shelf) if self._is_test(path))]

    def affected(self, saved: Iterable[Path]) -> Work:
        """Return the work that a save requires; empty if it affects nothing.

        Args:
            saved: files and folders that have come, gone or changed.
        """
        work = Work()
        for path in saved:
            work |= self._affected(path)
        return work

    def is_commit(self, path: Path) -> bool:
        """True for a file of git's that tells of a commit, a tag or a checkout; its index also changes by a look."""
        names = (path.relative_to(folder) for folder in self.git if path.is_relative_to(folder))
        return any(name.suffix != ".lock" and _REFERENCES.match(str(name)) for name in names)

    def _affected(self, path: Path) -> Work:
        base = next((base for base in self._bases if is_below(path, base)), None)
        if base is None:
            return Work(everything=self._is_around(path))
        if _hidden(path, base):
            return Work()
        if leads_to_folder(path):
            # For a folder moved here with its content, only the folder itself is reported. A link out of the folder may
            # lead to a whole disk.
            place = followed(path)
            return self.affected(_sources(place, base)) if is_below(place, followed(base)) else Work()
        if not _is_source(path.name):
            return Work()
        if base == self.shelf:
            if path.name == "conftest.py" and any(is_below(test, path.parent) for test in self.tests()[1:]):
                return Work(everything=True)
            if not self._is_test(path):
                return Work()
        if base != self.kit and self._is_test(path):
            return Work(tests=frozenset({path} if leads_to_file(path) else ()))
        return Work(everything=True)

    def _is_around(self, path: Path) -> bool:
        if path in self.around or path in self.watched_around:
            return True
        is_beside = path.parent in self.watched_around and not _hidden(path, path.parent)
        return is_beside and _is_source(path.name) and not _TEST.fullmatch(path.name) and not leads_to_folder(path)

    def _is_test(self, path: Path) -> bool:
        if not _TEST.fullmatch(path.name):
            return False
        if is_below(path, self.folder):
            return True
        stem = path.stem.removeprefix("test_")
        return stem == self.folder.name or stem.startswith(f"{self.folder.name}_")


def _sources(top: Path, base: Path) -> Iterator[Path]:
    """Yield the sources in a folder and below it, without hidden ones.

    Args:
        top: the folder.
        base: the folder under watch that it lies in.
    """
    for step in walk(top, skip=NEVER):
        place = top / step.inner
        if step.entries and not _hidden(place, base):
            names = (entry.name for entry in step.entries if entry.name[0] not in ".#" and _is_source(entry.name))
            yield from (path for name in names if leads_to_file(path := place / name))


def _is_source(name: str) -> bool:
    # Kbuild writes NAME.mod.c for each module.
    known = Path(name).suffix in SOURCES or NAMES.fullmatch(name) or is_makefile(name)
    return bool(known) and not name.endswith(".mod.c")


def _hidden(path: Path, base: Path) -> bool:
    """True if a part of the path below a folder is hidden, a cache or a virtual environment of Python: .git, .#main.rs
    (Emacs), .main.rs.swp (vim)."""
    inner = path.relative_to(base)
    if any(part.startswith((".", "#")) or part in NEVER for part in inner.parts):
        return True
    # PEP 405.
    return any((base / folder / "pyvenv.cfg").exists() for folder in (inner, *inner.parents) if folder.parts)
