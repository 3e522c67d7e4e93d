# SPDX-License-Identifier: MIT
"""Descriptions of kernels from source: a profile, with the user's fragments applied to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.errors import UsageError
from r4l.kernel import debian, kconfig
from r4l.kernel.profile import Profile, profile
from r4l.paths import require_text
from r4l.toolchain import Toolchain

NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class Recipe:
    """Description of a kernel to build.

    Attributes:
        name: name for `--kernel`.
        profile: profile whose base and fragments come first.
        source: the kernel's source tree, never written to.
        origin: description of the source for people: a package version, or a path.
        arch: name of the architecture, as in `r4l.arch`.
        fragments: the user's fragments as pairs of name and text; later ones win.
    """

    name: str
    profile: Profile
    source: Path
    origin: str
    arch: str
    fragments: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or debian.is_debian(self.name):
            raise UsageError(
                f"{self.name!r} is not a valid kernel name",
                f"use small letters, digits, - and _, but none of {', '.join(debian.names())}",
            )

    def texts(self) -> list[tuple[str, str]]:
        """Return all fragments in order, the release's suffix first."""
        return [
            ("name", f'CONFIG_LOCALVERSION="-{self.name}"\n'),
            *self.profile.texts(self.arch),
            *self.fragments,
        ]

    def whole_text(self) -> str:
        """Return all fragments as one."""
        # The last line of a user's file may have no end, and would swallow the first line of the next one.
        return "".join(f"{text}\n" for _name, text in self.texts())

    def wanted(self) -> dict[str, str]:
        """Return the options that all fragments together set.

        Raises:
            UsageError: a line of a fragment is not valid.
        """
        options: dict[str, str] = {}
        for name, text in self.texts():
            options |= kconfig.parse_fragment(text, name)
        return options

    def key(self, toolchain: Toolchain) -> str:
        """Return the key of the recipe's content, including the compilers."""
        return self._key(toolchain.key)

    @property
    def configuration(self) -> str:
        """Key of the configuration without the compilers. As long as it is the same, changes by menuconfig are kept."""
        return self._key()

    def _key(self, *more: str) -> str:
        return home.content_key(str(self.source), self.origin, self.profile.base, str(self.wanted()), *more)

    @property
    def folder(self) -> Path:
        """Folder of the build."""
        return home.room("builds") / f"{self.name}-{self.arch}"


def recipe(
    name: str,
    source: Path,
    origin: str,
    *,
    arch: str = DEFAULT,
    base: str | None = None,
    fragments: Sequence[Path] = (),
) -> Recipe:
    """Return a recipe from the user's options.

    Args:
        name: name of the kernel; without `base`, also that of the profile.
        base: name of the profile.
        fragments: files with configuration fragments.

    Raises:
        UsageError: the profile or a file does not exist, or a file is no fragment.
    """
    texts: list[tuple[str, str]] = []
    for path in fragments:
        texts.append((str(path), _fragment(path)))
        kconfig.parse_fragment(*reversed(texts[-1]))
    return Recipe(name, profile(base or name), source, origin, architecture(arch).name, tuple(texts))


def _fragment(path: Path) -> str:
    """Return the text of a file with a fragment, or of a pipe, as the shell's `<(…)` is one."""
    try:
        text = path.read_text(encoding="utf-8") if path.is_fifo() else require_text(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"no such fragment: {path}", "give a file with lines such as CONFIG_NAME=y") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line} is not UTF-8", "save the file as UTF-8") from error
    return text
