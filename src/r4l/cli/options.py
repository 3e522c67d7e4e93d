# SPDX-License-Identifier: MIT
"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def kernel_option(function: F) -> F:
    """`--kernel RELEASE`, given to the command as `release`."""
    return click.option(
        "--kernel", "release", metavar="RELEASE", help="A Debian kernel by its `uname -r`; the one set up by default."
    )(function)
