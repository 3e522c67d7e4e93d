# SPDX-License-Identifier: MIT
"""The e1000 written in Python, with the kernel's driver and with ours."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Interface, Nic, read_pcap
from r4l.pci import interrupt, read, write
from r4l.pci.models.e1000 import E1000
from r4l.testing import interface_of
from r4l.vm import VM

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def rust(kernel: Kernel) -> BuiltModule:
    """The driver in Rust."""
    return Module(resources.rust("drivers/e1000")).build(kernel)


@pytest.fixture(params=["rust", pytest.param("c", marks=pytest.mark.thorough)])
def online(request: pytest.FixtureRequest, vm: VM) -> Interface:
    """The interface of a driver, up."""
    if request.param == "c":
        vm.run("modprobe e1000", check=True)
    else:
        vm.insmod(request.getfixturevalue("rust"))
    interface = interface_of(vm)
    interface.up()
    return interface


@pytest.mark.machine(nics=[Nic("python:e1000")], modules=["e1000"])
def test_a_driver_works_with_it(vm: VM, online: Interface) -> None:
    """On QEMU's own network, like QEMU's card."""
    assert vm.restored
    card = vm.cards[0]
    assert isinstance(card, E1000)
    assert online.mac == "52:54:00:12:34:56"
    card.trace.expect(write(E1000.CTRL.RST))
    card.trace.expect(write(E1000.TDT))
    card.trace.expect(interrupt())
    card.trace.expect(read(E1000.ICR))
    online.ping("10.0.2.2", count=3)
    vm.link(0, up=False)
    online.wait_for_carrier(False)
    vm.link(0, up=True)
    online.wait_for_carrier()
    online.ping("10.0.2.2", count=1)
    assert any(ICMP in packet.scapy() for packet in read_pcap(vm.captures[0]))
    vm.unplug(card)
    assert vm.run("ls /sys/class/net").stdout.split() == ["lo"]
