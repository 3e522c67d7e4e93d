# SPDX-License-Identifier: MIT
"""Compare the tool versions that a kernel asks for (its scripts/min-tool-version.sh) with those present."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from r4l.arch import architecture
from r4l.toolchain import Grant, Toolchain

TOOLS = {"rustc": "rustc", "bindgen": "bindgen", "llvm": "clang"}
"""The script's names of the tools for Rust, and the toolchain's names (`[versions]` in debian.toml)."""


@dataclass(frozen=True)
class Tool:
    """A tool that the kernel needs.

    Attributes:
        name: as in min-tool-version.sh.
        found: version in the toolchain; a sentence if the tool does not run.
        wanted: oldest version that the kernel accepts.
    """

    name: str
    found: str
    wanted: str

    @property
    def ok(self) -> bool:
        """True if the present version is new enough."""
        found = numbers(self.found)
        return bool(found) and found >= numbers(self.wanted)


def numbers(version: str) -> tuple[int, ...]:
    """Return a version for comparison: `1.85.1` as (1, 85, 1), words as ()."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def tools(source: Path, toolchain: Toolchain, arch: str, versions: dict[str, str] | None = None) -> list[Tool]:
    """Return the tools that a kernel's Rust needs.

    Args:
        source: the kernel's source tree.
        versions: result of `Toolchain.versions`, if known already.

    Raises:
        EnvironmentFault: the source has no scripts/min-tool-version.sh.
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
