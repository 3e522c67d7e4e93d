# SPDX-License-Identifier: MIT
"""Debian's archive: verified by Debian's keys, resolved, downloaded and unpacked, with nothing of the host's."""

from __future__ import annotations

from r4l.debian.archive import Archive
from r4l.debian.extract import Rules

__all__ = ["Archive", "Rules"]
