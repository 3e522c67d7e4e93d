# SPDX-License-Identifier: MIT
"""The scripts that start a language server see whether the opened folder was moved."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from r4l.ide import _json, launcher
from r4l.toolchain import Toolchain

CALLED = "-m r4l ide --if-moved"
"""The command that writes a folder's editor files again."""


@pytest.fixture
def edited(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has editor files; another, `other`, has them too. r4l and the server only print their names."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("R4L_IDE_MOVED", raising=False)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" in "$(pwd -P)" >>{tmp_path}/called\n')
    python.chmod(0o755)
    monkeypatch.setattr(launcher, "OWN_PYTHON", [str(python)])
    monkeypatch.setattr(launcher, "command", lambda *_: "echo server")
    folder = tmp_path / getattr(request, "param", "my driver")
    for place in (folder, tmp_path / "other"):
        place.mkdir()
        (place / "rust-project.json").write_text("{}")
    launcher.write(Toolchain(tmp_path, "key"), [], [folder, tmp_path / "other"])
    return folder


def commands(*folders: str) -> str:
    """Content of a compile_commands.json with a file in each folder."""
    return _json([{"directory": folder, "file": f"{folder}/a.c"} for folder in folders])


def rewritten(folder: Path) -> bool:
    """Start clangd in a folder, and return True if its editor files are written again first."""
    called = folder.parent / "called"
    called.unlink(missing_ok=True)
    script = folder.parent / "home/bin/clangd"
    done = subprocess.run([script, "--x"], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "server --x\n"
    assert not called.exists() or called.read_text() == f"{CALLED} in {folder}\n"
    return called.exists()


@pytest.mark.parametrize(
    "edited", ["my driver", "Treiber für Gerät", "我的驱动", 'quoted "driver"', "back\\slash", "[a-z]*"], indirect=True
)
def test_a_folder_in_its_place(edited: Path) -> None:
    """Regression: where the path was not ASCII, clangd's files were written again at each start."""
    assert not rewritten(edited)
    (edited / "compile_commands.json").write_text(commands(str(edited)))
    assert not rewritten(edited)
    # A Kbuild in a folder below.
    (edited / "compile_commands.json").write_text(commands(f"{edited}/src"))
    assert not rewritten(edited)


def test_a_folder_that_was_moved(edited: Path) -> None:
    assert rewritten(edited.rename(edited.with_name("renamed")))


@pytest.mark.parametrize("before", ["elsewhere", "my driver, the second", "my"])
def test_a_folder_that_took_the_place_of_another(edited: Path, before: str) -> None:
    (edited / "compile_commands.json").write_text(commands(str(edited.with_name(before))))
    assert rewritten(edited)


def test_a_folder_without_editor_files(edited: Path) -> None:
    elsewhere = edited.with_name("elsewhere")
    elsewhere.mkdir()
    assert not rewritten(elsewhere)


def test_a_path_that_is_not_utf_8_is_written_as_ascii() -> None:
    assert _json({"directory": "/tmp/\udcff"}) == '{\n "directory": "/tmp/\\udcff"\n}\n'
