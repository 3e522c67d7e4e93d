# SPDX-License-Identifier: MIT
"""Text of untrusted files and Makefiles is shown on the terminal without acting on it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.hostile.conftest import World

from r4l import resources

HOSTILE = "\x1b]0;hostile\x07\x1b[2J\x1b]8;;http://hostile.invalid\x1b\\link\x1b]8;;\x1b\\\x9b5n\u202e"
"""Sequences that set the title, clear the screen, make a link, send keys back, and change the writing direction."""
OBEYED = (b"\x1b]", b"\x1b[2J", b"\x1b[5n", "\x9b".encode(), "\u202e".encode())


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """A module's folder."""
    return Path(shutil.copytree(resources.rust("drivers/hello"), world.user / "src" / tmp_path.name))


def shown(world: World, *arguments: str) -> bytes:
    """Output of a failed r4l on the terminal."""
    before = len(world.shown)
    assert world.r4l(*arguments) != 0
    world.settle()
    return bytes(world.shown[before:])


def test_a_makefile_does_not_command_the_terminal(world: World, folder: Path) -> None:
    """Regression: the error's own line did."""
    lines = ["obj-m := hello.o", *(f"$({how} {HOSTILE}{how})" for how in ("info", "warning", "error"))]
    (folder / "Kbuild").write_text("\n".join(lines) + "\n")
    said = shown(world, "build", str(folder))
    assert b"hostile" in said
    assert not [sequence for sequence in OBEYED if sequence in said], said


def test_a_files_name_does_not_command_the_terminal(world: World, folder: Path) -> None:
    """Regression: the name did."""
    (folder / f"{HOSTILE.replace('/', '')}.rs").symlink_to(world.user / "secret")
    said = shown(world, "build", str(folder))
    assert b"hostile" in said
    assert not [sequence for sequence in OBEYED if sequence in said], said
