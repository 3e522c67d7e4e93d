# SPDX-License-Identifier: MIT
"""The scripts that start a language server see whether the opened folder was moved."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from filelock import Timeout

from r4l import home, ide
from r4l.cli.ide import command
from r4l.ide import _json, launcher
from r4l.ide.owned import OwnedFiles
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
    launcher.write(Toolchain(tmp_path, "key"), list, lambda: [folder, tmp_path / "other"])
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


@pytest.mark.parametrize("edited", ["my driver", "driver", "a|b", "it's"], indirect=True)
def test_folders_that_the_scripts_know(edited: Path) -> None:
    assert launcher.knows(edited)
    assert launcher.knows(edited.with_name("other"))
    for name in (edited.name[:-1], f"{edited.name}x", "oth"):
        assert not launcher.knows(edited.with_name(name))
    assert not launcher.knows(Path(f"{edited}|{edited.parent}/other"))


def test_scripts_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    assert not launcher.knows(tmp_path)


def test_a_folder_that_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the servers never saw a folder again that was on a disk which was not mounted for a while."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(launcher, "command", lambda _toolchain, _program, seen: f"echo {' '.join(map(str, seen))}")
    kernel = SimpleNamespace(toolchain=Toolchain(tmp_path, "key"), arch="x86_64")
    monkeypatch.setattr(Toolchain, "extended", lambda toolchain, *_args, **_words: toolchain)
    monkeypatch.setattr("r4l.kernel.named.ready", lambda *_args, **_words: None)
    for name in ("usb", "other"):
        (tmp_path / name).mkdir()
        OwnedFiles.of(tmp_path / name).write(tmp_path / name / "rust-project.json", "{}")
    folder = tmp_path / "usb"
    folder.rename(tmp_path / "away")
    ide.show(tmp_path / "other", kernel)  # type: ignore[arg-type]
    (tmp_path / "away").rename(folder)
    assert ide.is_unseen(folder)
    assert not ide.is_unseen(tmp_path / "other")
    assert not ide.is_unseen(tmp_path)
    ide.show(folder, kernel)  # type: ignore[arg-type]
    assert not ide.is_unseen(folder)
    assert f"exec echo {tmp_path}/other {folder} " in (tmp_path / "home/bin/clangd").read_text()


def test_the_command_for_a_folder_that_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    (tmp_path / "Kbuild").write_text("obj-m := hello.o\n")
    OwnedFiles.of(tmp_path).write(tmp_path / "rust-project.json", "{}")
    shown = []
    monkeypatch.setattr("r4l.cli.ide.set_up", lambda *_args, **_words: None)
    monkeypatch.setattr(ide, "show", lambda folder, *_: shown.append(folder))
    CliRunner().invoke(command, [str(tmp_path), "--if-moved"])
    assert shown == [tmp_path]


def test_two_processes_write_the_scripts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the folders were listed before the lock, and the scripts of the second one lacked the first's."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(launcher, "command", lambda *_: "echo")
    there: list[Path] = []

    def folders() -> list[Path]:
        with pytest.raises(Timeout):
            home.lock("ide-bin").acquire(timeout=0)
        return there

    launcher.write(Toolchain(tmp_path, "key"), folders, folders)
