# SPDX-License-Identifier: MIT
"""Read recordings from files: evidence of failed tests, and what `r4l scope --output FILE.json` has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.pci import recording
from r4l.pci.recording import FORMAT

LARGEST = 256 << 20
"""Bytes of a file."""


def load(file: Path) -> list[dict[str, Any]]:
    """Return the recordings in a file, one for each device.

    Raises:
        UsageError: the file does not exist, or is no recording.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise UsageError(f"{file} has more than {LARGEST >> 20} MiB", "record fewer events")
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name a recording, such as pci0.json") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no recording: {error}", "name a pci0.json, not a pci0.trace") from error
    found: list[dict[str, Any]] = data if isinstance(data, list) else [data]
    problem = next(filter(None, map(recording.check, found)), "") if found else "it is empty"
    if problem:
        raise UsageError(f"{file} is no recording of the form {FORMAT}: {problem}", "record it again with this r4l")
    return found
