# SPDX-License-Identifier: MIT
"""Numbers that make no machine are refused, and not taken for the default."""

from __future__ import annotations

from typing import Any, cast

import click
import pytest
from click.testing import CliRunner

from r4l.cli.options import machine_options
from r4l.errors import UsageError
from r4l.vm import VM


@pytest.mark.parametrize("name", ["memory", "cpus", "silence", "boot_timeout"])
@pytest.mark.parametrize("number", [0, -5])
def test_of_a_machine(name: str, number: int) -> None:
    """Regression: `memory=0` was the default amount."""
    words: dict[str, Any] = {name: number}
    with pytest.raises(UsageError, match=f"{name}={number}"):
        VM(cast(Any, None), **words)


@pytest.mark.parametrize("option", ["--memory", "--cpus", "--nics", "--ssh-port"])
def test_of_the_command_line(option: str) -> None:
    @click.command
    @machine_options
    def probe(machine: object) -> None:
        click.echo("a machine")

    done = CliRunner().invoke(probe, [option, "-1"])
    assert (done.exit_code, "a machine" in done.output) == (2, False)
    zero = CliRunner().invoke(probe, [option, "0"])
    assert zero.exit_code == (2 if option in ("--memory", "--cpus") else 0)
