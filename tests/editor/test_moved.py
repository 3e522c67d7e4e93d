# SPDX-License-Identifier: MIT
"""A folder with editor files is moved: the servers understand it in its new place."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r4l import home, ide, resources
from r4l.ide import check, owned
from r4l.ide.lsp import LanguageServer
from r4l.kernel import Kernel
from r4l.module import Module

# A machine with much else to do is no failure.
pytestmark = pytest.mark.timeout(900)

UNMENDED = "R4L_IDE_MOVED"
"""Variable with which the scripts of the servers do not look whether the folder was moved."""


@pytest.fixture
def folder(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """A folder with C and Rust, a header found by `$(PWD)`, and editor files."""
    made = tmp_path / "here/c_from_rust"
    shutil.copytree(resources.rust("drivers/c_from_rust"), made, ignore=shutil.ignore_patterns("tests", ".vscode"))
    (made / "inc").mkdir()
    (made / "inc/own.h").write_text("#define OWN 1\n")
    with (made / "helpers.c").open("a") as source:
        source.write('#include "own.h"\nint own = OWN;\n')
    with (made / "Kbuild").open("a") as kbuild:
        kbuild.write("ccflags-y += -I$(PWD)/inc\n")
    assert ide.for_module(Module(made), kernel).broken is None
    yield made
    for record in home.room("modules").glob("c_from_rust-*/folder"):
        if Path(record.read_text()).is_relative_to(tmp_path):
            home.remove(record.parent)


def settings(folder: Path) -> dict[str, Any]:
    """The settings that VS Code reads in a folder."""
    read: dict[str, Any] = json.loads((folder / ".vscode/settings.json").read_text())
    return read


def c_is_understood(folder: Path) -> None:
    """See that clangd, started by an editor in a folder, finds the header of its C file."""
    with LanguageServer([settings(folder)["clangd.path"], "--background-index=false"], folder) as server:
        assert not check.c(server, [folder / "helpers.c"]).errors
        [(file, _)] = server.definition(folder / "helpers.c", "own = OWN", "OWN")
    assert file == folder / "inc/own.h"


def rust_is_understood(folder: Path) -> None:
    """See that rust-analyzer, started by an editor in a folder, finds all names of its Rust file."""
    own = settings(folder)
    options = {**check.options([]), "linkedProjects": own["rust-analyzer.linkedProjects"]}
    with LanguageServer([own["rust-analyzer.server.path"]], folder, options) as server:
        server.wait_until_quiet()
        understood = check.rust(server, [folder / "main.rs"])
    assert understood.files == (folder / "main.rs",)
    assert not (*understood.names, *understood.errors)


def test_a_renamed_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = folder.rename(folder.with_name("renamed"))
    monkeypatch.setenv(UNMENDED, "1")
    rust_is_understood(renamed)
    assert owned.moved(renamed), "nothing was written again yet: paths in the folder are relative"
    monkeypatch.delenv(UNMENDED)
    c_is_understood(renamed)
    assert owned.moved(renamed) is None


def test_a_folder_in_another_place(folder: Path, tmp_path: Path) -> None:
    there = tmp_path / "else/where/driver"
    there.parent.mkdir(parents=True)
    c_is_understood(folder.rename(there))
    assert owned.moved(there) is None


@pytest.mark.parametrize("words", [["build"], ["run", "--", "true"], ["ide"]], ids=lambda words: words[0])
def test_the_next_command_writes_the_files_again(folder: Path, words: list[str]) -> None:
    moved = folder.rename(folder.with_name("moved"))
    command, *rest = words
    argv = [sys.executable, "-m", "r4l", command, str(moved), *rest]
    subprocess.run(argv, check=True, capture_output=True, text=True)
    assert owned.moved(moved) is None
    [entry] = json.loads((moved / "compile_commands.json").read_text())
    assert (entry["directory"], entry["file"]) == (str(moved), str(moved / "helpers.c"))
    assert f"-I{moved}/inc" in entry["arguments"]


def test_a_watch_writes_the_files_again(folder: Path) -> None:
    moved = folder.rename(folder.with_name("moved"))
    argv = [sys.executable, "-m", "r4l", "watch", str(moved)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as watching:
        assert watching.stdout
        said = [next(line for line in watching.stdout if "the first run" in line)]
        assert owned.moved(moved) is None, said
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
    assert watching.returncode == 130
