# SPDX-License-Identifier: MIT
"""Bound the size of QEMU's captures: one that grows too large is ended, and the guest goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from r4l.errors import R4LError
from r4l.net.pcap import LARGEST
from r4l.threads import Failed, guarded
from r4l.vm.qmp import Monitor

PERIOD = 0.25
"""Seconds between two checks. An emulated card writes some ten MiB in that time."""
SPARE = 16 << 20
"""Bytes that a capture's disk must have free: QEMU ends a capture in silence that it cannot write (net/dump.c)."""


class CaptureBound:
    """Ends captures that have grown to `LARGEST` bytes, until it is closed.

    Args:
        monitor: of the QEMU that writes them.
        captures: the files, by the cards' indices.
        failed: called with an exception that ends the checks.

    Attributes:
        full: cards whose captures were ended.
    """

    def __init__(self, monitor: Monitor, captures: Mapping[int, Path], failed: Failed) -> None:
        self.full: set[int] = set()
        self._monitor, self._captures = monitor, dict(captures)
        self._over = threading.Event()
        self._thread = threading.Thread(target=guarded(self._watch, failed), name="r4l-captures", daemon=True)
        if captures:
            self._thread.start()

    def _watch(self) -> None:
        while self._captures and not self._over.wait(PERIOD):
            for folder in {path.parent for path in self._captures.values()}:
                _require_room(folder)
            for index, path in list(self._captures.items()):
                with contextlib.suppress(R4LError, FileNotFoundError):
                    if path.stat().st_size > LARGEST:
                        self._monitor.execute("object-del", {"id": f"dump{index}"})
                        # QEMU has closed the file. Readers skip a packet that is cut.
                        os.truncate(path, LARGEST)
                        self.full.add(index)
                        del self._captures[index]

    def close(self) -> None:
        """Stop the checks."""
        self._over.set()
        if self._thread.ident:
            self._thread.join()


def _require_room(folder: Path) -> None:
    """Raise an error if a capture in a folder may lack frames for lack of space.

    Raises:
        OSError: the disk has no room.
    """
    status = os.statvfs(folder)
    # Root may use the rest that is kept for it.
    free = status.f_bavail if os.geteuid() else status.f_bfree
    if free * status.f_frsize < SPARE:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))
