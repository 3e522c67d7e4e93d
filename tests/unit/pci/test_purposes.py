# SPDX-License-Identifier: MIT
"""Purposes of transfers: by the descriptors that the device has read, in rings of any length."""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import struct
from collections.abc import Iterator

import pytest

from r4l import pci
from r4l.pci.purposes import MOST, NEAR

FIELDS: dict[str, int | tuple[int, int]] = {"address": (63, 0), "length": (79, 64), "done": 127}
SIZE = 1 << 22
EVENTS, BUFFERS, JOBS = 0x40000, 0x100000, 0x300000


def ring(name: str, prefix: str) -> pci.DescriptorRing:
    return pci.DescriptorRing(
        name,
        base=(f"{prefix}BASE",),
        count=f"{prefix}COUNT",
        head=f"{prefix}HEAD",
        tail=f"{prefix}HEAD",
        fields={**FIELDS},
        done="done",
        buffer=("address", "length"),
    )


class Mover(pci.Device):
    """Two rings."""

    vendor_id = 0x1234
    bars = (pci.Bar(64),)
    ABASE = pci.Register(0, 64)
    ACOUNT = pci.Register(8)
    AHEAD = pci.Register(12)
    BBASE = pci.Register(16, 64)
    BCOUNT = pci.Register(24)
    BHEAD = pci.Register(28)
    rings = (ring("jobs", "A"), ring("events", "B"))


class Bench:
    """A device with memory, whose looks at it are counted."""

    def __init__(self, count: int, memory: mmap.mmap, fd: int) -> None:
        self.memory = memory
        self.device = Mover()
        self.device.plugged()
        self.device.dma.map(0, SIZE, 3, 0, [fd])
        self.device.config_write(4, b"\x04\x00")
        self.device.ABASE, self.device.ACOUNT = JOBS, count
        self.device.BBASE, self.device.BCOUNT = EVENTS, 8
        self.device.dma.named = True
        self.looked = 0
        look = self.device.dma.peek

        def peek(address: int, size: int) -> bytes:
            self.looked += size
            return look(address, size)

        self.device.dma.peek = peek  # type: ignore[method-assign]

    def post(self, index: int, address: int, length: int = 64, base: int = JOBS) -> None:
        """Write a descriptor as the driver."""
        struct.pack_into("<QQ", self.memory, base + 16 * index, address, length)

    def fetch(self, index: int, count: int = 1, base: int = JOBS) -> str:
        """Read descriptors as the device."""
        return self.purpose(base + 16 * index, 16 * count)

    def purpose(self, address: int, size: int = 16) -> str:
        """Purpose of a read."""
        self.device.dma.read(address, size)
        return self.device.trace[-1].text


@pytest.fixture(params=[8, 4096, 1 << 20])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    with mmap.mmap(fd, SIZE) as memory:
        yield Bench(request.param, memory, fd)
    os.close(fd)


def test_buffers_of_descriptors_that_were_read(bench: Bench) -> None:
    for index in range(8):
        bench.post(index, BUFFERS + 0x100 * index, 0x80)
    assert bench.fetch(0, 8) == "jobs"
    bench.device.AHEAD = bench.device.ACOUNT // 2
    bench.looked = 0
    for index in range(8):
        found = [bench.purpose(BUFFERS + 0x100 * index + at) for at in (0, 1, 0x7F)]
        assert found == ["jobs.buffer"] * 3
    assert bench.looked == 0
    assert {bench.purpose(BUFFERS + at) for at in (0x80, 0xFF, 0x800)} == {"data"}
    # Nothing but the neighbours of the head is looked at where nothing is known.
    assert bench.looked <= 3 * 2 * (2 * NEAR + 2) * 16
    bench.device.dma.write(BUFFERS + 0x10, b"done")
    assert bench.device.trace[-1].text == "jobs.buffer"
    bench.device.dma.write(JOBS + 12, b"done")
    assert bench.device.trace[-1].text == "jobs"


def test_a_descriptor_that_is_used_again_has_another_buffer(bench: Bench) -> None:
    bench.device.AHEAD = bench.device.ACOUNT // 2
    bench.post(0, BUFFERS)
    bench.post(1, BUFFERS)
    bench.fetch(0, 2)
    bench.post(0, BUFFERS + 0x1000)
    bench.fetch(0)
    assert [bench.purpose(BUFFERS + at) for at in (0, 0x1000)] == ["jobs.buffer"] * 2
    bench.post(1, BUFFERS + 0x1000)
    bench.fetch(1)
    assert [bench.purpose(BUFFERS + at) for at in (0, 0x1000)] == ["data", "jobs.buffer"]


def test_a_buffer_of_two_rings_belongs_to_the_descriptor_nearer_to_its_head(bench: Bench) -> None:
    bench.post(0, BUFFERS, 0x1000)
    bench.post(3, BUFFERS + 0x80, 0x100, EVENTS)
    bench.fetch(0)
    bench.fetch(3, base=EVENTS)
    for job, event, name in ((0, 0, "jobs"), (3, 3, "events"), (bench.device.ACOUNT - 1, 3, "events")):
        bench.device.AHEAD, bench.device.BHEAD = job, event
        assert bench.purpose(BUFFERS + 0x90) == f"{name}.buffer"
    assert bench.purpose(BUFFERS + 0x200) == "jobs.buffer"


def test_a_ring_that_moves_has_no_buffers_yet(bench: Bench) -> None:
    bench.post(0, BUFFERS)
    bench.fetch(0)
    bench.device.ABASE = JOBS + 0x20000
    assert bench.purpose(BUFFERS) == "data"
    bench.post(5, BUFFERS, base=JOBS + 0x20000)
    bench.fetch(5, base=JOBS + 0x20000)
    assert bench.purpose(BUFFERS) == "jobs.buffer"


def test_buffers_near_the_head_are_known_without_their_names(bench: Bench) -> None:
    """A fault is added after the device has read its descriptors."""
    bench.device.dma.named = False
    for index in range(8):
        bench.post(index, BUFFERS + 0x100 * index)
    bench.fetch(0, 8)
    bench.device.AHEAD = 3
    bench.device.faults.add("garbled-dma@jobs.buffer#1 times=0")
    assert [bench.purpose(BUFFERS + 0x100 * index) for index in (3, 2, 7, 0)] == ["jobs.buffer"] * 4
    assert list(bench.device.faults.came.values()) == [4]


def test_what_is_kept_has_a_bound(bench: Bench) -> None:
    count = min(bench.device.ACOUNT, 3 * MOST)
    bench.device.AHEAD = bench.device.ACOUNT - 1
    chance = random.Random(7)
    for index in range(0, count, 8):
        for one in range(index, min(index + 8, count)):
            bench.post(one, BUFFERS + 0x40 * chance.randrange(0x4000), 0x40)
        bench.fetch(index, 8)
    purposes = bench.device.dma._purposes
    assert len(purposes._rings[0].firsts) <= MOST
    assert purposes._begins == sorted(purposes._owners)
    assert len(purposes._begins) <= MOST
    last = struct.unpack_from("<Q", bench.memory, JOBS + 16 * (count - 1))[0]
    assert bench.purpose(last) == "jobs.buffer"
