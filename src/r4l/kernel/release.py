# SPDX-License-Identifier: MIT
"""The release that a build gave its kernel: `uname -r` in the guest."""

from __future__ import annotations

import re
from pathlib import Path

from r4l.errors import BuildError
from r4l.paths import require_text, text_or_none

RELEASE = "include/config/kernel.release"
"""File in a build folder that holds the release."""
FORM = re.compile(r"\d+\.[\w.+~-]{1,60}", re.ASCII)
"""A release that a kernel may have (the top Makefile, KERNELRELEASE)."""


def require_release(build: Path, remedy: str) -> str:
    """Return the release in a build folder, which is fit for a part of a path.

    Args:
        remedy: the error's remedy.

    Raises:
        BuildError: the file holds something else.
        OSError, UsageError: as for `require_text`.
    """
    release = require_text(build / RELEASE, "replace").strip()
    if not FORM.fullmatch(release):
        raise BuildError(f"the kernel in {build} calls itself {release!a}, which is no release", remedy)
    return release


def release_or_none(build: Path) -> str:
    """Return what a build folder calls its release; empty if it has none."""
    return text_or_none(build / RELEASE).strip()
