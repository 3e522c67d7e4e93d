# SPDX-License-Identifier: MIT
"""The option `--json`, noted only when given as an option, never for the same word among a guest's arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
ASKED = "json"


def json_option(text: str) -> Callable[[F], F]:
    """Return the option `--json`, given to the command as `as_json`, and noted for the code that shows errors."""
    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_note, help=text)


def _note(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    if value:
        context.ensure_object(dict)[ASKED] = True
    return value
