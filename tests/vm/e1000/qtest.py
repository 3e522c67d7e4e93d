# SPDX-License-Identifier: MIT
"""QEMU's own e1000, or another device, without a guest: its registers, memory and time by QEMU's qtest protocol.

Source: QEMU's docs/devel/testing/qtest.rst and the comment in system/qtest.c. No CPU runs, and time stands still
between the steps that the test takes.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

from r4l.limits import UNLIMITED
from r4l.net.cable import socket_pair
from r4l.toolchain import Grant, Toolchain

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
"""Ports of PCI's configuration mechanism 1."""
SLOT = 3
BAR0 = 0xE0000000
COMMAND_BITS = 0x0006
MAC = "52:54:00:12:34:56"


WIDTHS = {1: "b", 2: "w", 4: "l", 8: "q"}
"""Ends of the commands that read and write, by the bytes."""


class Qtest:
    """QEMU with one device and nothing else.

    Args:
        toolchain: toolchain that contains QEMU.
        folder: for QEMU's output.
        device: the device, as QEMU's `-device` takes it; by default an e1000 with a wire.
    """

    def __init__(self, toolchain: Toolchain, folder: Path, device: str = f"e1000,netdev=wire,mac={MAC}") -> None:
        ours, theirs = socket.socketpair()
        wire, far = socket_pair()
        self.wire = wire
        self.wire.setblocking(False)
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc"]
        argv += ["-accel", "qtest", "-m", "16M", "-chardev", f"socket,id=qtest,fd={theirs.fileno()}"]
        argv += [
            "-qtest",
            "chardev:qtest",
            "-qtest-log",
            "none",
            "-netdev",
            f"dgram,id=wire,local.type=fd,local.str={far.fileno()}",
        ]
        argv += ["-device", f"{device},addr={SLOT},romfile="]
        command = toolchain.command(argv, Grant("vm: QEMU", writes=(folder,), limits=UNLIMITED), cwd=folder)
        with (folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno(), far.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        theirs.close()
        far.close()
        self._socket = ours
        self._socket.settimeout(60)
        self._lines = ours.makefile("r", encoding="ascii")
        self._config(0x10, BAR0)
        self._config(0x04, COMMAND_BITS)

    def ask(self, *words: Any) -> str:
        """Send a command; what QEMU answers after OK."""
        self._socket.sendall(" ".join(str(word) for word in words).encode() + b"\n")
        while (line := self._lines.readline()).startswith("IRQ"):
            pass
        status, _, rest = line.strip().partition(" ")
        assert status == "OK", (words, line)
        return rest

    def _config(self, offset: int, value: int) -> None:
        self.ask("outl", hex(CONFIG_ADDRESS), hex(1 << 31 | SLOT << 11 | offset))
        self.ask("outl", hex(CONFIG_DATA), hex(value))

    def read(self, offset: int, size: int = 4) -> int:
        """A read of some bytes in the BAR."""
        return int(self.ask(f"read{WIDTHS[size]}", hex(BAR0 + offset)), 16)

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """A write of some bytes to the BAR."""
        self.ask(f"write{WIDTHS[size]}", hex(BAR0 + offset), hex(value))

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return bytes.fromhex(self.ask("read", hex(address), hex(size)).removeprefix("0x"))

    def put(self, address: int, data: bytes) -> None:
        """Change memory."""
        self.ask("write", hex(address), hex(len(data)), "0x" + data.hex())

    def step(self, seconds: float) -> None:
        """Let time pass."""
        self.ask("clock_step", round(seconds * 1e9))

    def receive(self, frame: bytes) -> None:
        """Let a frame come from the line."""
        self.wire.send(frame)
        self.settle()

    def settle(self) -> None:
        """Wait until QEMU has looked at its sockets."""
        # Each answer is a round of its loop, in which the wire's socket is read as well.
        for _ in range(3):
            self.ask("clock_step", 1)

    def sent(self) -> list[bytes]:
        """Frames that the card has sent since the last call."""
        self.settle()
        frames = []
        while True:
            try:
                frames.append(self.wire.recv(1 << 16))
            except BlockingIOError:
                return frames

    def close(self) -> None:
        """End QEMU."""
        self._process.kill()
        self._process.wait()
        self._lines.close()
        self._socket.close()
        self.wire.close()
