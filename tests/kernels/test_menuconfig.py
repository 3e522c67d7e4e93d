# SPDX-License-Identifier: MIT
"""The kernel's own configuration menu, on a terminal."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from r4l.kernel import Kernel

SIZE = struct.pack("HHHH", 40, 120, 0, 0)
"""Lines and columns; lxdialog needs at least 19 by 80."""


ESCAPES = re.compile(rb"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9])")


def shown(terminal: int, until: bytes | None = None) -> bytes:
    """Return the terminal's output without escape sequences, until a text appears or all processes have closed it."""
    seen = b""
    while until is None or until not in ESCAPES.sub(b"", seen):
        try:
            seen += os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other end
            break
    return ESCAPES.sub(b"", seen)


@pytest.mark.row("A3")
def test_the_menu_opens_and_closes(minimal: Kernel) -> None:
    before = (minimal.build / ".config").read_text()
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
    argv = [sys.executable, "-m", "r4l", "kernel", "menuconfig", "minimal"]
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        menu = shown(ours, until=b"< Load >")
        assert b"[*]" in menu, "y or n"
        assert b"< >" in menu, "y, m or n"
        assert b"Device Drivers" in menu
        for _ in range(2):
            os.write(ours, b"\x1b")
            time.sleep(0.5)  # two keys, not one with Alt
        assert b"End of the configuration" in shown(ours)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert (minimal.build / ".config").read_text() == before
