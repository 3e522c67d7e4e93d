# SPDX-License-Identifier: MIT
"""Recordings: a device's events with its state at each of them, as data.

A `Recorder` watches a device while it works, and looks at registers and rings at each event without an access of its
own. `of_trace` makes a recording from a trace alone: it then has the values that were read, written or transferred.

The form of the data is in docs/devices.md, "Recordings".
"""

from __future__ import annotations

from r4l.pci.recording.contents import check
from r4l.pci.recording.data import FORMAT
from r4l.pci.recording.from_trace import of_trace
from r4l.pci.recording.recorder import Recorder

__all__ = ["FORMAT", "Recorder", "check", "of_trace"]
