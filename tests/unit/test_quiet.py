# SPDX-License-Identifier: MIT
"""`-q` and R4L_QUIET: nothing is shown of what goes well, and all of what fails."""

from __future__ import annotations

import io
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from r4l.cli import cli
from r4l.cli.commands import ProjectCommand
from r4l.stages import QUIET, Stages
from r4l.terminal import Console


def shown() -> str:
    """The lines about a stage that took a while and ended well, and about one that failed."""
    out = io.StringIO()
    with Stages(Console(file=out, width=100)) as stages:
        with stages.stage("booting"):
            # A stage of less than half a second is not worth a line.
            stages.done.clear()
        with pytest.raises(RuntimeError), stages.stage("building"):
            raise RuntimeError
    return out.getvalue()


def test_what_fails_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 1000, 5))
    monkeypatch.setattr("r4l.stages.time.monotonic", lambda: float(next(seconds)))
    monkeypatch.delenv(QUIET, raising=False)
    loud = shown()
    assert "booting" in loud
    monkeypatch.setenv(QUIET, "1")
    assert "booting" not in shown()
    assert "building" in shown()


def test_every_command_has_the_option() -> None:
    """Regression: it was missing from lab, log, exec, kernel and others."""
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in cli.list_commands(context) if name != "selftest"]
    while commands:
        command = commands.pop()
        assert command is not None
        if isinstance(command, click.Group):
            commands += command.commands.values()
        else:
            assert sum("-q" in option.opts for option in command.params) == 1, command.name
    selftest = cli.get_command(context, "selftest")
    assert selftest is not None
    assert not any("-q" in option.opts for option in selftest.params), "it is pytest's there"


def test_a_log_without_a_complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUIET, "")
    log = tmp_path / "console.log"
    log.write_text("[    1.000000] all is well\n", encoding="utf-8")
    assert "does not complain" in CliRunner().invoke(cli, ["log", str(log)]).output
    assert CliRunner().invoke(cli, ["log", "-q", str(log)]).output == ""
    log.write_text("[    1.000000] BUG: KASAN: slab-use-after-free in x+0x1/0x2\n", encoding="utf-8")
    assert "KASAN" in CliRunner().invoke(cli, ["log", "-q", str(log)]).output


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_the_option_is_heard_by_all_that_is_started(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUIET, "")

    @click.command(cls=ProjectCommand)
    def probe() -> None:
        click.echo(f"quiet: {os.environ.get(QUIET)}")

    assert CliRunner().invoke(probe, []).output == "quiet: \n"
    assert CliRunner().invoke(probe, [option]).output == "quiet: 1\n"
