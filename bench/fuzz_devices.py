# SPDX-License-Identifier: MIT
"""Fuzzed vfio-user messages, descriptors and accesses: `python bench/fuzz_devices.py [--messages N] [--seed S]`.

Each message is a right one, one with some of its numbers replaced, or noise; file descriptors come with any. As many
accesses to the configuration space follow, and as many descriptors of rings as the device reads. After each batch the
device has to answer a right message, and at the end no file descriptor may be left. The devices are a small one, and
the e1000 (`--card`) with its rings in memory that is full of descriptors, right and wrong ones.
"""

from __future__ import annotations

import argparse
import array
import fcntl
import os
import random
import resource
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from r4l.pci import (
    AdvancedErrors,
    Bar,
    Device,
    Express,
    ExtendedVendor,
    Memory,
    Msi,
    Msix,
    PowerManagement,
    Register,
    RegisterArray,
    SerialNumber,
    Server,
    Trace,
    Word,
)
from r4l.pci.models.e1000 import E1000
from r4l.pci.protocol import (
    DEVICE_INFO,
    DMA_MAP,
    DMA_UNMAP,
    ERROR,
    HEADER,
    IRQ_INFO,
    IRQ_SET,
    NO_REPLY,
    REGION_ACCESS,
    REGION_INFO,
    REPLY,
    Command,
)
from r4l.pci.trace import Raw

MOST_GROWTH = 32 * 1024
"""KiB by which the process may grow after the first messages, however many follow."""
BATCH = 64
"""Messages between two looks at whether the device answers."""
EDGES = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    16,
    255,
    256,
    4095,
    4096,
    0x7FFFFFFF,
    0xFFFFFFFF,
    1 << 32,
    (1 << 63) - 1,
    (1 << 64) - 1,
)


class Target(Device):
    """A device that follows rings of descriptors wherever the guest says they are."""

    vendor_id = 0x1234
    bars = (Bar(0x1000), Bar(0x20, io=True))
    capabilities = (
        PowerManagement(keeps=False),
        Msi(vectors=8),
        Express(),
        Msix(vectors=4, table=0x800),
        AdvancedErrors(),
        SerialNumber(0x1122334455667788),
        ExtendedVendor(bytes(64), writable=bytes([0xFF] * 64)),
    )

    ID = Register(0x00, reset=0xF0225EED)
    RING = Register(0x08, 64)
    TAIL = Register(0x10)
    TABLE = RegisterArray(0x40, count=8)
    RAM = Memory(0x200, 256)
    PORT = Register(0x00, 8, bar=1)

    @TAIL.on_write
    def follow(self, old: Word, new: Word) -> None:
        """A chain of (next, address, length), as long as a ring may be."""
        place = int(self.RING)
        for _ in range(64):
            place, address, length = self.dma.unpack("<QQI", place)
            self.dma.write(address, bytes(min(length, 4096)))
            self.raise_irq(length % 4)


class Card(E1000):
    """The e1000, without a cable: what it sends is nobody's, but for the loopback."""

    def make_cable(self) -> None:
        """No cable."""


GUEST = 1 << 20
"""Bytes of the guest's memory."""
PRELUDE = {
    Target: (
        (Command.DMA_MAP, DMA_MAP.pack(32, 3, 0, 0, GUEST)),
        (Command.REGION_WRITE, REGION_ACCESS.pack(4, 7, 2) + b"\6\0"),
    ),
    Card: (
        (Command.DMA_MAP, DMA_MAP.pack(32, 3, 0, 0, GUEST)),
        # Memory and bus mastering are allowed, the link is set up, both rings have addresses and lengths.
        (Command.REGION_WRITE, REGION_ACCESS.pack(4, 7, 2) + b"\6\0"),
        *(
            (Command.REGION_WRITE, REGION_ACCESS.pack(register.offset, 0, 4) + struct.pack("<I", value))
            for register, value in (
                (E1000.CTRL, E1000.CTRL.value(SLU=1, FD=1)),
                (E1000.TDBAL, 0x1000),
                (E1000.TDLEN, 0x1000),
                (E1000.RDBAL, 0x3000),
                (E1000.RDLEN, 0x1000),
                (E1000.RDT, 0xFF),
                (E1000.TCTL, E1000.TCTL.value(EN=1, PSP=1)),
                (E1000.RCTL, E1000.RCTL.value(EN=1, UPE=1, LBM=3)),
            )
        ),
    ),
}
"""Messages that bring a device to work, before each batch: a reset or a cleared map ends it."""
ENDS = (Command.DEVICE_RESET, Command.DMA_UNMAP)
"""Commands that end a device's work, and are sent less often."""
RINGS = ("RING", "TDBAL", "TDLEN", "RDBAL", "RDLEN", "TDH", "RDH")
"""Registers that say where a ring is."""
TAILS = ("TDT", "RDT", "TAIL")
"""Registers whose writes begin work on a ring, which are written more often."""


