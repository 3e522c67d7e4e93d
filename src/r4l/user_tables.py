# SPDX-License-Identifier: MIT
"""TOML files that users write: a mistake in one is a usage error, which names the file and the key."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from r4l import tables
from r4l.errors import UsageError
from r4l.paths import require_text
from r4l.tables import Shape


def load(file: Path) -> dict[str, Any]:
    """Return the content of a file, of any shape.

    Raises:
        UsageError: the file cannot be read, or is not TOML.
    """
    try:
        table = tomllib.loads(require_text(file))
        # Fails for a number with too many digits, which no error could show.
        repr(table)
    # ValueError: not TOML, not UTF-8, or a number with too many digits. RecursionError: a thousand brackets.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML: {error}", "correct the file") from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", "make it readable") from error
    return table


def read(file: Path, shape: Shape) -> dict[str, Any]:
    """Return the content of a file after checking its shape.

    Raises:
        UsageError: the file cannot be read, is not TOML, or does not have the shape.
    """
    table = load(file)
    try:
        tables.check(table, shape, str(file))
    except tables.UnknownKey as error:
        close = difflib.get_close_matches(error.key, error.known, 1)
        remedy = f"did you mean {error.path}{close[0]}?" if close else f"its keys are {', '.join(sorted(error.known))}"
        raise UsageError(f"{file}: there is no key {error.path}{error.key}", remedy) from error
    except tables.BadTable as error:
        raise UsageError(str(error), "correct the file") from error
    return table
