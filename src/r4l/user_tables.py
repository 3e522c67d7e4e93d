# SPDX-License-Identifier: MIT
"""TOML files that users write: a mistake in one is a usage error, which names the file and the key."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

from r4l import tables
from r4l.errors import UsageError
from r4l.paths import require_text
from r4l.tables import Shape

LARGEST = 1 << 20
"""Maximum characters of a text of TOML."""
MOST_PARTS = 32
"""Maximum number of parts of a key (`a.b.c`): tomllib's memory grows with its square."""
_PART = r"""(?:[\w-]{1,200}+|"(?:[^"\\\n]|\\.){0,200}+"|'[^'\n]{0,200}+')"""
"""A part of a key. Longer ones are so few in a text that they do no harm."""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*+(?:{_PART}[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}", re.MULTILINE)


def parse(text: str) -> dict[str, Any]:
    """Return the content of a text that a stranger may have written, in bounded time and memory.

    Raises:
        ValueError: the text is not TOML, has a number with too many digits, or is beyond a bound.
        RecursionError: a value is nested too deeply.
    """
    # Notepad's byte order mark, which is no character of TOML.
    text = text.removeprefix("\ufeff")
    if len(text) > LARGEST:
        raise ValueError(f"it has more than {LARGEST} characters")
    if match := _LONG_KEY.search(text):
        line = text.count("\n", 0, match.end()) + 1
        raise ValueError(f"a key has more than {MOST_PARTS} parts (at line {line})")
    table = tomllib.loads(text)
    # Fails for a number with too many digits, which no error could show.
    repr(table)
    return table


def load(file: Path) -> dict[str, Any]:
    """Return the content of a file, of any shape.

    Raises:
        UsageError: the file cannot be read, or is not TOML.
    """
    try:
        table = parse(require_text(file))
    # RecursionError: a thousand brackets.
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
