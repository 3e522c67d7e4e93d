# SPDX-License-Identifier: MIT
"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from r4l import resources
from r4l.cli import debug, run
from r4l.cli.options import on_option, require_writable, timeout_option
from r4l.errors import UsageError


@pytest.mark.parametrize("name", ["/proc/x.pcap", "/no/such/folder/x.pcap", "/etc/passwd/x.pcap"])
@pytest.mark.parametrize("option", ["--pcap", "--console"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    def work(*_arguments: object, **_rest: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(run, "set_up", work)
    done = CliRunner().invoke(run.command, [str(resources.rust("drivers/hello")), option, name])
    assert isinstance(done.exception, UsageError)
    assert done.exception.cause.startswith(f"cannot write {name}: ")


def test_the_question_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "new.pcap")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.pcap").write_text("old")
    require_writable(tmp_path / "old.pcap")
    assert (tmp_path / "old.pcap").read_text() == "old"
    require_writable(Path("/dev/null"))


@pytest.mark.parametrize("command", [run.command, debug.command])
def test_a_time_before_now_is_refused(command: click.Command) -> None:
    done = CliRunner().invoke(command, [str(resources.rust("drivers/hello")), "--timeout", "-1"])
    assert done.exit_code == 2
    assert "-1.0 is not in the range x>=0" in done.output


@click.command()
@timeout_option("Seconds.")
@on_option
def limits(timeout: float, address: str, patience: float) -> None:
    """Print the seconds."""
    click.echo(f"{timeout} {patience}")


@pytest.mark.parametrize(("word", "seconds"), [("0", 0.0), ("2.5", 2.5), ("inf", 0.0), ("1e300", 0.0), ("1e400", 0.0)])
def test_a_time_without_end_is_no_limit(word: str, seconds: float) -> None:
    """Regression: `r4l exec --timeout inf` ended with a bug: the system's waits do not take such a number."""
    done = CliRunner().invoke(limits, ["--timeout", word])
    assert done.output.split()[0] == str(seconds)


@pytest.mark.parametrize("option", ["--timeout", "--wait"])
def test_a_time_that_is_no_number_is_refused(option: str) -> None:
    """Regression: a wait of `nan` seconds never ended, with a processor busy."""
    done = CliRunner().invoke(limits, [option, "nan"])
    assert done.exit_code == 2
    assert "'nan' is not a number of seconds" in done.output
