# SPDX-License-Identifier: MIT
"""Devices written in Python, in a VM: the guest finds them, works with them, and loses them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import pci
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.pci import dma_read, dma_write, interrupt, read, write
from r4l.pci.models.edu import Edu
from r4l.vm import VM

pytestmark = pytest.mark.vm

PAGE = Path(__file__).parents[2] / "docs/devices.md"
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
    """Messages of the driver."""
    begin = vm.klog.mark()
    vm.insmod(driver, msi=int(msi))
    vm.klog.wait_for("has seen all", timeout=60, since=begin)
    lines = [record.text for record in vm.klog.records(begin) if " sees " in record.text]
    vm.rmmod(driver.name)
    return [line.partition(" sees ")[2] for line in lines]


@pytest.fixture(scope="module")
def of_qemu(kernel: Kernel, edu_check: BuiltModule) -> dict[bool, list[str]]:
    """Messages of the driver with QEMU's own device: with INTx, and with MSI."""
    with VM(kernel, devices=["edu"]) as vm:
        return {msi: seen(vm, edu_check, msi=msi) for msi in (False, True)}


@pytest.mark.machine(devices=[Edu])
@pytest.mark.parametrize("msi", [False, True], ids=["intx", "msi"])
def test_a_driver_sees_no_difference_to_qemu_s_own(
    vm: VM, device: Edu, edu_check: BuiltModule, of_qemu: dict[bool, list[str]], msi: bool
) -> None:
    ours = seen(vm, edu_check, msi=msi)
    assert ours == of_qemu[msi]
    assert "factorial's interrupt 0x1" in ours
    assert "difference 0x0" in ours
    assert device.trace.count(interrupt()) == 4
    assert {one.text for one in device.trace.find(interrupt())} == {"MSI" if msi else "INTX"}
    assert (device.trace.count(dma_read()), device.trace.count(dma_write())) == (1, 1)


# -- the page in docs/, typed and run ----------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    """The code in docs/devices.md of one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def typed(folder: Path, *names: str) -> None:
    """Write files of the page; the first line of each block is a comment with its name."""
    found = re.findall(r"```\w+\n((?:#|//) ([\w.]+)\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    files = {name: text for text, name in found}
    for name in names:
        (folder / name).write_text(files[name])
    (folder / "pytest.ini").write_text("[pytest]\n")


def entered(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page in a folder."""
    command = command.removeprefix("$ ").replace("r4l ", f"{sys.executable} -m r4l ", 1)
    return subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_the_page_s_device_from_nothing(tmp_path: Path, kernel: Kernel) -> None:
    typed(tmp_path, "counter.py", "test_counter.py")
    _, run, test, *_ = blocks("console")
    for text, said in ((run, run.splitlines()[2:]), (test, ["2 passed"])):
        done = entered(tmp_path, text.partition("$ ")[2].partition("\n" + said[0])[0])
        assert done.returncode == 0, done.stdout + done.stderr
        assert all(line in done.stdout for line in said), done.stdout


@pytest.mark.thorough
def test_the_page_s_driver_from_nothing_to_a_sweep(tmp_path: Path, kernel: Kernel) -> None:
    typed(tmp_path, "counter.py", "test_counter.py", "test_driver.py", "counter.rs", "Kbuild")
    test, sweep = blocks("console")[3:5]
    for text in (test, sweep):
        command, *said = text.splitlines()
        done = entered(tmp_path, command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert all(line in done.stdout for line in said), done.stdout


@pytest.mark.thorough
def test_the_page_s_defect_becomes_a_test(tmp_path: Path, kernel: Kernel) -> None:
    """Of the driver without the lines about Command."""
    typed(tmp_path, "counter.py", "counter.rs", "Kbuild")
    driver = (tmp_path / "counter.rs").read_text()
    careless = re.sub(r"        // Linux's Rust cannot.*?\n        }\n", "", driver, flags=re.DOTALL)
    assert careless != driver
    (tmp_path / "counter.rs").write_text(careless)
    cell, as_test = blocks("console")[5:7]
    command, *said = cell.splitlines()
    done = entered(tmp_path, command)
    assert done.returncode == 123, done.stdout + done.stderr
    assert all(line in done.stdout for line in said), done.stdout
    done = entered(tmp_path, as_test.splitlines()[0])
    assert done.returncode == 0, done.stderr
    red = entered(tmp_path, "r4l test . -- -k all_ones")
    assert "1 failed" in red.stdout, red.stdout + red.stderr


def test_a_file_that_has_no_such_model(tmp_path: Path, kernel: Kernel) -> None:
    argv = [sys.executable, "-m", "r4l", "run", "--device", "nothing.py:Model", "--", "true"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "there is no file nothing.py" in " ".join(done.stderr.split())


class Everything(pci.Device):
    """BARs and capabilities of all kinds."""

    vendor_id = 0x1234
    device_id = 0xA11
    bars = (pci.Bar(0x4000, bits=64, prefetchable=True), None, pci.Bar(0x20, io=True), pci.Bar(0x1000))
    capabilities = (
        pci.PowerManagement(),
        pci.Msi(vectors=4),
        pci.Msix(vectors=3, bar=3),
        pci.Express(),
        # Out of the guest's sight, since this machine's bus has no extended configuration space.
        pci.AdvancedErrors(),
    )
    WIDE = pci.Register(0x3FF8, 64, reset=0x1122334455667788)
    PORT = pci.Register(0x04, 8, reset=0x5A, bar=2)
    RAM = pci.Memory(0x800, 16, bar=3)


@pytest.mark.thorough
@pytest.mark.machine(devices=[Everything], memory=512)
def test_bars_and_capabilities_of_all_kinds(vm: VM, device: Everything) -> None:
    folder = f"/sys/bus/pci/devices/{device.address}"
    lines = vm.run(f"echo 1 > {folder}/enable; cat {folder}/resource", check=True).stdout.splitlines()
    found = [[int(word, 16) for word in line.split()] for line in lines[:6]]
    sizes = [end - begin + 1 if end else 0 for begin, end, _ in found]
    assert sizes == [0x4000, 0, 0x20, 0x1000, 0, 0]
    assert found[0][2] & 0x102000 == 0x102000, "64 bits, prefetchable (include/linux/ioport.h)"
    assert found[2][2] & 0x100, "I/O"
    assert vm.run(f"devmem {found[0][0] + 0x3FF8:#x} 64").stdout.split() == ["0x1122334455667788"]
    port = found[2][0] + 4
    assert vm.run(f"dd if=/dev/port bs=1 skip={port} count=1 2>/dev/null | od -An -tx1", check=True).stdout.split() == [
        "5a"
    ]
    device.RAM[0:4] = b"r4l!"
    assert vm.run(f"devmem {found[3][0] + 0x800:#x}").stdout.split() == ["0x216C3472"]
    config = vm.run(f"od -An -v -tx1 {folder}/config", check=True).stdout.split()
    place, numbers = int(config[0x34], 16), []
    while place:
        numbers.append(config[place])
        place = int(config[place + 1], 16)
    assert sorted(numbers) == ["01", "05", "10", "11"]
