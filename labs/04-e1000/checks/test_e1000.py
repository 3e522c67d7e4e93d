# SPDX-License-Identifier: MIT
"""Lab 4. The card is observed from outside: its registers, its rings in memory, the wire, the kernel's trace.

One machine serves all checks while its kernel is well, since each `up` costs a second: QEMU's e1000 does not receive
for that long after a write of RCTL. After a failed check the driver is loaded again.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import time
from collections.abc import Callable, Iterator

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

import e1000_card as cards
import r4l
from e1000_card import ENABLED, Card
from r4l import Nic
from r4l.camp.labs import see
from r4l.errors import GuestTimeout, R4LError
from r4l.kernel import Kernel
from r4l.net import Wire
from r4l.testing import verdict
from r4l.vm import workdirs

DRAW = random.SystemRandom()
GATEWAY, GUEST = "10.0.2.2", "10.0.2.15"
ROUTER = "52:55:0a:00:02:02"
"""The wire's own address, which answers ARP and ping."""
ME = "02:00:00:00:00:07"
"""A station of the checks."""
BUFFER = {(0, 0): 2048, (1, 0): 1024, (2, 0): 512, (3, 0): 256, (1, 1): 16384, (2, 1): 8192, (3, 1): 4096}
"""Bytes of a receive buffer, by RCTL.BSIZE and RCTL.BSEX (13.4.22)."""
SYSFS = "/sys/class/net/eth0"
ABSENT, REFUSED, NO_LINK = 99, 98, 97
"""Exit codes of what `Rig.up` runs."""
LARGEST_RING = 1 << 16
"""Bytes; the maximum of RDLEN and TDLEN."""
ANSWER = 20.0
"""Seconds for a command in the guest. A longer one never ends, because of a loop in the driver."""
FRAME = range(60, 1515)
"""Bytes of a frame without its checksum, shortest and longest."""
TURNS = 3
"""Repetitions of down and up; the card needs half a second each time for its link."""
CAUSES = {"TXDW": 0, "LSC": 2, "RXT0": 7}
"""Bits of IMS (13.4.20)."""
PATIENCE, IMPATIENCE = 8.0, 1.5
"""Seconds that something may take that takes one; and once something has failed, so that much else will not come."""


