# SPDX-License-Identifier: MIT
"""Frames that the card does not send: their senders get them back, and the queue goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import r4l
from r4l.net import Interface, read_pcap

pytestmark = pytest.mark.machine(nics=["e1000"])

TCTL, ENABLED = 0x400, 1 << 1
"""Without EN (8254x manual, 13.4.33) the card takes no descriptor, whatever its tail register says."""
INFLIGHT = "/sys/class/net/eth0/queues/tx-0/byte_queue_limits/inflight"
"""The bytes that BQL believes to be on their way."""
SOME_IN_FLIGHT = f"i=0; while [ $(cat {INFLIGHT}) = 0 ]; do i=$((i+1)); [ $i -lt 100 ] || exit 1; usleep 20000; done"
Register = Callable[[int], int]
Poke = Callable[[int, int], None]


def in_flight(vm: r4l.VM) -> int:
    """Return the bytes that BQL believes to be on their way."""
    return int(vm.run(f"cat {INFLIGHT}", check=True).stdout)


def wait_for_none_in_flight(vm: r4l.VM, seconds: float) -> None:
    """Wait until all frames were given back."""
    until = time.monotonic() + seconds
    while in_flight(vm):
        assert time.monotonic() < until, f"{in_flight(vm)} bytes are still in flight"
        time.sleep(0.1)


def hang(vm: r4l.VM, gateway: str, register: Register, poke: Poke) -> None:
    """Have frames on a ring that the card does not serve.

    Their sender is ended then: if it goes on without a link, the kernel asks for the gateway's address in vain, and the
    frames of a later ping are dropped with that question (net/core/neighbour.c, neigh_timer_handler).
    """
    poke(TCTL, register(TCTL) & ~ENABLED)
    vm.run(f"ping -c3 -i0.1 -W1 {gateway} > /dev/null & {SOME_IN_FLIGHT}; kill $! || :", check=True)


def test_frames_are_given_back_when_the_link_goes(
    online: r4l.VM, interface: Interface, gateway: str, register: Register, poke: Poke
) -> None:
    interface.ping(gateway, count=1)
    hang(online, gateway, register, poke)
    online.link(0, up=False)
    interface.wait_for_carrier(False)
    wait_for_none_in_flight(online, 60)
    online.link(0, up=True)
    interface.wait_for_carrier()
    interface.ping(gateway)


@pytest.mark.thorough
@pytest.mark.machine(nics=["python:e1000"], modules=["netconsole"])
def test_messages_about_a_lost_link_do_not_restart_the_card_for_ever(
    online: r4l.VM, interface: Interface, gateway: str, module: r4l.BuiltModule
) -> None:
    """netconsole puts them on the ring of a card without a link, which sends nothing."""
    if module.name == "e1000":
        pytest.skip("the C driver resets the card every two seconds then")
    interface.ping(gateway, count=1)
    mac = online.run(f"arp -n {gateway}", check=True).stdout.split()[3]
    target = f"6665@10.0.2.15/{interface.name},6666@{gateway}/{mac}"
    online.run(f"modprobe netconsole netconsole={target}", check=True)
    online.run("echo 8 > /proc/sys/kernel/printk", check=True)
    for times in (1, 2):
        online.link(0, up=False)
        interface.wait_for_carrier(False)
        time.sleep(8)
        log = online.run("dmesg", check=True).stdout
        assert log.count("no link, and frames on the ring") == times
        assert log.count("restarting") == times
        online.link(0, up=True)
        interface.wait_for_carrier()
        interface.ping(gateway, count=1)
    online.run("rmmod netconsole", check=True)


def test_a_transmitter_that_hangs_is_started_again(
    online: r4l.VM, interface: Interface, gateway: str, register: Register, poke: Poke, module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver has the frames on its ring for as long as there is a link")
    interface.ping(gateway, count=1)
    hang(online, gateway, register, poke)
    wait_for_none_in_flight(online, 90)
    interface.wait_for_carrier()
    interface.ping(gateway)


def test_a_checksum_that_is_right_is_still_one_for_each_segment(
    online: r4l.VM, kernel: r4l.Kernel, interface: Interface, gateway: str
) -> None:
    from scapy.layers.inet import IP, TCP

    interface.ping(gateway, count=1)
    online.insmod(r4l.Module(Path(__file__).parent / "segments").build(kernel))
    interface.ping(gateway, count=1)
    sent = [packet.scapy() for packet in read_pcap(online.captures[0])]
    segments = [packet for packet in sent if TCP in packet and packet[TCP].dport == 4321]
    # QEMU sends an empty segment more after data of a whole number of them.
    lengths = [(packet[TCP].seq, len(packet[TCP].payload)) for packet in segments]
    assert lengths == [(0, 1200), (1200, 1200), (2400, 1200), (3600, 500)]
    for packet in segments:
        checksums = packet[TCP].chksum, packet[IP].chksum
        del packet[TCP].chksum, packet[IP].chksum
        again = packet.__class__(bytes(packet))
        assert (again[TCP].chksum, again[IP].chksum) == checksums
