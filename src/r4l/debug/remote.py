# SPDX-License-Identifier: MIT
"""GDB's remote serial protocol, as far as a program needs it that follows a guest by itself
(https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html; QEMU's side is gdbstub/gdbstub.c)."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from r4l.arch import Architecture, architecture
from r4l.errors import EnvironmentFault, GuestTimeout
from r4l.paths import socket_address
from r4l.vm import VM

BREAK, WATCH = "Z0", "Z4"
"""Packets that insert a breakpoint, and a watchpoint for reads and writes."""
SOCKET = "gdb.socket"
"""Name of the socket in the run's folder."""


@dataclass(frozen=True)
class Stop:
    """A stop of the guest.

    Attributes:
        watched: address of the access that a watchpoint has seen; None for another stop.
        place: address of the instruction that comes next.
        stack: address of the stack.
        argument: first argument, where the guest has stopped at a function's begin.
        result: result, where the guest has stopped after a call.
        back: return address at a function's begin; None where it is on top of the stack.
        arguments: arguments, where the guest has stopped at a function's begin; none where they are not known.
    """

    watched: int | None
    place: int
    stack: int
    argument: int
    result: int
    back: int | None
    arguments: tuple[int, ...] = ()


class GdbRemote:
    """A connection to QEMU's gdbstub. The guest is stopped from its begin on.

    Args:
        path: of the socket.
        arch: of the guest.
    """

    def __init__(self, path: Path, arch: Architecture) -> None:
        self._arch = arch
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = b""
        try:
            self._socket.settimeout(10.0)
            with socket_address(path) as address:
                self._socket.connect(address)
            self._ask("?")
        except BaseException:
            self._socket.close()
            raise

    def insert(self, kind: str, address: int, length: int = 1) -> None:
        """Insert a breakpoint or a watchpoint.

        Args:
            kind: `BREAK` or `WATCH`.
            address: in the guest's address space.
            length: number of bytes that are watched.

        Raises:
            EnvironmentFault: QEMU refuses.
        """
        if (said := self._ask(f"{kind},{address:x},{length:x}")) != "OK":
            raise EnvironmentFault(f"QEMU does not stop at {address:#x}: {said or 'it cannot'}")

    def remove(self, kind: str, address: int, length: int = 1) -> None:
        """Remove what `insert` has inserted."""
        self._ask(f"{kind.lower()},{address:x},{length:x}")

    def go_on(self) -> None:
        """Let the guest go on; `wait` returns its next stop."""
        self._send("c")

    def pass_by(self, address: int) -> None:
        """Have the guest, which has stopped at a breakpoint, do the instruction there."""
        self.remove(BREAK, address)
        self._ask("s")
        self.insert(BREAK, address)

    def wait(self, timeout: float) -> Stop | None:
        """Return the guest's next stop, or None if there was none.

        Args:
            timeout: seconds.
        """
        try:
            said = self._receive(timeout)
        except GuestTimeout:
            return None
        watched = None
        for word in said[3:].split(";"):
            name, _, value = word.partition(":")
            if name in ("watch", "rwatch", "awatch"):
                watched = int(value, 16)
        names = self._arch.registers
        data = bytes.fromhex(self._ask("g")[: 16 * len(names)])
        values = dict(zip(names, struct.unpack(f"<{len(names)}Q", data), strict=True))
        return Stop(
            watched,
            values[self._arch.instruction],
            values[self._arch.stack],
            values[self._arch.first_argument],
            values[self._arch.result],
            values.get(self._arch.back),
            tuple(values[name] for name in self._arch.arguments),
        )

    def return_address(self, stop: Stop) -> int:
        """Return the address to which a function returns at whose begin the guest has stopped."""
        return self.words(stop.stack, 1)[0] if stop.back is None else stop.back

    def words(self, address: int, count: int) -> list[int]:
        """Return 64-bit words of the guest's memory; fewer or none if it cannot be read."""
        said = self._ask(f"m{address:x},{8 * count:x}")
        data = b"" if said.startswith("E") else bytes.fromhex(said)
        return list(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))

    def close(self) -> None:
        """Disconnect; QEMU removes the breakpoints, and the guest goes on."""
        self._socket.close()

    def _ask(self, text: str) -> str:
        self._send(text)
        return self._receive(30.0)

    def _send(self, text: str) -> None:
        data = text.encode("ascii")
        self._socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))

    def _receive(self, timeout: float) -> str:
        """Return the content of the next packet, acknowledged."""
        until = time.monotonic() + timeout
        while True:
            begin = self._buffer.find(b"$")
            end = self._buffer.find(b"#", begin)
            if begin >= 0 and 0 <= end <= len(self._buffer) - 3:
                text = self._buffer[begin + 1 : end]
                self._buffer = self._buffer[end + 3 :]
                self._socket.sendall(b"+")
                return text.decode("latin-1")
            left = until - time.monotonic()
            if left <= 0:
                raise GuestTimeout("the guest has not stopped")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                raise EnvironmentFault("QEMU has closed the connection of its debugger")
            self._buffer += data


def attached(vm: VM) -> GdbRemote:
    """Return a connection to a running machine, which is stopped by it."""
    vm.qmp("human-monitor-command", command_line=f"gdbserver unix:{SOCKET},server=on,wait=off")
    return GdbRemote(vm.workdir / SOCKET, architecture(vm.kernel.arch))
