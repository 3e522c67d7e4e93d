# SPDX-License-Identifier: MIT
"""Errors of the bus, which QEMU reports by AER (Documentation/PCI/pci-error-recovery.rst, pcieaer-howto.rst).

The card is below a root port of PCI Express, since only there errors are reported; it is always QEMU's.
"""

from __future__ import annotations

import pytest

import r4l
from r4l.arch import DEFAULT
from r4l.kernel import Kernel
from r4l.net import Interface

PORT = "rootport"
"""QEMU's name of the root port."""
pytestmark = pytest.mark.machine(
    extra=(
        *("-machine", "q35", "-device", f"pcie-root-port,id={PORT},chassis=1,slot=1"),
        *("-netdev", "user,id=wire", "-device", f"e1000,netdev=wire,bus={PORT}"),
    ),
    snapshot=True,
)

ERRORS = [pytest.param("POISON_TLP", marks=pytest.mark.thorough), "MALF_TLP"]
"""QEMU's names of errors; the first is not fatal, the second is (PCI Express Base 3.0, 7.10.4)."""


@pytest.fixture(autouse=True)
def recovers(kernel: Kernel, module: r4l.BuiltModule) -> None:
    """Skip the tests where there is no such machine, and those of a driver that loses its card."""
    if kernel.arch != DEFAULT:
        pytest.skip("the machine with the root port, q35, is x86's")
    if module.name == "e1000":
        pytest.skip("the C driver does not give the card its addresses again after a reset, and finds no hardware")


def report(vm: r4l.VM, error: str) -> None:
    """Let the root port report an error, and wait for the end of the recovery."""
    answer = vm.qmp("human-monitor-command", command_line=f"pcie_aer_inject_error {PORT} {error}")
    assert str(answer).startswith("OK"), answer
    vm.klog.wait_for(r"device recovery (successful|failed)", timeout=60)


@pytest.mark.parametrize("error", ERRORS)
def test_ping_after_an_error_of_the_bus(
    online: r4l.VM, interface: Interface, gateway: str, module: r4l.BuiltModule, error: str
) -> None:
    interface.ping(gateway, count=1)
    report(online, error)
    online.klog.wait_for("device recovery successful")
    interface.wait_for_carrier()
    interface.ping(gateway)
    online.rmmod(module.name)


def test_an_interface_that_is_down_stays_down_after_an_error(
    loaded: r4l.VM, interface: Interface, gateway: str
) -> None:
    report(loaded, "MALF_TLP")
    loaded.klog.wait_for("device recovery successful")
    assert loaded.run(f"cat /sys/class/net/{interface.name}/operstate").stdout.strip() == "down"
    interface.up()
    interface.ping(gateway)
