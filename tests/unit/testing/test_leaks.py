# SPDX-License-Identifier: MIT
"""The judgement on slab caches, with figures of real guests."""

from __future__ import annotations

import sys
from collections import Counter
from typing import cast

import pytest

from r4l.guest import Completed
from r4l.testing.leaks import LIST, LeakFound, Leaks, LostObject, changes_since, lost_objects
from r4l.vm import VM

HELD = """\
==> /proc/interrupts <==
           CPU0       CPU1
 11:         12          0  IO-APIC  11-fasteoi   uhci_hcd, eth0
NMI:          0          0  Non-maskable interrupts
ERR:          0

==> /proc/iomem <==
00000000-00000fff : Reserved
  10000000-1001ffff : e1000

==> /proc/ioports <==
0000-001f : dma1

==> /proc/modules <==
r4l_e1000 61440 0 - Live 0x0000000000000000 (OE)

==> /sys/kernel/debug/dma-api/nr_total_entries <==
65536

==> /sys/kernel/debug/dma-api/num_free_entries <==
65016
==> /sys/class/net <==
/sys/class/net/eth0 /sys/class/net/lo
"""
NODE = 256
"""Bytes of a maple_node."""


class Guest:
    """A guest whose cache grows by `steps` objects, reading by reading; after the last step, not at all.

    With `sheaves`, they are freed objects that the cache keeps until it is shrunk.
    """

    def __init__(self, cache: str, size: int, steps: list[int], *, sheaves: bool = False) -> None:
        self._cache, self._size, self._steps, self._sheaves = cache, size, iter(steps), sheaves
        self._objects = 1000
        self.needed: set[str] = set()

    def run(self, command: str, **_: object) -> Completed:
        if command == LIST:
            return Completed(command, 0, HELD.encode(), b"", 0.0)
        if f"/sys/kernel/slab/{self._cache}/shrink" in command and self._sheaves:
            self._objects = 1000
        if command != "cat /proc/slabinfo":
            return Completed(command, 1, b"", b"", 0.0)
        self._objects += next(self._steps, 0)
        rows = f"{self._cache} {self._objects} {self._objects} {self._size} 16 1\n"
        return Completed(command, 0, f"slabinfo - version: 2.1\n# name\n{rows}".encode(), b"", 0.0)


def test_what_is_held() -> None:
    held = leaks_of("maple_node", NODE, []).held()
    assert held == {
        "interrupt lines": ["           CPU0       CPU1", " 11", "NMI", "ERR", "CPU1", "eth0", "interrupts"],
        "I/O memory": ["00000000-00000fff : Reserved", "  10000000-1001ffff : e1000"],
        "I/O ports": ["0000-001f : dma1"],
        "network interfaces": ["eth0", "lo"],
        "modules": ["r4l_e1000"],
        "DMA mappings": ["520"],
    }
    less = {**held, "I/O memory": held["I/O memory"][:1], "DMA mappings": ["512"]}
    assert changes_since(less, held) == "I/O memory: new: 10000000-1001ffff : e1000"
    assert changes_since(held, less) == "I/O memory: gone: 10000000-1001ffff : e1000"


def test_a_kernel_without_some_of_the_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for arm64 has no ports, and only one for debugging counts DMA mappings."""
    monkeypatch.setattr(
        sys.modules[__name__], "HELD", "==> /proc/modules <==\n==> /sys/class/net <==\n/sys/class/net/lo\n"
    )
    held = leaks_of("maple_node", NODE, []).held()
    assert [title for title, lines in held.items() if lines] == ["network interfaces"]


@pytest.mark.parametrize("needed", [True, False])
def test_a_module_that_the_driver_needs_is_no_leak(monkeypatch: pytest.MonkeyPatch, needed: bool) -> None:
    """insmod loads it, and rmmod of the driver leaves it; one that the driver itself has loaded is a leak."""
    leaks = leaks_of("maple_node", NODE, [])
    vm = leaks._vm

    def use_driver() -> None:
        with leaks():
            if needed:
                vm.needed.add("mii")
            more = HELD.replace("/proc/modules <==\n", "/proc/modules <==\nmii 20480 0 - Live 0x0\n")
            monkeypatch.setattr(sys.modules[__name__], "HELD", more)

    if needed:
        use_driver()
    else:
        with pytest.raises(LeakFound, match="modules: new: mii"):
            use_driver()


def leaks_of(cache: str, size: int, steps: list[int], *, sheaves: bool = False) -> Leaks:
    return Leaks(cast(VM, Guest(cache, size, steps, sheaves=sheaves)))


def test_a_cache_that_grows_for_a_while_is_no_leak() -> None:
    """Figures seen on two loaded cores, with a driver without maple tree."""
    reloads: Counter[str] = Counter()
    leaks_of("maple_node", NODE, [0, 64, 64, 0, 0, 64, 0, -64]).across_rounds(
        lambda times: reloads.update(loads=times), rounds=2, times=10
    )
    assert reloads["loads"] == 10 * (1 + 2 + 4), "it is looked at a second time"


def test_a_cache_that_grows_on_is_a_leak() -> None:
    """A buffer of 2 KiB per repetition; slabs hold 16, so a round can seem to leak none."""
    with pytest.raises(LeakFound, match="in rounds of 10: kmalloc-2k by 32768, 0, 32768, 32768 bytes"):
        leaks_of("kmalloc-2k", 2048, [0, 16, 16, 0, 16, 0, 16, 16]).across_rounds(lambda _: None, rounds=2, times=10)


def test_objects_in_sheaves_are_no_leak() -> None:
    """Figures seen on two loaded cores: a sheaf of maple_node holds 32 objects."""
    leaks_of("maple_node", NODE, [0, 32, 64, 0, 64, 32, 64, 32], sheaves=True).across_rounds(
        lambda _: None, rounds=2, times=5
    )


def test_a_leak_stays_when_the_cache_is_shrunk() -> None:
    """The same figures, of objects in use."""
    with pytest.raises(LeakFound, match="maple_node by 16384, 8192, 16384, 8192 bytes"):
        leaks_of("maple_node", NODE, [0, 32, 64, 0, 64, 32, 64, 32]).across_rounds(lambda _: None, rounds=2, times=5)


LOST = """\
unreferenced object 0xffff888005ec8000 (size 1024):
  comm "insmod", pid 106, jiffies 4294924579
  hex dump (first 32 bytes):
    01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01  ................
  backtrace (crc 4f5a1f0):
    __kmalloc_cache_noprof+0x2b3/0x340
    swept_probe+0x1b2/0x2a0 [swept]
"""


def test_the_objects_of_a_report_of_kmemleak() -> None:
    second = LOST.replace("4294924579", "4294924600").replace("object 0x", "object (percpu) 0x")
    assert lost_objects(LOST + second) == [LostObject(4294924579, LOST), LostObject(4294924600, second)]
    assert lost_objects("") == []
