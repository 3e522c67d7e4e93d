# SPDX-License-Identifier: MIT
"""Wrong calls of `r4l ide`, or calls before setup, are refused with a remedy and write nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from r4l import ide
from r4l.cli import editor_files
from r4l.errors import BuildError, EnvironmentFault, UsageError
from r4l.ide.owned import OwnedFiles
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.process import Say
from r4l.stages import Stages
from r4l.toolchain import Toolchain
from r4l.watch.loop import Loop


def r4l_ide(home: Path, *arguments: str | Path, mirror: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "r4l", "ide", *arguments],
        env={**os.environ, "R4L_HOME": str(home), "R4L_MIRROR": mirror},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := hello.o\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["{empty}"], "holds no module"),
        (["{empty}/nothing"], "is not a folder"),
        (["{module}", "--tree"], "--tree is for the kernel's source"),
        (["--tree", "--check"], "--tree is for the kernel's source"),
        (["{module}", "--subsystem", "lib"], "--subsystem goes with --tree"),
        (["{module}", "--kernel", "nosuch"], "there is no kernel nosuch"),
    ],
)
def test_a_wrong_call(arguments: list[str], cause: str, module: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = r4l_ide(tmp_path / "home", *(word.format(empty=empty, module=module) for word in arguments))
    assert done.returncode == 2
    assert cause in done.stderr
    assert "remedy:" in done.stderr
    assert [path.name for path in module.iterdir()] == ["Kbuild"]
    assert not list(empty.iterdir())


def test_no_kernel_is_ready_and_none_can_be_made(module: Path, tmp_path: Path) -> None:
    # Nobody listens on the discard port of loopback.
    done = r4l_ide(tmp_path / "home", module, mirror="http://127.0.0.1:9/debian")
    assert done.returncode == 120, done.stderr
    assert "environment: the Debian mirror cannot be reached" in done.stderr
    assert "remedy:" in done.stderr
    assert [path.name for path in module.iterdir()] == ["Kbuild"]


class Begun(Exception):
    """The work of a command after its build has begun."""


@pytest.mark.parametrize("command", ["build", "run", "test", "watch", "debug", "scope"])
def test_commands_that_build_a_folder_bring_its_editor_files_along(
    command: str, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    OwnedFiles.of(module).write(module / "rust-project.json", "{}")
    moved = module.rename(tmp_path / "moved")
    followed = []
    (tmp_path / ".config").write_text("CONFIG_DEBUG_INFO=y\n")
    toolchain = Toolchain(tmp_path, "key")
    monkeypatch.setattr(Toolchain, "extended", lambda *_args, **_words: toolchain)
    kernel = Kernel(
        release="1.2", version="", arch="x86_64", build=tmp_path, source=tmp_path, image=tmp_path, vmlinux=tmp_path,
        modules=tmp_path, toolchain=toolchain, manifest={},
    )  # fmt: skip

    def begin(*_args: object, **_words: object) -> None:
        raise Begun

    def rewrite(folder: Module, _kernel: Kernel, _say: Say) -> None:
        followed.append(folder.folder)

    code = importlib.import_module(f"r4l.cli.{command}")
    for name in ("r4l.cli.run", code.__name__):
        if hasattr(importlib.import_module(name), "set_up"):
            monkeypatch.setattr(f"{name}.set_up", lambda *_args, **_words: kernel)
    monkeypatch.setattr(Module, "build_all", lambda *_args, **_words: [])
    monkeypatch.setattr(ide, "rewrite_if_moved", rewrite)
    monkeypatch.setattr(Loop, "forever", begin)
    monkeypatch.setattr("r4l.cli.options.MachineOptions.start", begin)
    monkeypatch.setattr("r4l.cli.test.run_here", begin)
    monkeypatch.setattr("r4l.cli.build.show_warnings", begin)
    CliRunner().invoke(code.command, [str(moved)])
    assert followed == [moved]


@pytest.mark.parametrize(
    "error",
    [
        UsageError("x was changed"),
        EnvironmentFault("cannot write x"),
        BuildError("the generator failed"),
        OSError(28, "No space left on device"),
    ],
)
def test_editor_files_that_cannot_be_written_stop_no_build(
    error: Exception, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Regression: in a folder that is read-only, `r4l build` ended with 120 if it had editor files."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    OwnedFiles.of(module).write(module / "rust-project.json", "{}")
    moved = module.rename(tmp_path / "moved")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ide, "rewrite_if_moved", fail)
    with Stages() as stages:
        editor_files.follow(Module(moved), None, stages)  # type: ignore[arg-type]
    assert "are for the folder's old place" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr(OwnedFiles, "of", fail)
    with Stages() as stages:
        editor_files.follow(Module(moved), None, stages)  # type: ignore[arg-type]
