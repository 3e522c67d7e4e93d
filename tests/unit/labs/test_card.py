# SPDX-License-Identifier: MIT
"""Observation of an e1000 with a stand-in for the machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from e1000_card import Area, Card, Ring, overlaps
from r4l.errors import R4LError
from r4l.vm import VM

TRACE = """\
              ip-125     [001] .....    15.470001: dma_alloc: 0000:00:03.0 dir=BIDIRECTIONAL dma_addr=66eb000 size=4096 virt_addr=0000 flags=GFP_KERNEL attrs=
              ip-125     [000] .....    15.476398: dma_map_phys: 0000:00:03.0 dir=FROM_DEVICE dma_addr=6720040 size=2048 phys_addr=6720040 attrs=
              ip-125     [000] .....    15.476399: dma_map_phys: 0000:00:09.0 dir=FROM_DEVICE dma_addr=7720040 size=2048 phys_addr=7720040 attrs=
 kworker/0:1-9       [000] d..1.    15.476401: dma_map_phys: 0000:00:03.0 dir=FROM_DEVICE dma_addr=67209c0 size=2048 phys_addr=67209c0 attrs=
          <idle>-0       [000] ..s1.    15.500000: napi_poll: napi poll on napi struct 00 for device eth0 work 3 budget 64
              ip-136     [000] .....    16.254589: napi_disable: (napi_disable+0x4/0x40)
              ip-136     [000] .....    16.262893: dma_unmap_phys: 0000:00:03.0 dir=FROM_DEVICE dma_addr=67209c0 size=2048 attrs=
"""  # noqa: E501 (as the kernel prints it)


class Machine:
    """Stand-in that answers the commands of a Card."""

    def __init__(self, trace: str = "", memory: str = "") -> None:
        self.trace, self.memory = trace, memory

    def run(self, command: str, **_rest: object) -> SimpleNamespace:
        """Answer a command in the guest."""
        if "grep -l" in command:
            return SimpleNamespace(stdout="0000:00:03.0/device\n")
        if "/resource" in command:
            return SimpleNamespace(stdout="0x00000000febc0000 0x00000000febdffff 0x0000000000040200\n")
        text, self.trace = self.trace, ""
        return SimpleNamespace(stdout=text)

    def qmp(self, _command: str, *, command_line: str) -> str:
        """Answer the monitor's xp."""
        self.asked = command_line
        return self.memory


def card(**said: str) -> tuple[Card, Machine]:
    machine = Machine(**said)
    return Card(cast(VM, machine)), machine


def test_what_was_mapped_and_not_unmapped_is_the_cards() -> None:
    looked_at, _ = card(trace=TRACE)
    areas = looked_at.areas()
    assert areas == [Area("alloc", "BIDIRECTIONAL", 0x66EB000, 4096), Area("map", "FROM_DEVICE", 0x6720040, 2048)]
    assert looked_at.rings_memory() == areas[:1]


def test_the_trace_goes_on_where_it_was() -> None:
    looked_at, machine = card(trace=TRACE)
    assert [event.name for event in looked_at.events()][-2:] == ["napi_disable", "dma_unmap_phys"]
    machine.trace = TRACE.splitlines()[1] + "\n"
    assert len(looked_at.events()) == len(TRACE.splitlines()) + 1
    looked_at.forget()
    assert looked_at.areas() == []


def test_registers_are_words_of_the_first_bar() -> None:
    looked_at, machine = card(memory="00000000febc2808: 0x00001000\r\n")
    assert looked_at.register("RDLEN") == 0x1000
    assert machine.asked == "xp /1wx 0xfebc2808"


def test_descriptors_are_two_halves_of_eight_bytes() -> None:
    looked_at, _ = card(memory="0000000006215000: 0x06720040 0x00000001 0x0000003c 0x00000003\r\n")
    assert looked_at.descriptors(0x6215000, 1) == [(0x1_0672_0040, 0x3_0000_003C)]


def test_memory_that_is_not_there_is_said() -> None:
    looked_at, _ = card(memory="Cannot access memory\r\n")
    with pytest.raises(R4LError, match="no memory at 0xdead0000"):
        looked_at.memory(0xDEAD0000, 1)


@pytest.mark.parametrize(("head", "tail", "owned"), [(0, 0, 0), (0, 255, 255), (250, 3, 9)])
def test_the_card_owns_what_lies_from_head_to_tail(head: int, tail: int, owned: int) -> None:
    assert Ring(base=0x1000, size=4096, head=head, tail=tail).owned == owned


def test_areas_that_share_memory() -> None:
    one, two, three = (Area("alloc", "", at, 32) for at in (0, 16, 48))
    assert list(overlaps([three, two, one])) == [(one, two)]
