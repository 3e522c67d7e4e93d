# SPDX-License-Identifier: MIT
"""The command line as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import resources
from r4l.cli import COMMANDS
from r4l.errors import EXIT_CODES


def r4l(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "r4l", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "R4L_HOME": str(home)},
    )


def test_help_names_every_command_and_exit_code(tmp_path: Path) -> None:
    done = r4l("--help", home=tmp_path)
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    for code in EXIT_CODES:
        assert f"{code:>3}  " in done.stdout


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_has_every_exit_code(name: str) -> None:
    checkout = resources.checkout()
    assert checkout
    text = (checkout / name).read_text()
    assert [code for code in EXIT_CODES if f"\n| {code} | " not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(tmp_path: Path, name: str) -> None:
    done = r4l(name, "--help", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage: r4l" in done.stdout
    assert "xample" in done.stdout or name == "kernel"


def test_usage_errors_end_with_2(tmp_path: Path) -> None:
    assert r4l("no-such-command", home=tmp_path).returncode == 2
    done = r4l("build", str(tmp_path), home=tmp_path)
    assert done.returncode == 2
    assert "holds no module" in done.stderr
    assert "remedy:" in done.stderr


@pytest.mark.parametrize("words", [["run", "rust/drivers/hello", "--shell"], ["shell"]])
def test_without_a_terminal_no_machine_boots_for_a_shell(tmp_path: Path, words: list[str]) -> None:
    done = r4l(*words, home=tmp_path)
    assert done.returncode == 2
    assert "a shell needs a terminal" in done.stderr


def test_an_error_as_json(tmp_path: Path) -> None:
    done = r4l("build", str(tmp_path), "--json", home=tmp_path)
    assert json.loads(done.stdout)["error"] == "usage"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--json", "--memory", "0", "x"], "Invalid value for '--memory': 0 is not in the range x>=1."),
        (["run", "--memory", "0", "x", "--json"], "Invalid value for '--memory': 0 is not in the range x>=1."),
        (["run", "--json", "--nosuch"], "No such option '--nosuch'."),
        (["run", "--nosuch", "--json"], "No such option '--nosuch'."),
        (["clean", "--json", "nosuch"], "Got unexpected extra argument (nosuch)"),
        (
            ["setup", "--json", "--lock", "/nonexistent"],
            "Invalid value for '--lock': File '/nonexistent' does not exist.",
        ),
        (["lab", "grade", "--json"], "Missing argument 'BUNDLES...'."),
    ],
)
def test_wrong_arguments_as_json(tmp_path: Path, words: list[str], said: str) -> None:
    """Regression: stdout was empty, which is no JSON."""
    done = r4l(*words, home=tmp_path)
    told = json.loads(done.stdout)
    assert (done.returncode, told["error"], told["cause"], told["exit_code"]) == (2, "usage", said, 2)
    assert told["remedy"] == f"see `r4l {' '.join(words[: 2 if words[0] == 'lab' else 1])} --help`"
    assert done.stderr == ""


@pytest.mark.parametrize("words", [["run", "--nosuch", "--", "--json"], ["new", "--nosuch"], ["nosuch", "--json"]])
def test_wrong_arguments_as_text(tmp_path: Path, words: list[str]) -> None:
    done = r4l(*words, home=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: No such" in done.stderr


def test_nothing_set_up_is_an_environment_fault(tmp_path: Path) -> None:
    done = r4l("kernel", "show", home=tmp_path)
    assert done.returncode == 120
    assert "r4l setup" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path: Path, shell: str) -> None:
    script = r4l("completion", shell, home=tmp_path).stdout
    assert "_R4L_COMPLETE" in script
    asked = {"bash": " $1)", "zsh": " ${~words[1]})", "fish": " (commandline -opc)[1])"}[shell]
    assert asked in script, "the program is asked as it was typed, which may be ./r4l"
    assert "$+commands" not in script


def test_bash_completes_kernels_for_the_launcher(tmp_path: Path) -> None:
    """bash itself; the launcher is one that is not on PATH."""
    (tmp_path / "r4l").write_text(f'#!/bin/sh\nexec {sys.executable} -m r4l "$@"\n')
    (tmp_path / "r4l").chmod(0o755)
    script = """eval "$(./r4l completion bash)"
    ask() { COMPREPLY=(); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _r4l_completion "$1"; echo "${COMPREPLY[@]}"; }
    ask ./r4l ru; ask ./r4l run --kernel mi; ask ./r4l test --kernel s; ask ./r4l log --kernel deb"""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "R4L_HOME": str(tmp_path)},
    )
    assert done.stdout.splitlines() == ["run", "minimal", "stock sid samples", "debug"], done.stderr


def test_colours_are_switched_off(tmp_path: Path) -> None:
    """NO_COLOR (no-color.org) leaves none, even where a terminal is claimed."""

    def shown(**more: str) -> str:
        code = "from r4l.cli import show; from r4l.errors import UsageError; show(UsageError('x', 'y'))"
        environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", **more}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        ).stderr

    assert "\x1b[1;31m" in shown()
    assert "31m" not in shown(NO_COLOR="1")
