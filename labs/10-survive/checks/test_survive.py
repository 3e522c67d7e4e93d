# SPDX-License-Identifier: MIT
"""Lab 10. A working driver is stressed, and the kernel's own checkers report its bugs.

Each check has a machine of its own, restored and without the driver: after a complaint the kernel's checkers are
unreliable (lockdep disables itself), and damage by one bug must not be attributed to another.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

import r4l
from e1000_card import Card
from r4l.camp.labs import see
from r4l.kernel import Kernel
from r4l.net import Interface, Wire
from r4l.testing import Leaks

DRAW = random.SystemRandom()
GATEWAY, GUEST, STATION = "10.0.2.2", "10.0.2.15", "10.0.2.7"
ROUTER, ME = "52:55:0a:00:02:02", "02:00:00:00:00:07"
"""The wire's own address, which answers ARP and ping, and a station of the checks'."""
SYSFS = "/sys/class/net/eth0"
QUEUE = f"{SYSFS}/queues/tx-0/byte_queue_limits"
DMA_API = "/sys/kernel/debug/dma-api"
FAILSLAB = "/sys/kernel/debug/failslab"
RING = 256
"""Descriptors of the transmit ring (desc.rs)."""
ANSWER = 60.0
"""Seconds for a command in the guest. A longer one never ends: it waits for a lock that stays taken."""
PATIENCE = 8.0
"""Seconds for events that take one."""
PUT_OFF = 2.0
"""Seconds between two polls, to keep sent frames on the ring."""
SILENCE = PUT_OFF + 1.5
"""Seconds without a frame after which none will come."""
BATCH = 32
"""Pings under way at a time; they never fill the ring."""
FREED_WITH_INTERRUPTS_OFF = r"kernel/dma/mapping\.c:.* dma_free_attrs"
ALLOWED = "memory that is freed with interrupts off is what the checkpoint `stop` is about"

CHECKERS = {
    "context": "CONFIG_DEBUG_ATOMIC_SLEEP",
    "wrap": "CONFIG_RUST_OVERFLOW_CHECKS",
    "memory": "CONFIG_FAILSLAB",
    "leaks": "CONFIG_DEBUG_KMEMLEAK",
    "locks": "CONFIG_PROVE_LOCKING",
}
"""Options that the kernel needs for the checks to detect a bug."""


def prepared(vm: r4l.VM) -> None:
    """Prepare every machine: no unsolicited traffic, pktgen, failing allocations."""
    vm.run(
        "cd /proc/sys/net/ipv6/conf; for n in all default; do echo 1 > $n/disable_ipv6; echo 0 > $n/accept_dad; done;"
        f" ip link set lo up; modprobe pktgen; cd {FAILSLAB} || exit 0; echo 0 > verbose; echo N > ignore-gfp-wait;"
        # Not every cache: dma-debug, for one, gives up when its own allocations fail.
        " echo Y > cache-filter; for f in /sys/kernel/slab/kmalloc-*/failslab; do echo 1 > $f; done"
    )


pytestmark = pytest.mark.machine(nics=["e1000"], modules=["pktgen"], prepare=prepared)


@dataclass
class Rig:
    """A machine with the driver."""

    vm: r4l.VM
    module: r4l.BuiltModule
    interface: Interface
    wire: Wire

    def run(self, command: str) -> str:
        """Return the output of a command in the guest."""
        return self.vm.run(command, timeout=ANSWER).stdout

    def well(self) -> None:
        """Check that the kernel has not complained; checked early, so that the cause is reported before its effects."""
        self.vm.klog.check()

    def until(self, done: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Wait for a condition; return True if it became true. The wait ends when the kernel complains."""
        end = time.monotonic() + patience
        seen = self.vm.klog.splat_count
        while not done():
            if self.vm.klog.begun or self.vm.klog.splat_count > seen:
                # All of its lines, before a line of ours comes between them.
                time.sleep(1)
                self.well()
                seen = self.vm.klog.splat_count
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def online(self) -> None:
        """Load the driver and wait for the link."""
        self.vm.insmod(self.module)
        self.up()

    def up(self) -> None:
        """Bring eth0 up, with permanent entries for the peers' addresses."""
        self.interface.up(address=None)
        # What is given and there already does no harm.
        give = f"ip addr add {GUEST}/24 dev eth0 2>/dev/null"
        # BQL holds nothing back, from the next frame on that is taken back: the ring runs full before.
        full = f"[ -d {QUEUE} ] && echo 10000000 > {QUEUE}/limit_min"
        self.run(f"{give}; arp -i eth0 -s {STATION} {ME}; arp -i eth0 -s {GATEWAY} {ROUTER}; {full}")

    def counter(self, name: str) -> int:
        """Return one of eth0's statistics."""
        return self.interface.counter(name)

    def carrier(self) -> str:
        """Return the stack's state of the link."""
        return self.run(f"cat {SYSFS}/carrier").strip()

    def pinged(self, count: int, sizes: range = range(60, 200), what: str = "") -> None:
        """Ping the guest from the wire, in batches, each after the answers to the last."""
        mac = self.run(f"cat {SYSFS}/address").strip()
        self.wire.sniff()
        answers = 0

        def all_came() -> bool:
            nonlocal answers
            answers += len(self.wire.sniff(is_answer))
            return answers >= asked

        asked = 0
        while asked < count:
            for number in range(asked, min(asked + BATCH, count)):
                ip = IP(src=STATION, dst=GUEST) / ICMP(id=77, seq=number)
                self.wire.send(Ether(src=ME, dst=mac) / ip / Raw(DRAW.randbytes(DRAW.choice(sizes) - 42)))
                asked += 1
            if not self.until(all_came):
                self.well()
                see(f"answers of the guest's to {asked} pings from the wire{what}", answers, asked)

    def defer(self, seconds: float) -> None:
        """Make the kernel poll by its own timer instead of by interrupts (napi_defer_hard_irqs) until set to 0.

        The deferral begins with a poll that receives a frame.
        """
        polls = 60 if seconds else 0
        self.run(f"cd {SYSFS}; echo {int(seconds * 1e9)} > gro_flush_timeout; echo {polls} > napi_defer_hard_irqs")

    def send_one(self) -> None:
        """Send a frame that the guest receives without answering: a reply to no request."""
        mac = self.run(f"cat {SYSFS}/address").strip()
        self.wire.send(Ether(src=ME, dst=mac) / IP(src=STATION, dst=GUEST) / ICMP(type=0, id=78) / Raw(bytes(60)))

    def put_off(self, seconds: float) -> None:
        """Set the kernel's poll interval from now on."""
        before = self.counter("rx_packets")
        self.defer(seconds)
        self.send_one()
        self.until(lambda: self.counter("rx_packets") > before)

    def flood(self, count: int, size: int = 60, pieces: int = 0, put_off: float = 0) -> None:
        """Start pktgen at full speed in the background: it waits for its last frame to be freed.

        Args:
            pieces: of memory, in addition to the one of every frame.
            put_off: seconds between two polls; the flood begins right after one, however slow the machine.
        """
        self.run(PKTGEN.format(count=count, size=size, pieces=f'"frags {pieces}"' if pieces else ""))
        start = "echo start > /proc/net/pktgen/pgctrl"
        if put_off:
            self.defer(put_off)
            before = self.counter("rx_packets")
            start = f"until read n < {SYSFS}/statistics/rx_packets; [ $n != {before} ]; do :; done; {start}"
        self.run(f"({start}) > /dev/null 2>&1 &")
        if put_off:
            self.send_one()

    def flooded(self, count: int) -> list[Packet]:
        """Return pktgen's frames from the card, once all are there or no more come."""
        frames: list[Packet] = []

        def more() -> bool:
            new = [packet for packet in self.wire.sniff(UDP) if packet[UDP].dport == 9]
            frames.extend(new)
            return bool(new)

        while len(frames) < count and self.until(more, SILENCE):
            pass
        return frames

    def believed(self) -> int:
        """Return the number of bytes that BQL counts as in flight."""
        return int(self.run(f"cat {QUEUE}/inflight"))


