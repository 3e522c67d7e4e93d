# SPDX-License-Identifier: MIT
"""The arguments and surroundings of make for a module folder: folders that it sees, copies of them, its environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l import home, limits, resources
from r4l.kernel import Kernel, unfinished
from r4l.module import sandbox
from r4l.module.makefiles import beside, is_makefile
from r4l.module.mirror import SYMBOLS, FolderMirror
from r4l.module.outside import OutsideSources
from r4l.module.places import NOTHING, VIEW, output_folder
from r4l.module.view import git_folders, note_for, repositories, visible
from r4l.paths import own_bytes
from r4l.toolchain import Grant

LINES = ("KCFLAGS=-g1", "KRUSTFLAGS=-Cdebuginfo=1")
"""Flags for line numbers in modules for a kernel without debug information, so that complaints name the line.

The kernel loads such a module like any other; it skips those sections.
"""


@dataclass(frozen=True)
class MakeSetup:
    """The arguments and surroundings of make for a module folder and a kernel.

    Attributes:
        folder: the module's folder.
        config: options of Kconfig, as of `Module`.
        kernel: kernel to build for.
    """

    folder: Path
    config: tuple[tuple[str, str], ...]
    kernel: Kernel

    @property
    def output(self) -> Path:
        """The copy of the folder in which make works."""
        return output_folder(self.folder, self.config, self.kernel)

    @property
    def mark(self) -> Path:
        """File that exists while make runs."""
        return self.output.with_name(f"{self.output.name}.unfinished")

    @property
    def outside_record(self) -> Path:
        """File with the record of `outside`."""
        return self.output.with_name(f"{self.output.name}.outside.json")

    @property
    def takes_others_symbols(self) -> bool:
        """True if a build may have got the symbols that r4l's builds of folders beside the module's have exported."""
        return self._beside.is_dir()

    @property
    def _beside(self) -> Path:
        """The folder with the copies of the folders beside the module's."""
        return self.output.with_name(f"{self.output.name}.beside")

    def grant(self) -> Grant:
        """Return the resources that the folder's make may use, the copies up to date. Call it with the lock held."""
        # Before files are copied, which then are newer.
        unfinished.forget(self.mark, (self.output, *self._beside.glob("*/")), all_made=True)
        mirrors = self._mirrors()
        around = [folder for folder in visible(self.folder) if folder != self.folder]
        views = {mirror.view: mirror.folder for mirror in mirrors}
        shown = {**{folder: folder for folder in around}, **views}
        own = sandbox.mounts(self.kernel, self.folder, self.output)
        git = self._hidden(shown, [mirror.folder for mirror in mirrors])
        return Grant(
            "module: build",
            reads=(*around, resources.kit(), self.kernel.source, self.kernel.build),
            over={mirror.folder: mirror.place for mirror in mirrors},
            over_reads={
                **views,
                **dict.fromkeys(git, self.output.parent / NOTHING),
                **own,
            },
            limits=limits.build(),
        )

    def _gits(self) -> tuple[Path, ...]:
        """Return git's own folders in all that the build sees."""
        place = visible(self.folder)[0]
        found = repositories(place, note_for(self.folder))
        # Only of the module's own folder may there be too many.
        return found if found is not None else tuple(place / path for path in git_folders(place, deep=True))

    def _hidden(self, shown: Mapping[Path, Path], copied: Sequence[Path]) -> Iterator[Path]:
        """Yield the paths in the sandbox at which git's own folders would be seen.

        Args:
            shown: folders of the host by their paths in the sandbox.
            copied: folders in whose places there are copies, which have none of git's but in their top.
        """
        for place, real in shown.items():
            for git in self._gits():
                in_copy = place == real and any(git.is_relative_to(one) and git.parent != one for one in copied)
                if git.is_relative_to(real) and not in_copy:
                    yield place / git.relative_to(real)

    def outside(self, grant: Grant) -> OutsideSources:
        """Return the files outside of the folder that its objects are made from.

        Args:
            grant: of the build.
        """
        return OutsideSources(self.folder, grant.over, visible(self.folder), self.outside_record)

    def _mirrors(self) -> list[FolderMirror]:
        """Return the up-to-date copies of the folder and of those beside it with sources of its own, outer ones first.

        Call it with the lock held.
        """
        seen = tuple(visible(self.folder))
        record = self.output.with_name(f"{self.output.name}.mirror.json")
        view = self.output.parent / VIEW
        apart = frozenset({home.home().resolve(), *self._gits()})
        own = FolderMirror(self.folder, self.output, record, view, seen, apart)
        # Few of thousands: links, and what make reads.
        telling = [name for name, entry in own.update().items() if isinstance(entry, str) or is_makefile(name)]
        folders = beside(self.folder, telling, seen)
        points = frozenset({self.folder, *folders})
        mirrors = [own]
        for folder in folders:
            place = self._beside / home.content_key(str(folder))
            self._beside.mkdir(exist_ok=True)
            files = (place.with_suffix(".json"), place.with_suffix(".view"))
            mirrors.append(FolderMirror(folder, place, *files, seen, own.apart, points - {folder}))
            mirrors[-1].update()
            # The symbols of r4l's own build are for this kernel; those of the user's make are in the copy already. A
            # build can have put a link in the place of either file.
            symbols = own_bytes(output_folder(folder.resolve(), self.config, self.kernel) / SYMBOLS)
            if symbols is not None and symbols != own_bytes(place / SYMBOLS):
                home.replace_bytes(place / SYMBOLS, symbols)
        return sorted(mirrors, key=lambda mirror: mirror.folder)

    def environment(self) -> dict[str, str]:
        """Return the environment of make's outer pass."""
        kbuild = self.argv("-k", f"-j{os.cpu_count() or 1}")[1:]
        return sandbox.environment(
            self.kernel, self.folder, (word for word in kbuild if not str(word).startswith("M="))
        )

    def argv(self, *arguments: str) -> list[str | Path]:
        """Return the command of make for Kbuild, with further arguments."""
        return [
            # By its path: it has no need of the program that stands in its way.
            "/usr/bin/make",
            "-C",
            self.kernel.build,
            *self.kernel.make_arguments,
            *_lines(self.kernel),
            f"M={self.folder}",
            *(f"{name}={value}" for name, value in self.config),
            f"R4L_KIT={resources.kit()}",
            *arguments,
        ]


def _lines(kernel: Kernel) -> tuple[str, ...]:
    """Return make's arguments with which a module has line numbers."""
    try:
        return () if kernel.config.get("CONFIG_DEBUG_INFO") == "y" else LINES
    except FileNotFoundError:
        # Not the build folder of a kernel: make names what is missing.
        return ()
