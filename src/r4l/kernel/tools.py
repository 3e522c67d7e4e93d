# SPDX-License-Identifier: MIT
"""The versions of tools that a kernel asks for (its scripts/min-tool-version.sh), beside those that are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from r4l.arch import architecture
from r4l.toolchain import Grant, Toolchain

TOOLS = {"rustc": "rustc", "bindgen": "bindgen", "llvm": "clang"}
"""The script's names of what Rust needs, and the toolchain's (`[versions]` in debian.toml)."""


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        name: as min-tool-version.sh calls it.
        found: the version in the toolchain; words where it does not run.
        wanted: the oldest version that the kernel takes.
    """

    name: str
    found: str
    wanted: str

    @property
    def ok(self) -> bool:
        """Whether what is there is new enough."""
        found = numbers(self.found)
        return bool(found) and found >= numbers(self.wanted)


def numbers(version: str) -> tuple[int, ...]:
    """A version for comparison: `1.85.1` as (1, 85, 1), words as nothing."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def tools(source: Path, toolchain: Toolchain, arch: str, versions: dict[str, str] | None = None) -> list[Tool]:
    """What a kernel's Rust needs.

    Args:
        source: the kernel's.
        versions: what `Toolchain.versions` said, where it was asked already.

    Raises:
        EnvironmentFault: the source has no such script.
    """
    found = versions or toolchain.versions()
    kbuild = architecture(arch).kbuild
    script = source / "scripts/min-tool-version.sh"
    environment = {"ARCH": kbuild, "SRCARCH": kbuild}
    grant = Grant("kernel: versions wanted", reads=(source,))
    wanted = {
        name: toolchain.run(["sh", script, name], grant, env=environment).stdout.decode().strip() for name in TOOLS
    }
    return [Tool(name, found[ours], wanted[name]) for name, ours in TOOLS.items()]
