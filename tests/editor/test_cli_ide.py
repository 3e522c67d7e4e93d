# SPDX-License-Identifier: MIT
"""`r4l ide` as a user calls it: among the user's own files, interrupted, with other editors."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l import home, resources
from r4l.ide.jsonc import Document
from r4l.kernel import Kernel
from r4l.module import Module

# A machine with much else to do is no failure.
pytestmark = pytest.mark.timeout(900)

WRITTEN = {"rust-project.json", ".vscode"}


def ide(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "r4l", "ide", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def folder(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """A new module folder of the user."""
    made = tmp_path / "hello"
    made.mkdir()
    for file in resources.rust("drivers/hello").glob("[!.]*"):
        if file.is_file() and file.suffix != ".json":
            shutil.copy(file, made)
    yield made
    output = Module(made).output(kernel).parent
    if output.exists():
        home.remove(output)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_users_own_settings_keep_their_comments(folder: Path) -> None:
    (folder / ".vscode").mkdir()
    settings = folder / ".vscode/settings.json"
    settings.write_text('{\n  // mine\n  "editor.tabSize": 3,\n  "clangd.path": "/usr/bin/clangd", // and this\n}\n')
    done = ide(folder)
    assert done.returncode == 0, done.stderr
    assert "settings.json keeps your own clangd.path" in done.stderr
    text = settings.read_text()
    assert "// mine\n" in text
    assert "// and this\n" in text
    values = Document.parse(text).values
    assert values["editor.tabSize"] == 3
    assert values["clangd.path"] == "/usr/bin/clangd"
    assert "rust-project.json" in values["rust-analyzer.linkedProjects"]


def test_settings_that_cannot_be_read_stay_and_ours_lie_beside_them(folder: Path) -> None:
    (folder / ".vscode").mkdir()
    settings = folder / ".vscode/settings.json"
    settings.write_text('{"a": ')
    done = ide(folder, "--force")
    assert done.returncode == 0, done.stderr
    assert "correct it" in done.stderr
    assert settings.read_text() == '{"a": '
    beside = json.loads((folder / ".vscode/r4l.settings.json").read_text())
    assert "rust-project.json" in beside["rust-analyzer.linkedProjects"]


def test_a_project_of_the_users_own_is_refused_and_nothing_is_written(folder: Path) -> None:
    (folder / "rust-project.json").write_text("{}")
    before = names(folder)
    done = ide(folder)
    assert done.returncode == 2
    assert "was not written by r4l" in done.stderr
    assert "--force" in done.stderr
    assert (folder / "rust-project.json").read_text() == "{}"
    assert names(folder) == before
    forced = ide(folder, "--force", "--json")
    assert forced.returncode == 0, forced.stderr
    assert json.loads((folder / "rust-project.json").read_text())["crates"]
    assert json.loads(forced.stdout)["checked"] is None


def test_interrupted_it_leaves_nothing_and_the_next_run_ends(kernel: Kernel, folder: Path) -> None:
    before = names(folder)
    run = subprocess.Popen(
        [sys.executable, "-m", "r4l", "ide", str(folder)], stderr=subprocess.PIPE, start_new_session=True
    )
    log = Module(folder).log(kernel)
    deadline = time.monotonic() + 120
    while not log.exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors.decode()
    assert "interrupted" in errors.decode()
    assert names(folder) == before
    deadline = time.monotonic() + 15
    while _running(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _running(folder)
    done = ide(folder)
    assert done.returncode == 0, done.stderr
    assert names(folder) == before | WRITTEN


def _running(folder: Path) -> list[str]:
    """Return the processes that work on a folder."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if str(folder) in line]


def test_a_folder_that_settings_cannot_be_written_to(folder: Path) -> None:
    (folder / ".vscode").write_text("a file where a folder should be")
    before = names(folder)
    done = ide(folder)
    assert done.returncode == 120
    assert f"cannot read {folder / '.vscode/settings.json'}" in done.stderr
    assert "remedy:" in done.stderr
    assert names(folder) == before
