# SPDX-License-Identifier: MIT
"""Shared by the tests of an e1000 driver.

They pass with any driver for the card, including the kernel's own in C: `r4l test rust/drivers/e1000 -- --r4l-module
kernel:e1000`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import r4l
from r4l.arch import architecture
from r4l.net import Interface
from r4l.toolchain import Grant

GATEWAY = "10.0.2.2"
"""QEMU's own router."""


@pytest.fixture
def gateway() -> str:
    """Address that answers at the other end of QEMU's user network."""
    return GATEWAY


@pytest.fixture
def loaded(vm: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    """The virtual machine with the driver loaded."""
    vm.insmod(module)
    return vm


@pytest.fixture
def registers(loaded: r4l.VM) -> int:
    """Physical address of the card's registers."""
    find = "for d in /sys/bus/pci/devices/*; do grep -q 0x100e $d/device && head -n1 $d/resource; done"
    return int(loaded.run(find, check=True).stdout.split()[0], 16)


@pytest.fixture
def register(loaded: r4l.VM, registers: int) -> Callable[[int], int]:
    """Reads a register of the card, by its offset, from outside the guest."""
    if card := loaded.cards.get(0):
        return lambda offset: card.peek(offset)

    def read(offset: int) -> int:
        answer = loaded.qmp("human-monitor-command", command_line=f"xp /1wx {registers + offset:#x}")
        return int(str(answer).split()[-1], 16)

    return read


@pytest.fixture(scope="session")
def poking(kernel: r4l.Kernel) -> r4l.BuiltModule:
    """The module that writes a register."""
    return r4l.Module(Path(__file__).parent / "poke").build(kernel)


@pytest.fixture
def poke(loaded: r4l.VM, registers: int, poking: r4l.BuiltModule) -> Callable[[int, int], None]:
    """Writes a register of the card, by its offset, behind the driver's back."""

    def write(offset: int, value: int) -> None:
        loaded.insmod(poking, at=registers + offset, value=value)
        loaded.rmmod(poking.name)

    return write


@pytest.fixture
def online(loaded: r4l.VM, interface: Interface) -> r4l.VM:
    """The virtual machine with the driver loaded, an address and carrier."""
    interface.up()
    return loaded


@pytest.fixture(scope="session")
def relay(kernel: r4l.Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program for the guest."""
    folder, source = tmp_path_factory.mktemp("relay"), Path(__file__).parent
    compiler = f"{architecture(kernel.arch).gnu}-gcc"
    argv: list[str | Path] = [
        compiler,
        "-static",
        "-Wall",
        "-Werror",
        "-O1",
        "-o",
        folder / "relay",
        source / "relay.c",
    ]
    kernel.toolchain.run(argv, Grant("test", writes=(folder,), reads=(source,)))
    return folder / "relay"
