# SPDX-License-Identifier: MIT
"""Kinds of commands: with the project file's values as defaults, with words after `--` for pytest or for the guest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from r4l.cli import quiet
from r4l.debian import choice
from r4l.settings import Settings


class ProjectCommand(click.Command):
    """A command whose options default to the values of the project file (`r4l.settings`)."""

    def __init__(self, *arguments: Any, **rest: Any) -> None:
        super().__init__(*arguments, **rest)
        self.params.append(quiet.option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse like click, then apply the values of the project file nearest to the command's folder."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _settle(ctx)
        return rest


OF_MACHINE = {"modules": "with_module"}
"""Option names that differ from the project file's keys."""


def _settle(ctx: click.Context) -> None:
    """Put the project file's values in the place of defaults."""
    where = Path(ctx.params.get("target") or ctx.params.get("folder") or "")
    no_module = str(where) == NOTHING
    settings = Settings.near(Path() if no_module else where.parent if where.is_file() else where)

    def default(name: str, value: object) -> None:
        source = ctx.get_parameter_source(name)
        if name in ctx.params and source in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            ctx.params[name] = value

    choice.prefer(settings)
    if settings.kernel:
        default("kernel_names", settings.kernel)
        default("kernel_name", settings.kernel[0])
    if settings.arch:
        default("arch", settings.arch)
    for key, value in settings.machine.items():
        default(OF_MACHINE.get(key, key), tuple(value) if isinstance(value, list) else value)
    if "config" in ctx.params:
        ctx.params["config"] = {**settings.config, **ctx.params["config"]}
    if "param" in ctx.params and not no_module:
        # If a parameter is given twice, the last value counts.
        ctx.params["param"] = (*settings.pairs, *ctx.params["param"])


class PytestCommand(ProjectCommand):
    """A command `[FOLDER] [-- ARGUMENTS...]`: click alone would take the first argument for the folder."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse like click, with the words after `--` added unparsed to `pytest_arguments`."""
        own, given = args, []
        if "--" in args:
            place = args.index("--")
            own, given = args[:place], args[place + 1 :]
        rest = super().parse_args(ctx, own)
        ctx.params["pytest_arguments"] = (*(ctx.params.get("pytest_arguments") or ()), *given)
        return rest


NOTHING = "-"
"""Target of a guest's command that loads no module."""


class GuestCommand(ProjectCommand):
    """A command `[OPTIONS] TARGET [OPTIONS] [--] [COMMAND...]`: the words after a program's name belong to that
    program.

    If `--` comes before any target, the command gets `NOTHING` as its target.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse like click, without the arguments of the guest's program.

        A word with a blank in it is a line for the guest's shell, which has no arguments: options may follow it.
        """
        own, rest, ended = self._options(ctx, args)
        target, command = ([NOTHING], rest) if ended else (rest[:1], rest[1:])
        if not ended:
            more, command, ended = self._options(ctx, command)
            own += more
        if not ended and command and " " in command[0].strip():
            more, left, _ = self._options(ctx, command[1:])
            own, command = own + more, [command[0], *left]
        return super().parse_args(ctx, [*own, "--", *target, *command])

    def _options(self, ctx: click.Context, args: list[str]) -> tuple[list[str], list[str], bool]:
        """Return the options that the words begin with, the words behind them, and True if `--` stands between."""
        parser = click.Command(None, params=[one for one in self.params if isinstance(one, click.Option)]).make_parser(
            ctx
        )
        parser.allow_interspersed_args = False
        _, rest, _ = parser.parse_args(list(args))
        own = args[: len(args) - len(rest)]
        ended = own[-1:] == ["--"]
        return own[:-1] if ended else own, rest, ended