PKTGEN = """
conf() {{ echo "$2" > /proc/net/pktgen/$1; }}
conf kpktgend_0 rem_device_all; while test -e /proc/net/pktgen/eth0; do usleep 20000; done
conf kpktgend_0 "add_device eth0"
for line in "xmit_mode queue_xmit" "count {count}" "pkt_size {size}" "delay 0" "dst 10.0.2.2" \
    "dst_mac 52:55:0a:00:02:02" {pieces}; do
    conf eth0 "$line"
done
"""


def is_answer(packet: Packet) -> bool:
    """True if the packet is the guest's answer to a ping of the checks."""
    return ICMP in packet and packet[ICMP].type == 0 and packet.dst == ME


@pytest.fixture
def rig(
    request: pytest.FixtureRequest,
    kernel: Kernel,
    vm: r4l.VM,
    module: r4l.BuiltModule,
    interface: Interface,
    wire: Wire,
) -> Rig:
    """The machine, if its kernel has the options that the check needs."""
    (point,) = next(request.node.iter_markers("checkpoint")).args
    wanted = CHECKERS.get(point)
    if wanted and kernel.config.get(wanted) != "y":
        pytest.skip(f"this kernel does not find it: {wanted} is off. The kernel `debug` does")
    return Rig(vm, module, interface, wire)


