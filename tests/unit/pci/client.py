# SPDX-License-Identifier: MIT
"""The client of the tests, and the files that a server leaves open."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from pathlib import Path

from r4l.pci.client import READ_WRITE, Refusal, eventfd, rung
from r4l.pci.client import VfioClient as Client

__all__ = ["READ_WRITE", "Client", "Refusal", "eventfd", "open_files", "rung"]


def open_files() -> Counter[str]:
    """Names of this process's open files, without the numbers of sockets, and how many there are of each.

    What earlier tests left to the garbage collector is closed first, so that it does not close itself in between.
    """
    gc.collect()
    names: Counter[str] = Counter()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names[str(link.readlink()).partition("[")[0]] += 1
    return names
