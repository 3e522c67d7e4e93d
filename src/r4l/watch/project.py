# SPDX-License-Identifier: MIT
"""The files of a driver under watch, and the runs that a save requires."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from r4l import resources
from r4l.module import Module
from r4l.module.repository import repository_of
from r4l.paths import text_or_none

SOURCES = frozenset({".rs", ".c", ".h", ".S", ".mk", ".lds", ".dts", ".py", ".ini", ".toml"})
NAMES = frozenset({"Kbuild", "Makefile", "Kconfig"})
"""With `SOURCES`, the files that count as source, by suffix or name.

Others (products of a plain make, editors' own files, a pcap that a test writes) must not start a run, which might write
them again.
"""

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
    """

    folder: Path
    kit: Path | None = None
    shelf: Path | None = None
    git: tuple[Path, ...] = ()

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

    @property
    def sources(self) -> tuple[Path, ...]:
        """Folders that the module is built from."""
        return (self.folder, self.kit) if self.kit else (self.folder,)

    def tests(self) -> list[Path]:
        """Return all test files."""
        return sorted(
            path
            for base in (self.folder, self.shelf)
            if base
            for path in base.rglob("*.py")
            if self._is_test(path) and not _hidden(path.relative_to(base))
        )

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
        base = next((base for base in self._bases if path.is_relative_to(base)), None)
        if base is None or _hidden(path.relative_to(base)):
            return Work()
        if path.is_symlink() and not path.resolve().is_relative_to(base.resolve()):
            # A link out of the folder may lead to a whole disk, and the build does not see its target.
            return Work()
        if path.is_dir():
            # For a folder moved here with its content, only the folder itself is reported.
            inside = (below for below in path.rglob("*") if below.is_file())
            return self.affected(inside)
        if not _is_source(path):
            return Work()
        if base == self.shelf:
            if path.name == "conftest.py" and any(test.is_relative_to(path.parent) for test in self.tests()):
                return Work(everything=True)
            if not self._is_test(path):
                return Work()
        if base != self.kit and self._is_test(path):
            return Work(tests=frozenset({path} if path.is_file() else ()))
        return Work(everything=True)

    def _is_test(self, path: Path) -> bool:
        if not (path.name.startswith("test_") or path.stem.endswith("_test")) or path.suffix != ".py":
            return False
        if path.is_relative_to(self.folder):
            return True
        stem = path.stem.removeprefix("test_")
        return stem == self.folder.name or stem.startswith(f"{self.folder.name}_")


def _is_source(path: Path) -> bool:
    # Kbuild writes NAME.mod.c for each module.
    return (path.suffix in SOURCES or path.name in NAMES) and not path.name.endswith(".mod.c")


def _hidden(path: Path) -> bool:
    """True if a part of the path is hidden or a cache: .git, .#main.rs (Emacs), .main.rs.swp (vim)."""
    return any(part.startswith((".", "#")) or part == "__pycache__" for part in path.parts)