@pytest.mark.checkpoint("works")
def test_works(rig: Rig) -> None:
    rig.online()
    rig.pinged(60, range(60, 1515))
    said = rig.run(f"ping -c3 -i0.05 -W5 {GATEWAY} 2>&1")
    summary = next((line for line in said.splitlines() if "packet loss" in line), said.strip())
    see(f"ping -c3 {GATEWAY}", summary, "0% packet loss", " 0% packet loss" in summary)
    # Under traffic.
    rig.run(f"ping -c200 -i0.01 -W1 {GATEWAY} > /dev/null 2>&1 &")
    for up in (False, True):
        rig.vm.link(0, up=up)
        what = f"the carrier of eth0 ({SYSFS}/carrier) when the cable was {'put back' if up else 'pulled'}"
        rig.until(lambda: rig.carrier() == str(int(up)))  # noqa: B023 (called here and now)
        see(what, rig.carrier(), str(int(up)))
    rig.pinged(10, what=" after the cable was put back")


@pytest.mark.checkpoint("context")
@pytest.mark.klog_allow("suspicious RCU usage", reason="might_sleep() says it twice, and the second time more plainly")
def test_context(rig: Rig) -> None:
    rig.online()
    count, size, pieces = DRAW.randrange(5, 15), DRAW.randrange(1000, 1514), DRAW.randrange(2, 8)
    rig.wire.sniff()
    rig.flood(count, size, pieces)
    frames = rig.flooded(count)
    rig.well()
    see(f"frames that came out of the card, of {count} in {pieces + 1} pieces of memory each", len(frames), count)
    see("bytes of these frames", sorted({len(frame) for frame in frames}), [size])
    # Long ones, which go up in the buffers that they came in.
    rig.pinged(20, range(1000, 1515))


