# SPDX-License-Identifier: MIT
"""`--json`: asked for by the option alone, never by the same word among a guest's own arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
ASKED = "json"


def json_option(text: str) -> Callable[[F], F]:
    """`--json`, given to the command as `as_json`, and noted for whoever shows an error of that command."""
    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_note, help=text)


def _note(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    if value:
        context.ensure_object(dict)[ASKED] = True
    return value
