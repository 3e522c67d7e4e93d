# SPDX-License-Identifier: MIT
"""Observe an e1000 in a guest without its driver's help: registers and memory through QEMU's monitor, DMA and calls of
the driver through the kernel's trace events.

Register numbers and descriptors: Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual"
(8254x), chapters 3 and 13. Trace events: include/trace/events/{dma,napi,net}.h.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from r4l.errors import R4LError
from r4l.vm import VM

REGISTERS = {
    "CTRL": 0x0000,
    "STATUS": 0x0008,
    "IMS": 0x00D0,
    "RCTL": 0x0100,
    "TCTL": 0x0400,
    "RDBAL": 0x2800,
    "RDBAH": 0x2804,
    "RDLEN": 0x2808,
    "RDH": 0x2810,
    "RDT": 0x2818,
    "TDBAL": 0x3800,
    "TDBAH": 0x3804,
    "TDLEN": 0x3808,
    "TDH": 0x3810,
    "TDT": 0x3818,
    "MTA": 0x5200,
    "RAL": 0x5400,
    "RAH": 0x5404,
}
"""Registers that can be read without side effects. ICR is left out, since reading it clears the driver's interrupt."""
ENABLED = 1 << 1
"""The bit EN of RCTL and TCTL (13.4.22, 13.4.33)."""
DESCRIPTOR = 16
"""Bytes of a descriptor."""
TRACING = "/sys/kernel/tracing"
CALLS = (
    "napi_disable",
    "free_irq",
    "unregister_netdevice_queue",
    "free_netdev",
    "pci_release_region",
    "pci_disable_device",
)
"""Functions whose order shows a teardown."""
_EVENT = re.compile(
    r"^\s*(?P<task>\S.*?)-\d+ +\[\d+\] +\S+ +(?P<time>[\d.]+): (?P<name>\w+): (?P<text>.*)$", re.MULTILINE
)
_WORD = re.compile(r"0x([0-9a-f]+)(?![0-9a-f]*:)")


