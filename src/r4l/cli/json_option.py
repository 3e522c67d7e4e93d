# SPDX-License-Identifier: MIT
"""The option `--json`, noted only when given as an option, never for the same word among a guest's arguments."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

import click

from r4l.errors import R4LError

F = TypeVar("F", bound=Callable[..., Any])
ASKED = "json"


def json_option(text: str) -> Callable[[F], F]:
    """Return the option `--json`, given to the command as `as_json`, and noted for the code that shows errors."""
    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_note, help=text)


def fail(error: R4LError, *, as_json: bool) -> NoReturn:
    """End a command that has printed its result, with an error's exit code.

    Args:
        error: raised, so that its text is shown, unless the result was a document of JSON: it would be a second one.
        as_json: True if the result was.
    """
    raise SystemExit(error.exit_code) if as_json else error


def asks_for_json(context: click.Context, arguments: Sequence[str]) -> bool:
    """Return True if the arguments of a command that has the option give it; they may be wrong before it.

    Args:
        context: of the command.
        arguments: of the program.
    """
    return any(one.name == "as_json" for one in context.command.params) and "--json" in _own(arguments)


def context_of(top: click.Command, arguments: Sequence[str]) -> click.Context:
    """Return the context of the command that arguments name; some of click's errors have none.

    Args:
        top: the program.
        arguments: of the program.
    """
    context = click.Context(top, info_name="r4l")
    for word in _own(arguments):
        if not isinstance(context.command, click.Group):
            break
        command = None if word.startswith("-") else context.command.get_command(context, word)
        context = click.Context(command, parent=context, info_name=word) if command else context
    return context


def _own(arguments: Iterable[str]) -> list[str]:
    """Return the arguments that are not those of a command in the guest."""
    return list(itertools.takewhile(lambda word: word != "--", arguments))


def _note(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    if value:
        context.ensure_object(dict)[ASKED] = True
    return value