@dataclass
class Seen:
    """Outcome of a run.

    Attributes:
        sent: messages.
        config: accesses to the configuration space that the device has done.
        descriptors: descriptors that it has read.
        answered, refused: answers.
        connections: connections.
    """

    sent: int = 0
    config: int = 0
    descriptors: int = 0
    answered: int = 0
    refused: int = 0
    connections: int = 0


class Stranger:
    """The other end of the connection.

    Args:
        path: the device's socket.
        dice: for all that is random.
        model: the device's class.
    """

    def __init__(self, path: Path, dice: random.Random, model: type[Device]) -> None:
        self.dice, self.model = dice, model
        self.registers = list(model.layout.registers.values())
        self.memory = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, GUEST)
        os.pwrite(self.memory, self.descriptors(), 0)
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.unsealed = os.memfd_create("shrinks", os.MFD_CLOEXEC)
        self.event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.buffer = b""

    def close(self) -> None:
        """Be gone."""
        self.socket.close()
        for fd in (self.memory, self.unsealed, self.event):
            os.close(fd)

    def begin(self) -> None:
        """Bring the device to work."""
        for number, (command, body) in enumerate(PRELUDE[self.model]):
            fds = array.array("i", [self.memory] if command == Command.DMA_MAP else [])
            data = HEADER.pack(number, command, HEADER.size + len(body), 0, 0) + body
            self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])

    def descriptors(self) -> bytes:
        """Memory full of pairs of an address and a command with its length, most of them in the memory."""
        dice = self.dice

        def pair() -> tuple[int, int]:
            if dice.random() < 0.1:
                return self.number(64), dice.getrandbits(64)
            return dice.getrandbits(19), dice.getrandbits(44) << 20 | dice.getrandbits(dice.choice((6, 11, 16)))

        return b"".join(struct.pack("<QQ", *pair()) for _ in range(GUEST >> 4))

    def number(self, bits: int) -> int:
        """One that is likely to be wrong."""
        dice = self.dice
        value = dice.choice(EDGES) if dice.random() < 0.5 else dice.getrandbits(dice.randint(1, bits))
        return (value + dice.choice((0, 0, 0, -1, 1))) & ((1 << bits) - 1)

    def payload(self, command: int) -> bytes:
        """A body that may be a right one."""
        dice = self.dice
        page = dice.randrange(64) << 12
        right: dict[int, bytes] = {
            Command.VERSION: struct.pack("=HH", 0, 1) + b'{"capabilities":{}}\0',
            Command.DMA_MAP: DMA_MAP.pack(32, 3, page & 0x3F000, page, 0x1000 * dice.randint(1, 8)),
            Command.DMA_UNMAP: DMA_UNMAP.pack(24, dice.choice((0, 0, 0, 2)), page, 0x1000 * dice.randint(1, 8)),
            Command.DEVICE_GET_INFO: DEVICE_INFO.pack(16, 0, 0, 0),
            Command.DEVICE_GET_REGION_INFO: REGION_INFO.pack(32, 0, dice.randrange(9), 0, 0, 0),
            Command.DEVICE_GET_IRQ_INFO: IRQ_INFO.pack(16, 0, dice.randrange(5), 0),
            Command.DEVICE_SET_IRQS: IRQ_SET.pack(
                20, dice.choice((0x24, 0x21, 0x22, 0x11, 0x09, 0x12)), dice.randrange(4), dice.randrange(3), 1
            )
            + b"\1",
            Command.REGION_READ: REGION_ACCESS.pack(
                dice.randrange(0x120), dice.choice((0, 0, 1, 7)), 1 << dice.randrange(4)
            ),
            Command.REGION_WRITE: self.write(),
            Command.DEVICE_RESET: b"",
        }
        body = bytearray(right.get(command, dice.randbytes(dice.randrange(64))))
        if body and dice.random() < 0.4:
            width = dice.choice([width for width in (1, 2, 4, 8) if width <= len(body)])
            place = dice.randrange(len(body) - width + 1)
            body[place : place + width] = self.number(8 * width).to_bytes(width, "little")
        if dice.random() < 0.05:
            body = body[: dice.randrange(len(body) + 1)]
        return bytes(body)

    def write(self) -> bytes:
        """A write of a register or of the configuration space."""
        dice = self.dice
        size = 1 << dice.randrange(4)
        region, offset = dice.choice(((7, dice.randrange(0x1000)), (1, dice.randrange(0x20)), (0, 0), (0, 0), (0, 0)))
        if region == 0:
            tails = [one for one in self.registers if one.name in TAILS]
            register = dice.choice(tails if dice.random() < 0.3 else self.registers)
            region, offset = register.bar, register.offset + register.stride * dice.randrange(register.count)
            size = dice.choice((size, register.size))
        right = dice.choice((dice.randrange(64) << 12, dice.randrange(0x100)))
        value = self.number(8 * size) if dice.random() < 0.5 else right & ((1 << 8 * size) - 1)
        return REGION_ACCESS.pack(offset, region, size) + value.to_bytes(size, "little")

    def access_config(self) -> None:
        """One access to the configuration space, as of a CPU's most of the time."""
        dice = self.dice
        size = dice.choice((1, 2, 4, 4, 4, 3, 8, 0, 256, 4096))
        near = (dice.randrange(0x100), dice.randrange(0x90) & -4, dice.randrange(0x100, 0x190) & -4)
        offset = dice.choice((*near, dice.randrange(0x1010), self.number(64)))
        writes = dice.random() < 0.6
        data = self.number(8 * size).to_bytes(size, "little") if writes and size else b""
        command = Command.REGION_WRITE if writes else Command.REGION_READ
        body = REGION_ACCESS.pack(offset, 7, size) + data
        self.socket.sendall(HEADER.pack(dice.getrandbits(16), command, HEADER.size + len(body), 0, 0) + body)

    def start_work(self) -> None:
        """One write of a ring's tail, and at times one of its place or another register."""
        dice = self.dice
        tails = [one for one in self.registers if one.name in TAILS]
        others = [one for one in self.registers if one.name in RINGS]
        register = dice.choice(tails if dice.random() < 0.8 else others)
        value = dice.randrange(0x100) if register in tails else dice.choice((dice.randrange(64) << 12, self.number(32)))
        value &= register.mask
        body = REGION_ACCESS.pack(register.offset, 0, register.size) + value.to_bytes(register.size, "little")
        self.socket.sendall(HEADER.pack(1, Command.REGION_WRITE, HEADER.size + len(body), NO_REPLY, 0) + body)

    def send(self) -> None:
        """One message of any kind."""
        dice = self.dice
        command: int = dice.choice(list(Command))
        if command in ENDS and dice.random() < 0.8:
            command = Command.REGION_WRITE
        command = command if dice.random() < 0.95 else dice.getrandbits(16)
        flags = dice.choice((0, 0, 0, NO_REPLY)) if dice.random() < 0.95 else dice.getrandbits(6)
        body = self.payload(command)
        data = HEADER.pack(dice.getrandbits(16), command, HEADER.size + len(body), flags, 0) + body
        fds = []
        if dice.random() < 0.3:
            fds = [
                dice.choice((self.memory, self.unsealed, self.event, self.event)) for _ in range(dice.randint(1, 20))
            ]
            fds = fds[: dice.choice((1, 1, 1, 20))]
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        cut = dice.randrange(len(data)) if dice.random() < 0.05 else 0
        if cut:
            self.socket.sendmsg([data[:cut]], extra)
            self.socket.sendmsg([data[cut:]])
        else:
            self.socket.sendmsg([data], extra)

    def settle(self, seen: Seen) -> None:
        """Ask something right, and read all answers up to its own.

        Raises:
            AssertionError: what comes is no answer.
        """
        mark = HEADER.pack(0xABCD, Command.DEVICE_GET_INFO, HEADER.size + 16, 0, 0) + DEVICE_INFO.pack(0x51, 0, 0, 0)
        self.socket.sendall(HEADER.pack(0, Command.VERSION, HEADER.size + 4, 0, 0) + struct.pack("=HH", 0, 1))
        self.socket.sendall(mark)
        while True:
            number, command, flags, _ = self.receive()
            if flags & 0xF == 0:
                # The device wants memory by a message. QEMU would give it, or refuse.
                self.socket.sendall(HEADER.pack(number, command, HEADER.size, REPLY | ERROR, 14))
                continue
            assert flags & 0xF == REPLY, flags
            seen.answered += not flags & ERROR
            seen.refused += bool(flags & ERROR)
            if number == 0xABCD and command == Command.DEVICE_GET_INFO:
                return

    def receive(self) -> tuple[int, int, int, int]:
        """The header of the next message; its body is thrown away."""
        while True:
            if len(self.buffer) >= HEADER.size:
                number, command, size, flags, _ = HEADER.unpack_from(self.buffer)
                if len(self.buffer) >= size:
                    self.buffer = self.buffer[size:]
                    return number, command, flags, size
            piece = self.socket.recv(1 << 16)
            assert piece, "the device has closed the connection"
            self.buffer += piece


