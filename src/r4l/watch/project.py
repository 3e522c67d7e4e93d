# SPDX-License-Identifier: MIT
"""What belongs to a driver under watch, and what must run again when some of it was saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from r4l import resources
from r4l.module import Module

SOURCES = frozenset({".rs", ".c", ".h", ".S", ".mk", ".lds", ".dts", ".py", ".ini", ".toml"})
NAMES = frozenset({"Kbuild", "Makefile", "Kconfig"})
"""What counts as source, by ending or name. All else (what a plain make leaves, editors' own files, a pcap that a test
writes) must not start a run, which might write it again."""


@dataclass(frozen=True)
class Work:
    """What is to be run.

    Attributes:
        everything: all tests; where there are none, the module is loaded and unloaded.
        tests: else these files.
    """

    everything: bool = False
    tests: frozenset[Path] = frozenset()

    def __or__(self, other: Work) -> Work:
        return Work(self.everything or other.everything, self.tests | other.tests)

    def __bool__(self) -> bool:
        return self.everything or bool(self.tests)


@dataclass(frozen=True)
class Project:
    """A module's folder with what else its tests depend on.

    Attributes:
        folder: of the module.
        kit: the kit, where the module's Kbuild takes it in.
        shelf: the folder `tests/` of the checkout that the module is a part of; those of its tests count that are named
            after the module's folder.
    """

    folder: Path
    kit: Path | None = None
    shelf: Path | None = None

    @classmethod
    def of(cls, folder: Path) -> Project:
        """The project of a module's folder.

        Raises:
            UsageError: there is no module in it.
        """
        module = Module(folder.resolve())
        kbuild = module.require_kbuild()
        takes_kit = "R4L_KIT" in kbuild.read_text(errors="replace", encoding="utf-8")
        checkout = resources.checkout()
        ours = checkout and module.folder.is_relative_to(resources.rust().resolve())
        return cls(
            module.folder,
            resources.kit().resolve() if takes_kit else None,
            checkout.resolve() / "tests" if checkout and ours else None,
        )

    @property
    def watched(self) -> list[Path]:
        """The folders to watch, with all below them."""
        return [folder for folder in (self.folder, self.kit, self.shelf) if folder]

    @property
    def sources(self) -> tuple[Path, ...]:
        """The folders that the module is built from."""
        return (self.folder, self.kit) if self.kit else (self.folder,)

    def tests(self) -> list[Path]:
        """All test files."""
        return sorted(
            path
            for base in (self.folder, self.shelf)
            if base
            for path in base.rglob("*.py")
            if self._is_test(path) and not _hidden(path.relative_to(base))
        )

    def affected(self, saved: Iterable[Path]) -> Work:
        """What a save affects; nothing where it is of no interest.

        Args:
            saved: files and folders that have come, gone or changed.
        """
        work = Work()
        for path in saved:
            work |= self._affected(path)
        return work

    def _affected(self, path: Path) -> Work:
        base = next((base for base in self.watched if path.is_relative_to(base)), None)
        if base is None or _hidden(path.relative_to(base)):
            return Work()
        if path.is_symlink() and not path.resolve().is_relative_to(base.resolve()):
            # Behind it there may be a whole disk, and the build sees nothing of it.
            return Work()
        if path.is_dir():
            # One that came with all that is in it: only its own coming is told.
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
    """Whether something on the path is hidden or a cache: .git, .#main.rs (Emacs), .main.rs.swp (vim)."""
    return any(part.startswith((".", "#")) or part == "__pycache__" for part in path.parts)