@pytest.mark.checkpoint("wrap")
def test_wrap(rig: Rig) -> None:
    rig.online()
    rig.pinged(RING + DRAW.randrange(BATCH, RING // 2), what=f" (the ring has {RING} descriptors)")
    count = RING + DRAW.randrange(BATCH, BATCH * 2)
    rig.wire.sniff()
    rig.flood(count, put_off=PUT_OFF)
    rig.flooded(count)
    rig.defer(0)
    rig.until(lambda: rig.believed() == 0, SILENCE)
    rig.well()
    see(
        f"bytes that BQL still believes to be on their way, when a ring that had gone round once had to take {count} "
        "frames more and all of it was taken back (they are never completed: a full ring was written over)",
        rig.believed(),
        0,
    )


@pytest.mark.checkpoint("wake")
def test_wake(rig: Rig) -> None:
    rig.online()
    rig.pinged(3)
    # Not once round, but more than the ring takes before the queue is stopped.
    count = RING - DRAW.randrange(4, 16)
    rig.wire.sniff()
    rig.flood(count, put_off=PUT_OFF)
    came = len(rig.flooded(count))
    rig.well()
    see(
        f"frames that came out of the card, of a flood of {count} (what was sent is taken back once in {PUT_OFF} s, "
        "so the queue has to be stopped on the way, and woken when there is room: netif_tx_wake_queue)",
        came if came == count else f"{came}, and then no more for {SILENCE} s",
        count,
        came == count,
    )


OPEN_WITH_FAULTS = f"""
cd {SYSFS}; read down < flags; n=0
while [ $n -lt 100 ]; do
    n=$((n+1)); left=none
    echo $n > /proc/self/fail-nth
    echo {{up}} > flags
    read left < /proc/self/fail-nth
    echo 0 > /proc/self/fail-nth
    read now < flags
    [ "$now" = "$down" ] && echo "$n refused" || echo $down > flags
    [ "$left" = 0 ] || break
done 2>/dev/null
echo "$n last"
"""
"""Script that makes the n-th allocation fail between the write to `flags` and the return from the driver's open, for
each n until there are no more: /proc/self/fail-nth (Documentation/fault-injection/fault-injection.rst). It runs in one
shell, which allocates little."""


@pytest.mark.checkpoint("memory")
@pytest.mark.klog_allow(FREED_WITH_INTERRUPTS_OFF, reason=ALLOWED)
def test_memory(rig: Rig) -> None:
    rig.vm.insmod(rig.module)
    # What the stack itself has to have once (the qdisc) it has now, and not half of it.
    rig.run("ip link set eth0 up; ip link set eth0 down")
    flags = int(rig.run(f"cat {SYSFS}/flags"), 16)
    mapped = "echo $(($(cat nr_total_entries) - $(cat num_free_entries)))"
    before = rig.run(f"cd {DMA_API} && {mapped}")
    said = rig.run(OPEN_WITH_FAULTS.replace("{up}", hex(flags | 1)))
    rig.well()
    refused = re.findall(r"^(\d+) refused", said, re.MULTILINE)
    see(
        "times that `up` was refused for want of memory, each allocation failing in turn",
        len(refused),
        "3 or more",
        len(refused) > 2,
    )
    see(
        "DMA mappings after that, with eth0 down (what open has taken before it fails, it gives back)",
        rig.run(f"cd {DMA_API} && {mapped}").strip(),
        before.strip(),
    )
    rig.up()
    rig.pinged(10, what=" once there is memory again")


@pytest.mark.checkpoint("stop")
def test_stop(rig: Rig) -> None:
    rig.online()
    rig.pinged(10)
    rig.run("ip link set eth0 down")
    rig.well()
    card = Card(rig.vm)
    for name in ("RCTL", "TCTL"):
        enabled = card.register(name) >> 1 & 1
        see(f"{name}.EN after `down`: a card that goes on works on memory that is free", enabled, 0)
    see("IMS after `down`: interrupts that nobody will handle", hex(card.register("IMS")), "0x0")
    rig.up()
    rig.pinged(10, what=" after `down` and `up`")


@pytest.mark.checkpoint("stop")
@pytest.mark.machine(nics=["python:e1000"])
def test_stop_of_a_card_that_was_pulled_out(rig: Rig) -> None:
    card = rig.vm.cards[0]
    rig.online()
    rig.pinged(10)
    # In the middle of work: from this write of the tail on, the card answers all ones, and interrupts no more.
    card.faults.add(f"unplug@TDT#{DRAW.randrange(1, 5)}")
    rig.run(f"ping -c8 -i0.05 -W1 {GATEWAY} > /dev/null 2>&1")
    see("the card was pulled out while the driver sent", not card.present, True)
    rig.run("ip link set eth0 down")
    rig.well()
    flags = int(rig.run(f"cat {SYSFS}/flags"), 16)
    see("eth0 after `down`, with a card that is gone", "up" if flags & 1 else "down", "down")


@pytest.mark.checkpoint("leaks")
@pytest.mark.klog_allow(FREED_WITH_INTERRUPTS_OFF, reason=ALLOWED)
def test_leaks(rig: Rig, leaks: Leaks) -> None:
    with leaks():
        rig.online()
        rig.pinged(10)
        # What is sent now stays on the ring, and `down` finds it there.
        rig.put_off(5)
        rig.run(f"ping -c3 -i0.05 -W1 {GATEWAY} > /dev/null 2>&1 & usleep 300000; ip link set eth0 down")
        rig.up()
        rig.run(f"ping -c500 -i0.01 -W1 {GATEWAY} > /dev/null 2>&1 & usleep 200000")
        # In use, and unloaded nevertheless.
        rig.vm.rmmod(rig.module.name)
        rig.well()
        rig.vm.insmod(rig.module)
        rig.vm.rmmod(rig.module.name)


SEVERAL_AT_ONCE = f"""
times() {{ i=0; while [ $i -lt $1 ]; do i=$((i+1)); eval "$2"; done > /dev/null 2>&1; }}
times 5 'cat {SYSFS}/speed {SYSFS}/duplex {SYSFS}/statistics/*' &
times 3 'ip link set eth0 promisc on; ip link set eth0 promisc off' &
times 3 'ip link set eth0 address {{mac}}; ip -s link' &
times 1 'ip link set eth0 down; ip link set eth0 up' &
wait
"""


@pytest.mark.checkpoint("locks")
@pytest.mark.klog_allow(FREED_WITH_INTERRUPTS_OFF, reason=ALLOWED)
def test_locks(rig: Rig) -> None:
    rig.online()
    rig.pinged(5)
    see("/sys/class/net/eth0/speed", rig.run(f"cat {SYSFS}/speed").strip(), "1000")
    # Once in each context is enough for lockdep. What follows could really come to a halt.
    rig.well()
    mac = "02:00:00:" + ":".join(f"{DRAW.randrange(256):02x}" for _ in range(3))
    rig.run(SEVERAL_AT_ONCE.replace("{mac}", mac))
    rig.well()
    rig.up()
    rig.pinged(5, what=" after four processes had at the driver")
