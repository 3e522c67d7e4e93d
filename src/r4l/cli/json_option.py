# SPDX-License-Identifier: MIT
"""The option `--json`, noted only when given as an option, never for the same word among a guest's arguments."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
ASKED = "json"


def json_option(text: str) -> Callable[[F], F]:
    """Return the option `--json`, given to the command as `as_json`, and noted for the code that shows errors."""
    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_note, help=text)


def asks_for_json(context: click.Context | None, arguments: Sequence[str]) -> bool:
    """Return True if the arguments of a command that has the option give it; they may be wrong before it.

    Args:
        context: of the command; None if the arguments name none.
        arguments: of the program.
    """
    own = itertools.takewhile(lambda word: word != "--", arguments)
    return context is not None and any(one.name == "as_json" for one in context.command.params) and "--json" in own


def _note(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    if value:
        context.ensure_object(dict)[ASKED] = True
    return value