class Rig:
    """A machine with a new card, and a record of actions in it."""

    def __init__(self, vm: r4l.VM, module: r4l.BuiltModule) -> None:
        self.vm, self.module = vm, module
        self.patience = PATIENCE
        self.card = Card(vm)
        self.drawn = self.mac = vm.machine.nics[0].address(0)

    @property
    def wire(self) -> Wire:
        """The other end of the cable."""
        return self.vm.wires[0]

    def draw_card(self) -> None:
        """Replace the machine's card by one with a random address in its EEPROM."""
        if self.vm.machine.arch != "x86_64":
            return
        mac = f"52:54:00:{DRAW.randrange(256):02x}:{DRAW.randrange(256):02x}:{DRAW.randrange(256):02x}"
        self.vm.qmp("device_del", id="nic0")
        self.until(lambda: "0x100e" not in self.run("cat /sys/bus/pci/devices/*/device"))
        self.vm.qmp("device_add", driver="e1000", id="nic0", netdev="net0", mac=mac, romfile="")
        self.until(lambda: "0x100e" in self.run("cat /sys/bus/pci/devices/*/device"))
        self.drawn = mac

    def run(self, command: str) -> str:
        """Return the output of a command in the guest."""
        return self.vm.run(command, timeout=ANSWER).stdout

    def until(self, done: Callable[[], bool]) -> bool:
        """Wait for a condition; return True if it became true."""
        end = time.monotonic() + self.patience
        while not done():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def load(self) -> None:
        """Load the driver unless it is loaded."""
        if self.vm.run(f"test -e {SYSFS}").exit_code:
            if self.module.name not in self.run("cut -d' ' -f1 /proc/modules").split():
                self.vm.insmod(self.module)
            see("interfaces after insmod", self.run("ls /sys/class/net").split(), ["eth0", "lo"])
        # Frames go to the address that it has: whether it is the right one is asked once.
        self.mac = self.run(f"cat {SYSFS}/address").strip()

    def up(self, then: str = "", first: str = "true") -> None:
        """Bring eth0 up unless it is, in one command, since each takes a while."""
        # What is given and there already does no harm.
        give = f"ip addr add {GUEST}/24 dev eth0 2>/dev/null; arp -i eth0 -s 10.0.2.7 {ME}"
        command = f"test -e {SYSFS} || exit {ABSENT}; {first}; ip link set eth0 up || exit {REFUSED}; {give}; {then}"
        done = self.vm.run(command, timeout=ANSWER)
        if done.exit_code == ABSENT:
            self.load()
            done = self.vm.run(command, timeout=ANSWER)
        said = done.stderr.strip() if done.exit_code == REFUSED else "no error"
        see("`ip link set eth0 up` (open)", said, "no error", done.exit_code != REFUSED)
        what = "the link of eth0 (carrier), which the poll function looks at after an LSC interrupt"
        see(what, "down", "up", done.exit_code != NO_LINK)

    def online(self, first: str = "true") -> None:
        """Bring eth0 up and wait for the link."""
        # By the guest's clock, not by turns: under load a turn takes much longer than its sleep.
        clock = "read -r now _ < /proc/uptime; now=${now%.*}"
        wait = f"{clock}; [ $now -gt $end ] && exit {NO_LINK}; usleep 10000"
        linked = f'read -r link < {SYSFS}/carrier && [ "$link" = 1 ]'
        self.up(f"{clock}; end=$((now + {self.patience:.0f})); until {linked}; do {wait}; done", first)

    def reload(self) -> bool:
        """Unload the driver; return True if the machine is usable afterwards."""
        name = self.module.name
        done = self.vm.run(f"! grep -q '^{name} ' /proc/modules || rmmod {name}", timeout=10)
        self.vm.klog.sync()
        if self.card.is_traced:
            self.card.forget()
        return done.exit_code == 0 and not self.vm.klog.splat_count

    def counter(self, name: str) -> int:
        """Return one of eth0's statistics."""
        return int(self.run(f"cat {SYSFS}/statistics/{name}"))

    def counters(self, *names: str) -> dict[str, int]:
        """Return several statistics, read at one time."""
        files = " ".join(f"{SYSFS}/statistics/{name}" for name in names)
        return dict(zip(names, map(int, self.run(f"cat {files}").split()), strict=True))

    def interrupts(self) -> int | None:
        """Return how often eth0's interrupt handler was called; None without a row in /proc/interrupts."""
        row = next((row for row in self.run("cat /proc/interrupts").splitlines() if "eth0" in row), None)
        return None if row is None else sum(int(word) for word in row.split()[1:] if word.isdecimal())

    def echo(self, size: int, number: int) -> tuple[Ether, bytes]:
        """Return a ping with a frame of that many bytes, and its payload."""
        payload = DRAW.randbytes(size - 42)
        ip = Ether(src=ME, dst=self.mac) / IP(src="10.0.2.7", dst=GUEST) / ICMP(id=77, seq=number)
        return ip / Raw(payload), payload

    def frame(self, size: int = 100) -> Ether:
        """Return a frame of that many bytes that the guest receives without answering: a reply to no request."""
        ip = Ether(src=ME, dst=self.mac) / IP(src="10.0.2.7", dst=GUEST) / ICMP(type=0, id=78)
        return ip / Raw(DRAW.randbytes(size - 42))

    def flush(self) -> None:
        """Wait until the card has the frames of the wire. A card that takes none is detected by the check."""
        with contextlib.suppress(GuestTimeout):
            self.wire.flush(self.patience)

    def intact(self) -> tuple[int, int]:
        """Return the ICMP messages received by the stack, and those with a wrong checksum."""
        rows = [row.split() for row in self.run("grep ^Icmp: /proc/net/snmp").splitlines()]
        counts = dict(zip(*rows, strict=True))
        return int(counts["InMsgs"]) - int(counts["InCsumErrors"]), int(counts["InCsumErrors"])


def prepared(vm: r4l.VM) -> None:
    """Prepare every machine: traces, no unsolicited traffic, pktgen."""
    cards.traced(vm)
    vm.run(
        "cd /proc/sys/net/ipv6/conf; for n in all default; do echo 1 > $n/disable_ipv6; echo 0 > $n/accept_dad; done"
    )
    vm.run("ip link set lo up; modprobe pktgen")


class Pool:
    """The machine shared by the checks."""

    def __init__(self, kernel: Kernel, module: r4l.BuiltModule) -> None:
        self._kernel, self._module = kernel, module
        self._rig: Rig | None = None
        self._patience = PATIENCE

    def take(self) -> Rig:
        """Return the machine, or a new one."""
        if self._rig is None:
            nic = Nic("e1000", backend="socket")
            vm = r4l.VM(
                self._kernel,
                nics=[nic],
                modules=["pktgen"],
                snapshot=True,
                prepare=prepared,
                workdir=workdirs.make(None),
            )
            vm.start()
            self._rig = Rig(vm, self._module)
            self._rig.draw_card()
        self._rig.patience = self._patience
        return self._rig

    def failed(self) -> None:
        """Note a failed check: the next one loads the driver again, in a new machine if needed."""
        self._patience = IMPATIENCE
        with contextlib.suppress(R4LError):
            if self._rig and self._rig.reload():
                return
        self.drop()

    def end(self) -> None:
        """End after the last check. Complaints since then, up to the last line, fail that check."""
        vm = self._rig.vm if self._rig else None
        self.drop()
        if vm and (untold := vm.untold()):
            raise untold

    def drop(self) -> None:
        """Discard the machine after a fault."""
        if self._rig:
            self._rig.vm.close()
            workdirs.remove(self._rig.vm.workdir)
            self._rig = None


