# SPDX-License-Identifier: MIT
"""The kernel's `.config` as a mapping."""

from __future__ import annotations

from pathlib import Path

from r4l.paths import require_text


def read_config(path: Path) -> dict[str, str]:
    """Return the options that are set, with quotes removed: `CONFIG_RUST` to `y`. Unset options are absent.

    Raises:
        OSError, UsageError: as for `require_text`.
    """
    found: dict[str, str] = {}
    # A text, such as CONFIG_DEFAULT_HOSTNAME, is in any encoding, and its line ends at a newline only.
    for line in require_text(path, "replace").split("\n"):
        if line.startswith("CONFIG_") and "=" in line:
            name, value = line.split("=", 1)
            found[name] = value.strip('"')
    return found
