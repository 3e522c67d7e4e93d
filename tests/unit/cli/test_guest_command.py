# SPDX-License-Identifier: MIT
"""Separation of r4l's own arguments from those of the guest's program."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from r4l.cli import cli
from r4l.cli.commands import GuestCommand
from r4l.cli.json_option import ASKED, json_option


@click.command(cls=GuestCommand)
@click.argument("target")
@click.argument("guest", nargs=-1, type=click.UNPROCESSED)
@click.option("--param", "-p", multiple=True)
@click.option("--shell", is_flag=True)
@json_option("As JSON.")
def probe(target: str, guest: tuple[str, ...], param: tuple[str, ...], shell: bool, as_json: bool) -> None:
    click.echo(f"{target} {list(guest)} {list(param)} {shell} {as_json}")


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["."], ". [] [] False False"),
        (["--json", "."], ". [] [] False True"),
        (["--", "uname", "-a"], "- ['uname', '-a'] [] False False"),
        (["--json", "--", "uname -a"], "- ['uname -a'] [] False True"),
        (["-", "uname", "-a"], "- ['uname', '-a'] [] False False"),
        ([".", "-p", "a=1", "--shell"], ". [] ['a=1'] True False"),
        (
            ["-p", "a=1", ".", "-p", "b=2", "--json", "--", "ls", "--json", "-p"],
            ". ['ls', '--json', '-p'] ['a=1', 'b=2'] False True",
        ),
        ([".", "--", "--json"], ". ['--json'] [] False False"),
        ([".", "--", "--", "--json"], ". ['--', '--json'] [] False False"),
        ([".", "ip", "--json", "addr"], ". ['ip', '--json', 'addr'] [] False False"),
        ([".", "--json", "ip", "--json", "addr"], ". ['ip', '--json', 'addr'] [] False True"),
        ([".", "ip addr", "--json"], ". ['ip addr'] [] False True"),
        ([".", "--", "ip addr", "--json"], ". ['ip addr', '--json'] [] False False"),
        (["--", "ls", "--json"], "- ['ls', '--json'] [] False False"),
        ([".", "-p", "--json", "ls"], ". ['ls'] ['--json'] False False"),
    ],
)
def test_whose_words(words: list[str], seen: str) -> None:
    asked: dict[str, bool] = {}
    done = CliRunner().invoke(probe, words, obj=asked)
    assert done.output.strip() == seen
    assert (ASKED in asked) == seen.endswith("True"), "an error is shown as JSON where that was asked for"


def test_no_command_looks_at_the_words_itself() -> None:
    """A command with its own `--json` instead of the shared option would show errors as text."""
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in cli.list_commands(context)]
    while commands:
        command = commands.pop()
        assert command is not None
        if isinstance(command, click.Group):
            commands += command.commands.values()
        for option in command.params:
            if "--json" in option.opts:
                assert option.callback is not None, command.name
