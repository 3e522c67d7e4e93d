# SPDX-License-Identifier: MIT
"""Faults of real cards, as the card in Python has them by switches (`r4l.pci.models.e1000.Errata`), and of broken
ones."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface, read_pcap
from r4l.pci.faults import Fault
from r4l.pci.models.e1000 import E1000
from r4l.pci.trace import write

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

pytestmark = pytest.mark.machine(nics=["python:e1000"])

LATE_SECONDS = 2.0
"""Time in which a driver would give the frame back, also on a busy host."""


def card_of(vm: r4l.VM) -> E1000:
    """Return the card, to switch its errata."""
    card = vm.cards[0]
    assert isinstance(card, E1000)
    return card


@pytest.mark.thorough
def test_data_is_kept_until_the_card_has_read_it(
    online: r4l.VM, kernel: r4l.Kernel, interface: Interface, gateway: str
) -> None:
    """A large send, and a frame after it, are reported as done when 512 bytes of them were read. The test's module
    overwrites data that the driver gives back."""
    from scapy.layers.inet import TCP

    interface.ping(gateway, count=1)
    card = card_of(online)
    card.early_write_back, card.late_seconds = True, LATE_SECONDS
    online.insmod(r4l.Module(Path(__file__).parent / "segments").build(kernel), whole=True)
    until = time.monotonic() + 20
    segments: list[bytes] = []
    while len(segments) < 5:
        assert time.monotonic() < until, f"{len(segments)} of 5 segments were sent"
        time.sleep(0.1)
        sent = [packet.scapy() for packet in read_pcap(online.captures[0])]
        segments = [bytes(packet[TCP].payload) for packet in sent if TCP in packet and packet[TCP].dport == 4321]
    assert [len(segment) for segment in segments] == [1200, 1200, 1200, 500, 1400]
    assert set(b"".join(segments)) == {ord("r")}
    interface.ping(gateway)


@pytest.mark.thorough
def test_a_card_that_is_reset_by_its_io_ports_only(
    vm: r4l.VM, module: r4l.BuiltModule, interface: Interface, gateway: str
) -> None:
    card = card_of(vm)
    card.errata = replace(card.errata, resets_by_io_only=True)
    vm.insmod(module)
    interface.up()
    interface.ping(gateway)
    assert write(E1000.IODATA) in card.trace
    assert not [event for event in card.trace if event.kind == "refused" and "CTRL.RST" in event.text]


def test_a_card_that_takes_no_writes_to_its_memory_is_refused(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver waits for a PHY that does not answer, for more than a minute")
    card = card_of(vm)
    card.errata = replace(card.errata, writes_by_io_only=True)
    vm.insmod(module)
    assert "eth0" not in vm.run("ls /sys/class/net", check=True).stdout
    vm.rmmod(module.name)
    card.errata = replace(card.errata, writes_by_io_only=False)
    vm.insmod(module)
    assert "eth0" in vm.run("ls /sys/class/net", check=True).stdout


def test_a_frame_whose_first_piece_has_no_header_is_dropped(
    online: r4l.VM, interface: Interface, gateway: str, module: r4l.BuiltModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken card may put a few bytes into each buffer."""
    interface.ping(gateway, count=1)
    card = card_of(online)
    fill = card._fill
    with monkeypatch.context() as broken:
        broken.setattr(card, "_fill", lambda frame, size, free: fill(frame, 8, free))
        assert online.run(f"ping -c2 -W1 {gateway}").exit_code != 0
        if module.name != "e1000":
            assert interface.counter("rx_length_errors") > 0
            assert interface.counter("rx_errors") == interface.counter("rx_length_errors")
    interface.ping(gateway)


@pytest.mark.thorough
def test_frames_that_do_not_end_keep_no_cpu(
    online: r4l.VM, interface: Interface, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken card may mark no descriptor as the last one of its frame."""
    interface.ping(gateway, count=1)
    with monkeypatch.context() as broken:
        broken.setattr("r4l.pci.models.e1000.receive.RX_EOP", 0)
        assert online.run(f"ping -c200 -i 0.01 -s 1400 -W1 {gateway}", timeout=60).exit_code != 0
    interface.down()
    interface.up(address=None)
    interface.ping(gateway)


def test_a_card_that_does_not_answer_counts_nothing(
    online: r4l.VM, interface: Interface, ethtool: Ethtool, gateway: str, module: r4l.BuiltModule
) -> None:
    """Reads of a card that is gone return ones."""
    if module.name == "e1000":
        pytest.skip("the C driver asks the PCI core only, which does not know yet")
    interface.ping(gateway, count=1)
    card = card_of(online)
    before = ethtool.statistics()
    card.faults.add(Fault("all-ones", times=0))
    after = ethtool.statistics()
    card.faults.clear()
    for name in ("rx_crc_errors", "rx_bytes", "tx_broadcast"):
        assert after[name] - before[name] < 1 << 20, name
    assert interface.counter("rx_crc_errors") == 0
    interface.ping(gateway)


@pytest.mark.thorough
@pytest.mark.machine(nics=["python:e1000"], append="init_on_free=1")
def test_memory_of_the_loopback_test_is_kept_until_the_card_is_silent(
    online: r4l.VM, ethtool: Ethtool, module: r4l.BuiltModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel clears memory that is freed; so the first receive descriptor shows whether it was when the receiver is
    switched off."""
    if module.name == "e1000":
        pytest.skip("the card fails the C driver's test of registers, and that ends its tests")
    card, receiver, at = card_of(online), 0x100, 0x2800
    write_bar, buffers = card.bar_write, []

    def watched(bar: int, offset: int, size: int, value: int) -> None:
        if (bar, offset, value) == (0, receiver, 0) and card.peek(receiver):
            buffers.append(int.from_bytes(card.dma.read(card.peek(at), 8), "little"))
        write_bar(bar, offset, size, value)

    monkeypatch.setattr(card, "bar_write", watched)
    _, results = ethtool.self_test(offline=True)
    assert set(results.values()) == {0}, results
    # The close before the tests, and the loopback test.
    assert len(buffers) == 2
    assert all(buffers), buffers
