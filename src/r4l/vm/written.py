# SPDX-License-Identifier: MIT
"""Bound the size of the files that QEMU writes, its captures and its log; the guest goes on."""

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
LOG_PERIOD = 2.0
"""Seconds between two checks of QEMU's log alone, to which a guest's mistakes add some MiB a second at most."""
QEMU_LOG_LIMIT = 4 << 20
"""Bytes that are kept of QEMU's log, the first ones."""
SPARE = 16 << 20
"""Bytes that a capture's disk must have free: QEMU ends a capture in silence that it cannot write (net/dump.c)."""


class WrittenBound:
    """Ends captures that have grown to `LARGEST` bytes and cuts QEMU's log, until it is closed.

    Args:
        monitor: of the QEMU that writes them.
        captures: the files, by the cards' indices.
        log: QEMU's own output, opened for appending.
        failed: called with an exception that ends the checks.

    Attributes:
        full: cards whose captures were ended.
        log_cut: True once a part of the log was dropped.
    """

    def __init__(self, monitor: Monitor, captures: Mapping[int, Path], log: Path, failed: Failed) -> None:
        self.full: set[int] = set()
        self.log_cut = False
        self._monitor, self._captures, self._log = monitor, dict(captures), log
        self._over = threading.Event()
        self._thread = threading.Thread(target=guarded(self._watch, failed), name="r4l-written", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(PERIOD if self._captures else LOG_PERIOD):
            self._cut_log()
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

    def _cut_log(self) -> None:
        # QEMU appends, so it goes on at the new end.
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > QEMU_LOG_LIMIT:
                os.truncate(self._log, QEMU_LOG_LIMIT)
                self.log_cut = True

    def close(self) -> None:
        """Stop the checks, after a last one of the log."""
        self._over.set()
        self._thread.join()
        self._cut_log()


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