@dataclass(frozen=True)
class Event:
    """A line of the kernel's trace."""

    time: float
    name: str
    text: str

    def field(self, name: str) -> str:
        """Return the value of a field, `name=value` or `name value`; empty if there is none."""
        found = re.search(rf"\b{name}[= ](\S+)", self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class Area:
    """Memory that the driver has made accessible to the card.

    Attributes:
        kind: `alloc` for dma_alloc_coherent and the like, or `map` for dma_map_single and the like.
        direction: of the data: TO_DEVICE, FROM_DEVICE, BIDIRECTIONAL.
        address: bus address.
        size: bytes.
    """

    kind: str
    direction: str
    address: int
    size: int

    @property
    def end(self) -> int:
        """First address behind the area."""
        return self.address + self.size

    def holds(self, address: int, size: int = 1) -> bool:
        """True if `size` bytes at an address lie within the area."""
        return self.address <= address and address + size <= self.end

    def __str__(self) -> str:
        return f"{self.size} bytes at {self.address:#x}"


@dataclass(frozen=True)
class Ring:
    """A descriptor ring, as in the card's registers."""

    base: int
    size: int
    head: int
    tail: int

    @property
    def count(self) -> int:
        """Number of descriptors."""
        return self.size // DESCRIPTOR

    @property
    def owned(self) -> int:
        """Number of descriptors that the card may use: from head to tail; none if head equals tail (3.2.6, 3.4)."""
        return (self.tail - self.head) % self.count if self.count else 0


def traced(vm: VM) -> None:
    """Prepare a machine: trace DMA, NAPI polls, busy transmit functions, and `CALLS`.

    Events that a kernel does not have are left out.
    """
    probes = "; ".join(f"echo 'p:r4l/{call} {call}' >> kprobe_events" for call in CALLS)
    switches = "dma/dma_alloc dma/dma_free dma/dma_map_p* dma/dma_unmap_p* napi/napi_poll net/net_dev_xmit r4l"
    vm.run(
        f"mount -t tracefs none {TRACING}; cd {TRACING} || exit 0; {probes};"
        " echo 'rc != 0' > events/net/net_dev_xmit/filter;"
        # The default buffer is too small for these events.
        " echo 4096 > buffer_size_kb;"
        f" for e in {switches}; do for f in events/$e/enable; do echo 1 > $f; done; done; echo > trace"
    )


class Card:
    """The first e1000 of a machine.

    Args:
        vm: the machine; `traced` has prepared it.
    """

    def __init__(self, vm: VM) -> None:
        self._vm = vm
        self._events: list[Event] = []

    # -- registers and memory -----------------------------------------------------------------------------------

    @functools.cached_property
    def slot(self) -> str:
        """PCI address of the card, such as `0000:00:03.0`."""
        found = self._vm.run("cd /sys/bus/pci/devices && grep -l 0x100e */device").stdout
        if not found:
            raise R4LError("the machine has no e1000")
        return found.split("/")[0]

    @functools.cached_property
    def base(self) -> int:
        """Physical address of BAR 0."""
        return int(self._vm.run(f"cat /sys/bus/pci/devices/{self.slot}/resource", check=True).stdout.split()[0], 16)

    def register(self, name: str, index: int = 0) -> int:
        """Read a register; `index` counts 32-bit words from there."""
        return self.memory(self.base + REGISTERS[name] + 4 * index, 1)[0]

    def memory(self, address: int, words: int) -> list[int]:
        """Read 32-bit words of the guest's physical memory."""
        text = str(self._vm.qmp("human-monitor-command", command_line=f"xp /{words}wx {address:#x}"))
        found = [int(word, 16) for word in _WORD.findall(text)]
        if len(found) != words:
            raise R4LError(f"the machine has no memory at {address:#x}", detail=text[:500])
        return found

    def ring(self, way: str) -> Ring:
        """Return the receive ring (`R`) or the transmit ring (`T`)."""
        low, high, size, head, tail = (self.register(f"{way}D{name}") for name in ("BAL", "BAH", "LEN", "H", "T"))
        return Ring(high << 32 | low, size, head, tail)

    def descriptors(self, base: int, count: int) -> list[tuple[int, int]]:
        """Read the descriptors at an address, each as its buffer's address and its second half."""
        words = self.memory(base, 4 * count)
        return [(words[i] | words[i + 1] << 32, words[i + 2] | words[i + 3] << 32) for i in range(0, len(words), 4)]

    # -- the kernel's trace -------------------------------------------------------------------------------------

    @functools.cached_property
    def is_traced(self) -> bool:
        """True if the guest's kernel can trace DMA."""
        return self._vm.run(f"test -d {TRACING}/events/dma/dma_alloc").exit_code == 0

    def events(self) -> list[Event]:
        """Return all events since the machine was prepared, or since `forget`."""
        text = self._vm.run(f"cd {TRACING} && grep -v '^#' trace; echo > trace").stdout
        new = [Event(float(found["time"]), found["name"], found["text"]) for found in _EVENT.finditer(text)]
        self._events += sorted(new, key=lambda event: event.time)
        return self._events

    def forget(self) -> None:
        """Discard the events so far, which belong to an earlier driver."""
        self.events()
        self._events.clear()

    def areas(self) -> list[Area]:
        """Return the memory that the card may access now: allocated or mapped, and not yet freed or unmapped."""
        # A list for each address, since an area mapped twice must be unmapped twice.
        live: dict[tuple[str, int], list[Area]] = {}
        for event in self.events():
            if not event.name.startswith("dma_") or not event.text.startswith(self.slot):
                continue
            kind = "alloc" if event.name in ("dma_alloc", "dma_free") else "map"
            key = kind, int(event.field("dma_addr"), 16)
            areas = live.setdefault(key, [])
            if event.name not in ("dma_free", "dma_unmap_page", "dma_unmap_phys"):
                areas.append(Area(kind, event.field("dir"), key[1], int(event.field("size"))))
            elif areas:
                areas.pop()
        return [area for areas in live.values() for area in areas]

    def rings_memory(self) -> list[Area]:
        """Return the allocated areas, ordered by address."""
        return sorted((area for area in self.areas() if area.kind == "alloc"), key=lambda area: area.address)


def overlaps(areas: Sequence[Area]) -> Iterator[tuple[Area, Area]]:
    """Yield pairs of neighbouring areas that share memory."""
    ordered = sorted(areas, key=lambda area: area.address)
    for one, other in itertools.pairwise(ordered):
        if other.address < one.end:
            yield one, other