@pytest.fixture(scope="module")
def pool(kernel: Kernel, module: r4l.BuiltModule) -> Iterator[Pool]:
    """The machine shared by the checks."""
    shared = Pool(kernel, module)
    yield shared
    shared.end()


@pytest.fixture
def rig(request: pytest.FixtureRequest, pool: Pool) -> Iterator[Rig]:
    """The machine, with no fault so far."""
    taken = pool.take()
    verdict.watch(request.node, taken.vm)
    yield taken
    if verdict.failed(request.node):
        pool.failed()


@pytest.fixture
def vm(rig: Rig) -> r4l.VM:
    """The machine, for the evidence."""
    return rig.vm


def needs_trace(rig: Rig) -> None:
    """Skip the check on kernels that cannot trace DMA."""
    if not rig.card.is_traced:
        pytest.skip("this kernel has no trace events of DMA: CONFIG_FTRACE and CONFIG_DYNAMIC_EVENTS are off")


# -- before the link --------------------------------------------------------------------------------------------


@pytest.mark.checkpoint("mac")
def test_mac(rig: Rig, vm: r4l.VM) -> None:
    rig.load()
    what = "the address of eth0 (the EEPROM of this card has an address that was drawn for this check)"
    see(what, rig.mac, rig.drawn)


@pytest.mark.checkpoint("rings")
def test_rings(rig: Rig, vm: r4l.VM) -> None:
    needs_trace(rig)
    rig.up()
    rings = rig.card.rings_memory()
    shown = ", ".join(map(str, rings)) or "none"
    see("coherent DMA memory after `ip link set eth0 up`", shown, "one area for each of the two rings", len(rings) >= 2)
    for ring in rings:
        see(f"the address of the ring of {ring}, modulo 16 (3.2.6, 3.4)", ring.address % 16, 0)
        see("bytes of a ring (8 descriptors of 16 bytes at least)", ring.size, "128 or more", ring.size >= 128)
    both = [f"{one} and {other}" for one, other in cards.overlaps(rings)]
    see("rings that overlap", both, [])


