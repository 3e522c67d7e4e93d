# SPDX-License-Identifier: MIT
"""The last words of a kernel, after which its machine ends or stands still."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from r4l.guest import GuestGone
from r4l.klog.records import Record
from r4l.threads import Failed, guarded

HALTED = re.compile(
    r"^(?:reboot: System halted|reboot: Power off not available: System halted instead|Reboot failed -- System halted)$"
)
"""Lines after which a kernel does nothing more, and QEMU goes on (kernel/reboot.c, `kernel_halt`;
arch/arm64/kernel/process.c, `machine_restart`)."""
_ENDING = re.compile(r"^reboot: (?:Power down|Restarting system(?: with command '.*')?)$")
"""Lines after which the machine ends. Without a driver for that, riscv64's kernel waits for ever, in silence
(arch/riscv/kernel/reset.c)."""
PATIENCE = 30.0
"""Seconds of the machine's own time in which it must end after such a line."""
_REMEDY = {
    "Power off": "this kernel has no driver that powers the machine off (ACPI, PSCI): start it with one, or use `halt`",
    "Reboot": "this kernel has no driver that restarts the machine (PSCI): start it with one, or use `poweroff`",
}


def halted(text: str) -> GuestGone:
    """Return the error of a request to a guest whose kernel has halted, with the kernel's line."""
    remedy = next((remedy for words, remedy in _REMEDY.items() if words in text), "")
    return GuestGone(f"the guest has halted ({text})", remedy)


def stands(text: str) -> GuestGone:
    """Return the error of a request to a guest whose machine goes on after its kernel has ended, with its line."""
    remedy = "this kernel has no working driver for that, or QEMU was told to go on (-no-shutdown)"
    return GuestGone(f"the guest has ended ({text}), and its machine has not", remedy)


class LastWords:
    """Watch for a kernel's last words.

    Args:
        on_still: called, once at most, with the error for all requests to the guest, when its kernel does nothing more.
        clock: makes a clock of the seconds that the machine has had.
        failed: called with an exception that ends the watch.
    """

    def __init__(
        self, on_still: Callable[[GuestGone], None], clock: Callable[[], Callable[[], float]], failed: Failed
    ) -> None:
        self._failed = failed
        self._on_still = on_still
        self._clock = clock
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None
        self._over = False

    def feed(self, record: Record) -> None:
        """Look at a record of the console."""
        if not record.kernel:
            return
        if HALTED.match(record.text):
            self._tell(halted(record.text))
        elif _ENDING.match(record.text):
            with self._guard:
                if self._timer is None and not self._over:
                    self._wait(record.text, self._clock(), PATIENCE)

    def close(self) -> None:
        """Stop watching: the machine has ended."""
        with self._guard:
            self._over = True
            if self._timer:
                self._timer.cancel()

    def _wait(self, text: str, clock: Callable[[], float], seconds: float) -> None:
        self._timer = threading.Timer(seconds, guarded(self._look, self._failed), (text, clock))
        self._timer.daemon = True
        self._timer.start()

    def _look(self, text: str, clock: Callable[[], float]) -> None:
        with self._guard:
            if self._over:
                return
            if (left := PATIENCE - clock()) > 0:
                # The host kept the machine from its processors.
                self._wait(text, clock, max(left, 0.1))
                return
        self._tell(stands(text))

    def _tell(self, error: GuestGone) -> None:
        with self._guard:
            if self._over:
                return
            self._over = True
        self._on_still(error)
