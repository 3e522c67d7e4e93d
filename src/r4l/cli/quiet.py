# SPDX-License-Identifier: MIT
"""The option `-q`, which every command has."""

from __future__ import annotations

import os

import click

from r4l.stages import QUIET


def option() -> click.Option:
    """Return the option `-q`."""
    return click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_be_quiet,
        help="Show nothing of what goes well but the output itself (R4L_QUIET=1).",
    )


def add_to(command: click.Command) -> None:
    """Add the option to a command, or to the commands of a group, unless they have it.

    A command that passes unknown options on does not get it: `r4l selftest -q` is pytest's.
    """
    if isinstance(command, click.Group):
        for one in command.commands.values():
            add_to(one)
    elif not (
        command.context_settings.get("ignore_unknown_options") or any("-q" in one.opts for one in command.params)
    ):
        command.params.append(option())


def _be_quiet(_context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        os.environ[QUIET] = "1"
