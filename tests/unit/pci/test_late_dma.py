# SPDX-License-Identifier: MIT
"""Writes to the guest's memory that a fault holds back: their bytes, and their end."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable

import pytest
from tests.unit.pci.client import Client

from r4l.pci import Bar, Device, Register, Reset, SteppedTime, Word, happened

Serve = Callable[[Device], Client]
MEMORY = 0x10000


class Reuser(Device):
    """Writes its one buffer to the place that GO gives: each time other bytes."""

    vendor_id = 0x1234
    bars = (Bar(0x100),)
    clock = SteppedTime
    view = False

    GO = Register(0x00)

    def on_reset(self, reason: Reset) -> None:
        self.buffer = bytearray(8)

    @GO.on_write
    def go(self, old: Word, new: Word) -> None:
        self.buffer[:] = bytes([int(new)]) * 8
        self.dma.write(MEMORY + 8 * int(new), memoryview(self.buffer) if self.view else self.buffer)


class Rig:
    def __init__(self, serve: Serve) -> None:
        self.device = Reuser()
        self.client = serve(self.device)
        fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, 0x1000)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.memory = mmap.mmap(fd, 0x1000)
        self.client.map(MEMORY, 0x1000, fd)
        os.close(fd)
        self.client.master()

    def go(self, *numbers: int) -> None:
        """Have it write, and wait until it has."""
        for number in numbers:
            self.client.write(0, number)
        self.client.read(0)

    def arrived(self, most: int = 6) -> list[int]:
        """Numbers whose bytes are in memory."""
        places = {number: self.memory[8 * number : 8 * number + 8] for number in range(1, most)}
        assert all(data in (bytes(8), bytes([number]) * 8) for number, data in places.items())
        return [number for number, data in places.items() if any(data)]


@pytest.fixture
def rig(serve: Serve) -> Rig:
    return Rig(serve)


@pytest.mark.parametrize("view", [True, False])
@pytest.mark.parametrize("kind", ["late-dma", "swapped-dma"])
def test_a_late_write_has_the_bytes_of_its_time(rig: Rig, kind: str, view: bool) -> None:
    rig.device.view = view
    rig.device.faults.add(f"{kind}#1")
    rig.go(1)
    assert rig.arrived() == []
    rig.go(2)
    rig.device.advance(1)
    assert rig.arrived() == [1, 2]


def test_a_swapped_write_arrives_when_the_device_is_repaired(rig: Rig) -> None:
    rig.device.faults.add("swapped-dma#1")
    rig.go(1)
    rig.device.faults.clear()
    assert rig.arrived() == [1]
    rig.go(2)
    assert rig.arrived() == [1, 2]


@pytest.mark.parametrize("how", ["reset", "bus", "pull", "unplugged", "replugged"])
def test_a_write_of_a_device_that_was_reset_or_is_gone_is_lost(rig: Rig, how: str) -> None:
    device = rig.device
    device.faults.add("swapped-dma#1", "lost-write@GO#99")
    rig.go(1)
    if how == "bus":
        device.reset(Reset.BUS)
    elif how == "replugged":
        device.unplugged()
        device.plugged()
    else:
        getattr(device, how)()
    device.may_master = True
    if how != "pull":
        device.buffer = bytearray(8)
        rig.go(2)
        assert rig.arrived() == [2]
    device.faults.clear()
    assert rig.arrived() == ([] if how == "pull" else [2])
    assert not device.errors


def test_each_other_write_is_swapped_without_end(rig: Rig) -> None:
    rig.device.faults.add("swapped-dma times=0")
    for number, seen in ((1, []), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 3, 4])):
        rig.go(number)
        assert rig.arrived() == seen
    assert rig.device.faults.came == {"swapped-dma#1 times=0": 2}


def test_a_swapped_write_that_is_not_possible_any_more_stops_no_other(rig: Rig) -> None:
    device = rig.device
    device.faults.add("swapped-dma#1", "misplaced-dma#1 bytes=0x100000")
    rig.go(1)
    rig.go(2)
    assert (rig.arrived(), device.errors) == ([2], [])
    assert "where the guest has no memory" in device.trace.find(happened("refused"))[0].text


def test_a_write_waits_for_the_next_one_however_late_that_is(rig: Rig) -> None:
    rig.device.faults.add("swapped-dma#1", "late-dma#2 seconds=1")
    rig.go(1, 2)
    assert rig.arrived() == []
    rig.device.advance(1)
    assert rig.arrived() == [1, 2]
