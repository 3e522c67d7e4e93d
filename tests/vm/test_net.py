# SPDX-License-Identifier: MIT
"""Cards and wires, with the kernel's own e1000 driver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.net import Nic, read_pcap
from r4l.vm import VM, QmpError

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def vm(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    with VM(kernel, nics=[Nic()], modules=["e1000"], workdir=tmp_path_factory.mktemp("run, with a comma")) as vm:
        yield vm


def wait_for_carrier(vm: VM, name: str = "eth0") -> None:
    for _ in range(100):
        if vm.run(["cat", f"/sys/class/net/{name}/carrier"]).stdout.strip() == "1":
            return
        time.sleep(0.1)
    raise AssertionError(vm.klog.tail())


@pytest.mark.row("A10")
def test_card_is_in_sysfs_before_any_driver_is(vm: VM) -> None:
    found = vm.run("cd /sys/bus/pci/devices; for d in *; do echo $(cat $d/vendor) $(cat $d/device); done").stdout
    assert "0x8086 0x100e" in found.splitlines()
    assert vm.run("ls /sys/class/net").stdout.split() == ["lo"]


@pytest.mark.row("E8")
def test_dhcp_gives_the_lease_and_the_gateway_answers(vm: VM) -> None:
    vm.run("modprobe e1000 && ip link set eth0 up", check=True)
    wait_for_carrier(vm)
    vm.run("udhcpc -i eth0 -n -q -t 5", check=True)
    assert "inet 10.0.2.15/24" in vm.run("ip -4 addr show dev eth0").stdout
    assert "default via 10.0.2.2" in vm.run("ip route").stdout
    assert ", 0% packet loss" in vm.run("ping -c3 -W5 10.0.2.2").stdout


@pytest.mark.row("E4")
def test_capture_holds_the_icmp_exchange(vm: VM) -> None:
    from scapy.layers.inet import ICMP

    vm.run("ping -c2 -W5 10.0.2.2", check=True)
    packets = [packet.scapy() for packet in read_pcap(vm.captures[0])]
    kinds = [packet[ICMP].type for packet in packets if ICMP in packet]
    assert kinds.count(8) >= 2
    assert kinds.count(8) == kinds.count(0)


def test_cable_out_and_in_again(vm: VM) -> None:
    vm.link(0, up=False)
    vm.klog.wait_for("eth0 NIC Link is Down")
    assert vm.run("ping -c1 -W1 10.0.2.2").exit_code == 1
    vm.link(0, up=True)
    wait_for_carrier(vm)
    assert ", 0% packet loss" in vm.run("ping -c1 -W5 10.0.2.2").stdout
    with pytest.raises(UsageError, match="no network card 1"):
        vm.link(1, up=False)


def test_qmp(vm: VM) -> None:
    assert vm.qmp("query-status")["running"] is True
    with pytest.raises(QmpError, match="no-such-command"):
        vm.qmp("no-such-command")
    assert '"query-status"' in (vm.workdir / "qmp.log").read_text()


@pytest.mark.thorough
def test_two_cards_on_a_hub_hear_each_other(kernel: Kernel, tmp_path: Path) -> None:
    nics = [Nic(backend="hub"), Nic(backend="hub"), Nic(backend="hub", hub=1)]
    with VM(kernel, nics=nics, modules=["e1000"], workdir=tmp_path) as vm:
        vm.run("modprobe e1000; ip link set eth0 up; ip addr add 10.9.0.1/24 dev eth0", check=True)
        vm.run("ip link set eth1 up", check=True)
        wait_for_carrier(vm)
        wait_for_carrier(vm, "eth1")
        vm.run("arping -c2 -w3 -I eth0 10.9.0.2", timeout=20)
        heard = [packet.data for packet in read_pcap(vm.captures[1])]
        assert any(data[:6] == b"\xff" * 6 and data[12:14] == b"\x08\x06" for data in heard)
        assert not any(data[12:14] == b"\x08\x06" for data in (p.data for p in read_pcap(vm.captures[2])))
        vm.klog.check()