@pytest.mark.checkpoint("buffers")
def test_buffers(rig: Rig, vm: r4l.VM) -> None:
    needs_trace(rig)
    rig.up()
    areas = rig.card.areas()
    size = buffer_size(rig.card)
    for_card = [area for area in areas if area.direction in ("FROM_DEVICE", "BIDIRECTIONAL")]
    best: list[int] = []
    count = 0
    for ring in (area for area in areas if area.kind == "alloc" and area.size <= LARGEST_RING):
        descriptors = rig.card.descriptors(ring.address, ring.size // cards.DESCRIPTOR)
        pointing = [to for to, _ in descriptors if to and any(area.holds(to) for area in for_card if area != ring)]
        if len(pointing) >= len(best):
            best, count = pointing, len(descriptors)
    see(
        "receive descriptors with the address of a buffer in them",
        f"{len(best)} of {count}; {sum(area.kind == 'map' for area in for_card)} buffers are mapped for the card",
        f"all {count} (one may be without)",
        0 < count <= len(best) + 1,
    )
    see("descriptors that share a buffer with another", len(best) - len(set(best)), 0)
    near = [b - a for a, b in itertools.pairwise(sorted(best)) if b - a < size]
    see(
        f"bytes from one receive buffer to the next: the card writes up to {size} to each (RCTL.BSIZE)",
        min(near, default=size),
        f"{size} or more",
        not near,
    )
    short = [to for to in best if not any(area.holds(to, size) for area in for_card)]
    see(f"buffers with less than {size} bytes mapped, which a long frame would write beyond", len(short), 0)


def buffer_size(card: Card) -> int:
    """Return the buffer size in RCTL; 2048 before it is set."""
    rctl = card.register("RCTL")
    return BUFFER.get((rctl >> 16 & 3, rctl >> 25 & 1), 2048) if rctl & ENABLED else 2048


def ring_is_right(rig: Rig, way: str) -> None:
    """Check BAL, BAH, LEN and H of a ring."""
    ring = rig.card.ring(way)
    place, room = "the DMA address of a ring", "128 or more"
    known, fits = ring.base != 0, ring.size > 0
    if rig.card.is_traced:
        rings = rig.card.rings_memory()
        memory = next((area for area in rings if area.holds(ring.base)), None)
        place = f"the DMA address of a ring: {' or '.join(map(str, rings)) or 'there is none'}"
        known = memory is not None
        if memory:
            room, fits = str(memory.end - ring.base), 0 < ring.size <= memory.end - ring.base
    see(f"{way}DBAL and {way}DBAH", f"{ring.base:#x}", place, known)
    see(f"{way}DLEN: the ring's bytes, a multiple of 128", ring.size, room, fits and ring.size % 128 == 0)
    see(f"{way}DH", ring.head, f"less than the {ring.count} descriptors", ring.head < ring.count)


@pytest.mark.checkpoint("tx-registers")
def test_tx_registers(rig: Rig, vm: r4l.VM) -> None:
    rig.up()
    ring_is_right(rig, "T")
    ring = rig.card.ring("T")
    see("TDT − TDH: descriptors that the card has still to send, when nothing is being sent", ring.owned, 0)
    tctl = rig.card.register("TCTL")
    see("TCTL.EN, bit 1: the transmitter is on", tctl >> 1 & 1, 1)
    see("TCTL.COLD, bits 21:12 (13.4.33)", hex(tctl >> 12 & 0x3FF), "0x40 (full duplex)", tctl >> 12 & 0x3FF == 0x40)


@pytest.mark.checkpoint("rx-registers")
def test_rx_registers(rig: Rig, vm: r4l.VM) -> None:
    rig.up()
    ring_is_right(rig, "R")
    ring, other = rig.card.ring("R"), rig.card.ring("T")
    see(
        "the receive ring's base, which is not the transmit ring's",
        f"{ring.base:#x}",
        "another",
        ring.base != other.base,
    )
    see(
        "(RDT − RDH) mod N: descriptors that the card may fill. RDT = RDH says that there are none, so one stays back",
        ring.owned,
        f"{ring.count - 1} of {ring.count}",
        ring.owned >= ring.count // 2,
    )
    rctl = rig.card.register("RCTL")
    see("RCTL.EN, bit 1: the receiver is on", rctl >> 1 & 1, 1)
    see("RCTL.BAM, bit 15: broadcast is received, ARP needs it", rctl >> 15 & 1, 1)


@pytest.mark.checkpoint("irq")
def test_irq(rig: Rig, vm: r4l.VM) -> None:
    rig.up()
    before = rig.interrupts()
    see("rows of eth0 in /proc/interrupts", 0 if before is None else 1, 1)
    ims = rig.card.register("IMS")
    for name, bit in CAUSES.items():
        see(f"IMS.{name}, bit {bit}: that interrupt is let through", ims >> bit & 1, 1)
    rig.wire.send(rig.frame())
    rig.flush()
    rises = rig.until(lambda: (rig.interrupts() or 0) > (before or 0))
    see("calls of the interrupt handler after a frame has come", "more" if rises else "no more", "more")
    calm = rig.interrupts() or 0
    time.sleep(0.1)
    storm = (rig.interrupts() or 0) - calm
    see(
        "calls of the handler in a tenth of a second without traffic (reading ICR ends an interrupt)",
        storm,
        "a few",
        storm < 200,
    )


# -- exercise 4 -------------------------------------------------------------------------------------------------


@pytest.mark.checkpoint("receive")
def test_receive(rig: Rig, vm: r4l.VM) -> None:
    rig.up()
    sizes = sorted({60, 61, 255, 256, 257, 258, 1513, 1514, *DRAW.sample(FRAME, 112)})
    before, good = rig.counters("rx_packets", "rx_errors"), rig.intact()
    for size in sizes:
        rig.wire.send(rig.frame(size))
    arrived(rig, before["rx_packets"], len(sizes), "of 60 to 1514 bytes")
    intact, broken = (now - then for now, then in zip(rig.intact(), good, strict=True))
    see(
        f"of {len(sizes)} frames of 60 to 1514 bytes, those that the stack took for what they were",
        f"{intact}, and {broken} with a wrong checksum",
        f"{len(sizes)}, and 0",
        (intact, broken) == (len(sizes), 0),
    )
    see("rx_errors of good frames", rig.counter("rx_errors") - before["rx_errors"], 0)

    # What no good station sends: longer than Ethernet, longer than a buffer, no IP in it, a length that lies.
    packets, good = rig.counter("rx_packets"), rig.intact()
    bad = [DRAW.randbytes(size) for size in (1501, 1504, 1508, 2086, 2986, 8986)]
    for noise in bad:
        rig.wire.send(Ether(src=ME, dst=rig.mac, type=0x0800) / Raw(noise))
    rig.wire.send(Ether(src=ME, dst=rig.mac) / IP(src="10.0.2.7", dst=GUEST, len=1400) / Raw(b"liar"))
    rig.wire.send(rig.frame())
    rig.flush()
    after = rig.until(lambda: rig.intact()[0] > good[0])
    see("a good frame after some that are too long or malformed", "received" if after else "not received", "received")
    most = len(bad) + 2
    seen = rig.counter("rx_packets") - packets
    see(
        f"frames that reached the stack, of {most} sent (one that is longer than a buffer must not go up in pieces)",
        seen,
        f"{most} or less",
        seen <= most,
    )
    keeps_budget(rig)
    has_buffers(rig)


def has_buffers(rig: Rig) -> None:
    """Send once round the ring in four steps; after each the card must have buffers to fill.

    With many frames at once, a tail that does not move, or is reset at once, would go unnoticed.
    """
    count = rig.card.ring("R").count
    for _ in range(4):
        packets = rig.counter("rx_packets")
        for _ in range(count // 4):
            rig.wire.send(rig.frame())
        arrived(rig, packets, count // 4, f"while the ring of {count} descriptors goes round")
        rig.until(lambda: rig.card.ring("R").owned >= count // 4)
        ring = rig.card.ring("R")
        see(
            f"(RDT − RDH) mod N when all frames that came were taken (RDH {ring.head}, RDT {ring.tail}): descriptors "
            "that the card may fill",
            ring.owned,
            f"{count - 1} of {count}, or a few less",
            ring.owned >= count // 4,
        )


def arrived(rig: Rig, before: int, count: int, what: str) -> None:
    """Check that all frames sent by the wire were counted as received."""
    rig.flush()
    rig.until(lambda: rig.counter("rx_packets") - before >= count)
    see(
        f"rx_packets after {count} frames {what} (RDT gives the card its descriptors back)",
        rig.counter("rx_packets") - before,
        count,
    )


def keeps_budget(rig: Rig) -> None:
    """Check the budget: 200 frames wait when the poll function is called, which may take 64 at a time."""
    if not rig.card.is_traced:
        return
    # Made before: all have to be there when the next poll comes.
    frames = [bytes(rig.frame()) for _ in range(200)]
    put_off(rig, 200)
    before = rig.counter("rx_packets")
    rig.card.events()
    start = len(rig.card.events())
    for frame in frames:
        rig.wire.send(frame)
    arrived(rig, before, 200, "at once")
    put_off(rig, 0)
    idle_polls(rig)
    polls = [event for event in rig.card.events()[start:] if event.name == "napi_poll" and "eth0" in event.text]
    work = [polled(event)[0] for event in polls]
    over = [w for w, budget in map(polled, polls) if w > budget]
    see("polls that took more frames than their budget", over, [])
    see(
        "frames that the poll function said it took (its return values), of 200 received",
        f"{sum(work)}, in polls of {', '.join(map(str, [w for w in work if w][:12]))}",
        200,
        sum(work) == 200,
    )


def put_off(rig: Rig, milliseconds: int) -> None:
    """Make the kernel poll by its own timer instead of by interrupts (napi_defer_hard_irqs); 0 ends that.

    The deferral begins with a poll that has received a frame.
    """
    polls = 60 if milliseconds else 0
    rig.run(f"echo {milliseconds * 10**6} > {SYSFS}/gro_flush_timeout; echo {polls} > {SYSFS}/napi_defer_hard_irqs")
    if milliseconds:
        before = rig.counter("rx_packets")
        rig.wire.send(rig.frame())
        rig.flush()
        rig.until(lambda: rig.counter("rx_packets") > before)


def idle_polls(rig: Rig) -> None:
    """Check that NAPI sleeps without traffic."""
    count = len(rig.card.events())
    time.sleep(0.1)
    polls = sum(event.name == "napi_poll" and "eth0" in event.text for event in rig.card.events()[count:])
    see(
        "polls in a tenth of a second without traffic (a poll that took less than its budget ends with "
        "napi_complete_done, and returns less)",
        polls,
        "a few",
        polls < 100,
    )


def polled(event: cards.Event) -> tuple[int, int]:
    """Return the frames taken by a poll, and its budget."""
    found = re.search(r"work (\d+) budget (\d+)", event.text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


PKTGEN = """
conf() { echo "$2" > /proc/net/pktgen/$1; }
conf kpktgend_0 rem_device_all; while test -e /proc/net/pktgen/eth0; do usleep 20000; done
conf kpktgend_0 "add_device eth0"
for line in "xmit_mode queue_xmit" "count COUNT" "pkt_size 60" "delay 0" "dst 10.0.2.2" "dst_mac 52:55:0a:00:02:02"; do
    conf eth0 "$line"
done
(echo start > /proc/net/pktgen/pgctrl) > /dev/null 2>&1 &
"""
FLOOD = 600
"""Frames: more than two rings, and less than the stack queues before a device (txqueuelen)."""


@pytest.mark.checkpoint("transmit")
def test_transmit(rig: Rig, vm: r4l.VM) -> None:
    rig.online()
    pads(rig)
    before = rig.counters("tx_packets")
    queue = f"{SYSFS}/queues/tx-0/byte_queue_limits"
    rig.card.events()
    start = len(rig.card.events())
    # What was sent is taken back only 50 times a second, and BQL holds nothing back: the ring runs full.
    put_off(rig, 20)
    rig.run(f"[ -d {queue} ] && echo 10000000 > {queue}/limit_min")
    # In the background: it waits for its last frame to be freed, which a driver that has lost it never does.
    rig.run(PKTGEN.replace("COUNT", str(FLOOD)))
    # Two seconds without a frame are the end: after five the kernel finds the queue stalled, and restarts the card.
    numbers: list[int] = []
    end = time.monotonic() + 2
    while len(numbers) < FLOOD and time.monotonic() < end:
        if new := [number_of(packet) for packet in flood(rig)]:
            numbers += new
            end = time.monotonic() + 2
        time.sleep(0.02)
    put_off(rig, 0)
    # The last of them are taken back by a poll that the interrupt of their sending brings.
    believed = f"cat {queue}/inflight 2>/dev/null || echo 0"
    if len(numbers) >= FLOOD:
        rig.until(lambda: int(rig.run(believed)) == 0)
    inflight = int(rig.run(believed))
    missing = FLOOD - len(set(numbers))
    held = f", and BQL believes that {inflight} bytes are on their way, so it holds the queue" if inflight else ""
    see(f"frames of a flood of {FLOOD} that never came out of the card", f"{missing}{held}", "0", missing == 0)
    see("frames that came out twice", len(numbers) - len(set(numbers)), 0)
    see("frames that came out after a later one", sum(b < a for a, b in itertools.pairwise(numbers)), 0)
    busy = sum(event.name == "net_dev_xmit" and "rc=16" in event.text for event in rig.card.events()[start:])
    see(
        "times that start_xmit answered NETDEV_TX_BUSY under flood: the queue is to be stopped before the ring is full",
        busy,
        "hardly ever",
        busy < 20,
    )
    see(
        "bytes that BQL still believes to be on their way after all were sent: told twice, or never completed, "
        "as where a full ring is written over",
        inflight,
        0,
    )
    see(f"tx_packets after {FLOOD} frames", rig.counter("tx_packets") - before["tx_packets"], FLOOD)
    left = [area for area in rig.card.areas() if area.direction == "TO_DEVICE"] if rig.card.is_traced else []
    see("sent frames that are still mapped for the card, so never freed", len(left), 0)


def pads(rig: Rig) -> None:
    """Check the padding: a ping without payload has 42 bytes."""
    rig.wire.sniff()
    rig.run(f"arp -i eth0 -s {GATEWAY} {ROUTER}; ping -c1 -W1 -s0 {GATEWAY}; arp -i eth0 -d {GATEWAY}")
    frames = [frame.data for frame in rig.wire.frames()]
    short = [frame for frame in frames if frame[:6] == bytes.fromhex(ROUTER.replace(":", ""))]
    see("frames that came out of the card for a ping of 42 bytes", len(short), "1 or more", bool(short))
    size = len(short[0])
    # The card pads as well, if TCTL.PSP says so; QEMU's does not.
    see("bytes of that frame (Ethernet's shortest is 60, and its checksum)", size, "60", size == 60)
    see(
        "what follows the 42 bytes (memory of the kernel must not get out)",
        short[0][42:].hex(),
        "zeros",
        not any(short[0][42:]),
    )


def flood(rig: Rig) -> list[Packet]:
    """Return the pktgen frames that arrived."""
    return [packet for packet in rig.wire.sniff(UDP) if packet[UDP].dport == 9]


def number_of(packet: Packet) -> int:
    """Return pktgen's number of a frame, behind its magic (net/core/pktgen.c, struct pktgen_hdr)."""
    return int.from_bytes(bytes(packet[UDP].payload)[4:8], "big")


# -- the whole --------------------------------------------------------------------------------------------------


@pytest.mark.checkpoint("ping")
def test_ping(rig: Rig, vm: r4l.VM) -> None:
    rig.online()
    pinged(rig, 3)
    rig.wire.sniff()
    sent = {}
    for number, size in enumerate([60, 61, 1513, 1514, *DRAW.sample(FRAME, 20)]):
        packet, sent[number] = rig.echo(size, number)
        rig.wire.send(packet)
    back: dict[int, bytes] = {}
    end = time.monotonic() + 5
    while len(back) < len(sent) and time.monotonic() < end:
        for answer in rig.wire.sniff(is_answer):
            back[answer[ICMP].seq] = bytes(answer[IP])[28 : answer[IP].len]
        time.sleep(0.01)
    see(f"answers to {len(sent)} pings of all sizes", len(back), len(sent))
    see("answers whose bytes are not those of the question", [n for n in sent if back[n] != sent[n]], [])


def is_answer(packet: Packet) -> bool:
    """True if the packet is the guest's answer to a ping of the checks."""
    return ICMP in packet and packet[ICMP].type == 0 and packet.dst == ME


def pinged(rig: Rig, count: int) -> None:
    """Ping the wire from the guest."""
    text = rig.run(f"ping -c{count} -i0.05 -W5 {GATEWAY} 2>&1")
    summary = next((line for line in text.splitlines() if "packet loss" in line), text.strip())
    see(f"ping -c{count} {GATEWAY}", summary, "0% packet loss", " 0% packet loss" in summary)


def exchange(rig: Rig, count: int, size: int) -> None:
    """Ping the guest from the wire."""
    rig.wire.sniff()
    for number in range(count):
        rig.wire.send(rig.echo(size, number)[0])
    answers = 0

    def all_came() -> bool:
        nonlocal answers
        answers += len(rig.wire.sniff(is_answer))
        return answers >= count

    rig.until(all_came)
    see(f"answers to {count} pings from the wire", answers, count)


@pytest.mark.checkpoint("statistics")
def test_statistics(rig: Rig, vm: r4l.VM) -> None:
    rig.online()
    names = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped")
    exchange(rig, 1, 100)
    count, size = DRAW.randrange(20, 60), DRAW.randrange(200, 1500)
    settled(rig)
    before = rig.counters(*names)
    exchange(rig, count, size)
    settled(rig)
    after = rig.counters(*names)
    grown = {name: after[name] - before[name] for name in names}
    for name in ("rx_packets", "tx_packets"):
        see(f"{name} after {count} questions and {count} answers", grown[name], count)
    for name in ("rx_bytes", "tx_bytes"):
        # With or without the checksum: drivers differ.
        right = count * size <= grown[name] <= count * (size + 4)
        see(f"{name} after {count} frames of {size} bytes", grown[name], count * size, right)
    for name in names[4:]:
        see(name, grown[name], 0)


def settled(rig: Rig) -> None:
    """Wait until the counters stop changing: a sent frame is counted when an interrupt reclaims it."""
    last = -1
    while (now := rig.counter("tx_packets")) != last:
        last = now
        time.sleep(0.02)


@pytest.mark.checkpoint("quiet")
def test_quiet(rig: Rig, vm: r4l.VM) -> None:
    rig.online()
    exchange(rig, 1, 100)
    vm.klog.sync()
    before = len(vm.klog.records())
    exchange(rig, 30, 500)
    vm.klog.sync()
    new = [record.text for record in vm.klog.records()[before:]]
    see("lines in the kernel log while 30 pings came and went (printk per packet?)", len(new), "none", len(new) < 3)


@pytest.mark.checkpoint("multicast")
def test_multicast(rig: Rig, vm: r4l.VM) -> None:
    rig.online()
    # An address of IPv6 brings a group with it, of which the last three bytes are the address's.
    low = [DRAW.randrange(1 << 24) for _ in range(3)]
    rig.run(
        "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6;"
        + "".join(f"ip -6 addr add fd00::{n >> 16:x}:{n & 0xFFFF:x}/64 dev eth0;" for n in low)
    )
    rows = [row.split() for row in rig.run("cat /proc/net/dev_mcast").splitlines()]
    groups = [bytes.fromhex(row[4]) for row in rows if row[1] == "eth0"]
    see("groups that the stack has joined for IPv6", len(groups), "3 or more", len(groups) >= 3)
    bits = {place(group) for group in groups}
    # One at a time only where not all were received, to say which.
    for group in [] if receives(rig, *groups) == len(groups) else groups:
        word, bit = divmod(place(group), 32)
        see(
            f"a frame to {group.hex(':')}, a group that eth0 is in (its bit is {bit} of word {word} of the MTA, at "
            f"{cards.REGISTERS['MTA'] + 4 * word:#x}; word {word} of the MTA is {rig.card.register('MTA', word):#x})",
            "received" if receives(rig, group) else "dropped",
            "received",
        )
    stranger = next(
        group for group in iter(lambda: b"\x33\x33" + DRAW.randbytes(4), b"") if not bits & set(places(group))
    )
    see(
        f"a frame to {stranger.hex(':')}, a group that eth0 is not in",
        "received" if receives(rig, stranger) else "dropped",
        "dropped",
    )


def receives(rig: Rig, *groups: bytes) -> int:
    """Return how many of the frames, one to each group, the card receives.

    A final frame to its own address marks the end.
    """
    before, good = rig.counter("rx_packets"), rig.intact()[0]
    for group in groups:
        rig.wire.send(Ether(src=ME, dst=group.hex(":")) / IPv6(src="fe80::7", dst="ff02::1:ff00:1") / Raw(b"?" * 40))
    rig.wire.send(rig.frame())
    rig.flush()
    rig.until(lambda: rig.intact()[0] > good)
    return rig.counter("rx_packets") - before - 1


def place(group: bytes) -> int:
    """Return the bit of an address in the MTA, with RCTL.MO = 0 (13.5.1)."""
    return (group[4] >> 4 | group[5] << 4) & 0xFFF


def places(group: bytes) -> Iterator[int]:
    """Return the bits of an address in the MTA, for any RCTL.MO."""
    for shift in (4, 3, 2, 0):
        yield ((group[4] | group[5] << 8) >> shift) & 0xFFF


@pytest.mark.checkpoint("down-up")
def test_down_up(rig: Rig, vm: r4l.VM) -> None:
    rig.online()
    before = len(rig.card.rings_memory()) if rig.card.is_traced else 0
    for turn in range(1, TURNS + 1):
        rig.online(first=f"arp -i eth0 -d {GATEWAY}; ip link set eth0 down")
        rig.wire.sniff()
        # The card does not receive yet, so nobody would answer ARP.
        rig.run(f"arp -i eth0 -s {GATEWAY} {ROUTER}; ping -c1 -W1 {GATEWAY} > /dev/null 2>&1 &")
        sent = any(ICMP in packet for packet in waited(rig))
        see(f"a ping leaves the card after `down` and `up` number {turn}", "yes" if sent else "no", "yes")
    rig.run(f"arp -i eth0 -d {GATEWAY}")
    pinged(rig, 2)
    if rig.card.is_traced:
        after = len(rig.card.rings_memory())
        see(f"rings in memory after {TURNS} times down and up (each `stop` has to free its own)", after, before)


def waited(rig: Rig) -> Iterator[Packet]:
    """Wait for frames of the guest, at most two seconds."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        yield from rig.wire.sniff()
        time.sleep(0.01)


@pytest.mark.checkpoint("remove")
def test_remove(rig: Rig, vm: r4l.VM) -> None:
    rig.online()
    pinged(rig, 1)
    # Long ones, which go up in the buffers that they came in.
    exchange(rig, 20, 1400)
    rig.card.events()
    start = len(rig.card.events())
    rig.run("ip link set eth0 down")
    rctl, tctl = rig.card.register("RCTL"), rig.card.register("TCTL")
    see(
        "RCTL.EN after `ip link set eth0 down`: a card that goes on receives into memory that is free", rctl >> 1 & 1, 0
    )
    see("TCTL.EN after `ip link set eth0 down`: a card that goes on reads memory that is free", tctl >> 1 & 1, 0)
    see("IMS after `ip link set eth0 down`: interrupts that nobody will handle", hex(rig.card.register("IMS")), "0x0")
    see("eth0's row in /proc/interrupts after `down` (free_irq)", rig.interrupts(), None)
    rig.online()
    # In use, and unloaded nevertheless.
    rig.run(f"ping -i0.01 -c200 {GATEWAY} > /dev/null 2>&1 &")
    vm.rmmod(rig.module.name)
    see("interfaces after rmmod", rig.run("ls /sys/class/net").split(), ["lo"])
    claims = [
        line for line in rig.run("cat /proc/iomem /proc/interrupts").splitlines() if "e1000" in line or "eth0" in line
    ]
    see("claims of I/O memory and of interrupts after rmmod", claims, [])
    if rig.card.is_traced:
        left = rig.card.areas()
        see(
            "memory that the card may still touch after rmmod, which nobody has unmapped or freed: it is leaked",
            ", ".join(map(str, left[:4])) + (f" and {len(left) - 4} more" if len(left) > 4 else "") or "none",
            "none",
            not left,
        )
        in_order(rig, start)
    rig.online()
    pinged(rig, 1)


TEARDOWN = (
    ("napi_disable", "dma_free", "the rings are freed after napi_disable: a poll that still runs would read them"),
    ("free_irq", "free_netdev", "the interrupt is freed before the net_device, whose handler it calls"),
    (
        "unregister_netdevice_queue",
        "pci_release_region",
        "the stack lets go of the net_device before the BAR is released",
    ),
    (
        "unregister_netdevice_queue",
        "pci_disable_device",
        "the stack lets go of the net_device before the card is disabled",
    ),
    ("dma_free", "pci_disable_device", "the rings are freed before the card is disabled"),
)
"""Required order of calls (C4: stop, device removed, remove), with reasons."""


def in_order(rig: Rig, start: int) -> None:
    """Check that the driver released its resources in an order that is safe for every user of them."""
    events = rig.card.events()[start:]
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for event in events:
        if event.name.startswith("dma_") and not event.text.startswith(rig.card.slot):
            continue
        first.setdefault(event.name, event.time)
        last[event.name] = event.time
    for before, after, why in TEARDOWN:
        if after not in last:
            continue
        # Of the last round: `down` was before.
        see(
            f"{before} before {after} ({why})",
            "never called" if before not in last else "after it" if last[before] > last[after] else "before it",
            "before it",
        )
