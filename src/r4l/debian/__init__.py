# SPDX-License-Identifier: MIT
"""Debian's archive: lists verified by Debian's keys, dependencies resolved, packages downloaded and unpacked, without
programs of the host."""

from __future__ import annotations

from r4l.debian.archive import Archive
from r4l.debian.extract import Rules

__all__ = ["Archive", "Rules"]
