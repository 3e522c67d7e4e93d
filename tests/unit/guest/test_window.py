# SPDX-License-Identifier: MIT
"""The size of the user's terminal on its way to a command's."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from r4l.guest.process import Terminal
from r4l.guest.shell import _Window


class Resized:
    """A command, told sizes under a lock as `Link` has one."""

    def __init__(self) -> None:
        self.sending = threading.Lock()
        self.sizes: list[Terminal] = []

    def resize(self, terminal: Terminal) -> None:
        with self.sending:
            self.sizes.append(terminal)


def test_a_change_amid_sending_is_told_after_it() -> None:
    """Regression: the signal's handler sent it, and waited for the lock that the interrupted thread held."""
    process: Any = Resized()
    before = signal.getsignal(signal.SIGWINCH)
    with _Window() as window:
        window.tell(process)
        with process.sending:
            os.kill(os.getpid(), signal.SIGWINCH)
            os.kill(os.getpid(), signal.SIGWINCH)
        assert process.sizes == []
        window.tell(process)
        window.tell(process)
    assert len(process.sizes) == 1
    assert signal.getsignal(signal.SIGWINCH) is before