def counted(device: Device, seen: Seen) -> None:
    """Count a device's accesses to the configuration space and the descriptors that it reads."""

    def look(raw: Raw | None) -> None:
        if raw is None:
            return
        kind, address, size = raw[2], raw[5], raw[6]
        seen.config += kind in ("config-read", "config-write")
        if kind == "dma-read":
            places = [(ring, *ring.place(device.layout, device._values)) for ring in device.rings]
            found = [size // ring.size for ring, begin, count in places if 0 <= address - begin < count * ring.size]
            seen.descriptors += sum(found) if places else 1

    device.trace.observer = look


def fuzz(folder: Path, dice: random.Random, messages: int, model: type[Device] = Target) -> Seen:
    """Send so many messages to a device, over several connections, and as many accesses to its configuration space, and
    have it read as many descriptors.

    Raises:
        AssertionError: it does not answer, its model has raised, or a descriptor is left.
    """
    device, seen = model(), Seen()
    # With room for some entries only, what the process grows by is not the trace.
    device.trace = Trace(kept=1000)
    counted(device, seen)
    server = Server(device, folder / "fuzz.sock")
    before = len(list(Path("/proc/self/fd").iterdir()))
    try:
        while (least := min(seen.sent, seen.config, seen.descriptors)) < messages:
            stranger = Stranger(server.path, dice, model)
            stranger.settle(seen)
            seen.connections += 1
            work = stranger.send
            if seen.sent > least:
                work = stranger.access_config if seen.config == least else stranger.start_work
            for _ in range(dice.randint(1, 40)):
                stranger.begin()
                for _ in range(BATCH):
                    work()
                seen.sent += BATCH
                stranger.settle(seen)
            stranger.close()
            assert not device.errors, device.errors[0]
        until = time.monotonic() + 20
        # The connection's thread closes its descriptors first.
        while (len(list(Path("/proc/self/fd").iterdir())) > before or device.dma.mappings) and time.monotonic() < until:
            time.sleep(0.01)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before, "descriptors are left"
        assert not device.dma.mappings
    finally:
        server.close()
    return seen


def main() -> int:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--card", action="store_true", help="the e1000, not the small device")
    arguments = parser.parse_args()
    model = Card if arguments.card else Target
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fuzz(Path(folder), random.Random(1), 20_000, model)
        first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seen = fuzz(Path(folder), random.Random(arguments.seed), arguments.messages, model)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first
    rate = seen.sent / (time.monotonic() - begin)
    print(f"seed {arguments.seed}: {seen}, {rate:.0f} messages/s, memory grown by {grown / 1024:.1f} MiB")
    return int(grown > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
