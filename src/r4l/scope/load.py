# SPDX-License-Identifier: MIT
"""Read recordings from files: evidence of failed tests, and what `r4l scope --output FILE.json` has written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.paths import require_bytes
from r4l.pci import recording
from r4l.pci.recording import FORMAT

LARGEST = 256 << 20
"""Bytes of a file."""


def load(file: Path) -> list[dict[str, Any]]:
    """Return the recordings in a file, one for each device.

    Raises:
        UsageError: the file does not exist, is no plain file, is too large, or is no recording.
    """
    try:
        data = json.loads(require_bytes(file, LARGEST), parse_float=_finite, parse_constant=_finite)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name a recording, such as pci0.json") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no recording: {error}", "name a pci0.json, not a pci0.trace") from error
    found: list[dict[str, Any]] = data if isinstance(data, list) else [data]
    problem = next(filter(None, map(recording.check, found)), "") if found else "it is empty"
    if problem:
        raise UsageError(f"{file} is no recording of the form {FORMAT}: {problem}", "record it again with this r4l")
    return found


def _finite(text: str) -> float:
    """Return a number of JSON. Python takes NaN and Infinity for such, and browsers do not.

    Raises:
        ValueError: the number is none of those, or too large for a float.
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no number of JSON")
    return value
