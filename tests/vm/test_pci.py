# SPDX-License-Identifier: MIT
"""Devices written in Python, in a VM: the guest finds them, works with them, and loses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l import pci
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.pci import dma_read, dma_write, interrupt, read, write
from r4l.pci.models.edu import Edu
from r4l.vm import VM

pytestmark = pytest.mark.vm

FIXTURE = Path(__file__).parents[1] / "fixtures/edu"


class Bus:
    """The guest's accesses to a device's BAR, by busybox's devmem."""

    def __init__(self, vm: VM, device: pci.Device) -> None:
        self.vm, self.folder = vm, f"/sys/bus/pci/devices/{device.address}"
        # Memory space is enabled as a driver does it.
        lines = vm.run(f"echo 1 > {self.folder}/enable; cat {self.folder}/resource", check=True).stdout.splitlines()
        self.bars = [int(line.split()[0], 16) for line in lines]

    def do(self, *words: str) -> list[int]:
        """Several accesses: `OFFSET[:BITS][=VALUE]` each, numbers as in C; what the reads give."""
        commands = []
        for word in words:
            place, _, value = word.partition("=")
            offset, _, bits = place.partition(":")
            commands.append(f"devmem $(({self.bars[0]}+{offset})) {bits or 32} {value}")
        return [int(line, 16) for line in self.vm.run("; ".join(commands), check=True).stdout.split()]

    def until(self, offset: int, value: int) -> None:
        """Wait in the guest until a register of 32 bits has a value."""
        wanted = f"0x{value:08X}"
        self.vm.run(f"until [ $(devmem $(({self.bars[0]}+{offset}))) = {wanted} ]; do :; done", check=True)


@pytest.fixture
def bus(vm: VM, device: pci.Device) -> Bus:
    return Bus(vm, device)


@pytest.mark.machine(devices=[Edu])
def test_the_guest_reads_and_writes_registers(vm: VM, device: Edu, bus: Bus) -> None:
    assert vm.restored
    assert vm.run(f"cat {bus.folder}/vendor {bus.folder}/device", check=True).stdout.split() == ["0x1234", "0x11e8"]
    assert bus.do("0", "4=0x12345678", "4", "8=5") == [0x010000ED, 0xEDCBA987]
    bus.until(0x20, 0)
    assert bus.do("8") == [120]
    device.trace.expect(read(Edu.ID, kind=0xED))
    device.trace.expect(write(Edu.FACTORIAL, 5))
    assert device.trace.expect(read(Edu.FACTORIAL)).value == 120


# -- a driver that works with registers, interrupts and DMA -----------------------------------------------------------


@pytest.fixture(scope="module")
def edu_check(kernel: Kernel) -> BuiltModule:
    """A driver that says what it sees of edu."""
    return Module(FIXTURE).build(kernel)


def seen(vm: VM, driver: BuiltModule, *, msi: bool) -> list[str]:
    """What the driver says."""
    vm.insmod(driver, msi=int(msi))
    vm.klog.wait_for("has seen all", timeout=60)
    lines = [record.text for record in vm.klog.records() if " sees " in record.text]
    vm.rmmod(driver.name)
    return [line.partition(" sees ")[2] for line in lines]


@pytest.mark.machine(devices=[Edu])
@pytest.mark.parametrize("msi", [False, True], ids=["intx", "msi"])
def test_a_driver_sees_no_difference_to_qemu_s_own(vm: VM, device: Edu, edu_check: BuiltModule, msi: bool) -> None:
    ours = seen(vm, edu_check, msi=msi)
    with VM(vm.kernel, devices=["edu"]) as other:
        assert ours == seen(other, edu_check, msi=msi)
    assert "factorial's interrupt 0x1" in ours
    assert "difference 0x0" in ours
    assert device.trace.count(interrupt()) == 4
    assert {one.text for one in device.trace.find(interrupt())} == {"MSI" if msi else "INTX"}
    assert (device.trace.count(dma_read()), device.trace.count(dma_write())) == (1, 1)
