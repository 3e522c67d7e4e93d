# SPDX-License-Identifier: MIT
"""Work that the card does for the stack: checksums, segmentation, filters. The other end verifies every checksum."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import r4l
from r4l import Nic
from r4l.testing import interface_of

pytestmark = pytest.mark.machine(nics=["e1000"])
MIB = 2**20
C_MIXES = "the C driver puts the first multicast addresses among the receive addresses"
UNTIL = "i=0; until {}; do i=$((i+1)); [ $i -gt 300 ] && exit 1; usleep 50000; done"
"""Command line that waits for another one to succeed, at most 15 s."""
READ, FIRST_BLOCK = b"\0\1", b"\0\3\0\1"
"""TFTP's opcodes RRQ, and DATA with the number of the block."""
SETTLED = "ip -6 addr show | grep fe80 | grep -qv tentative"
"""Command that waits until an interface's own address is usable, after duplicate address detection."""


@pytest.fixture
def tcp() -> Iterator[tuple[int, list[bytes]]]:
    """A TCP server on the host's loopback: its port, and the bytes from each client, which it echoes."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    data = b""
                    while chunk := client.recv(65536):
                        data += chunk
                    received.append(data)
                    client.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], received
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.fixture
def tftp() -> Iterator[tuple[int, bytes]]:
    """A TFTP server (RFC 1350, over UDP) on the host's loopback: its port, and the one block that it serves."""
    block = os.urandom(500)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                request, peer = server.recvfrom(65536)
                if not request:
                    return
                if request[:2] == READ:
                    server.sendto(FIRST_BLOCK + block, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], block
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.getsockname())
        thread.join(10)


def test_tcp_in_large_segments_and_back(online: r4l.VM, gateway: str, tcp: tuple[int, list[bytes]]) -> None:
    port, received = tcp
    data = os.urandom(4 * MIB)
    online.put(data, "/tmp/data")
    online.run(f"nc {gateway} {port} < /tmp/data > /tmp/back", timeout=60, check=True)
    assert hashlib.sha256(received[0]).digest() == hashlib.sha256(data).digest()
    assert online.run("cmp /tmp/data /tmp/back").exit_code == 0


def test_tcp_and_udp_in_turn(
    online: r4l.VM, gateway: str, tcp: tuple[int, list[bytes]], tftp: tuple[int, bytes]
) -> None:
    """The card remembers the place of a checksum and needs a new context when the protocol changes."""
    for turn in range(3):
        online.run(f"echo turn {turn} | nc {gateway} {tcp[0]}", timeout=30, check=True)
        online.run(f"tftp -g -r any -l /tmp/block {gateway} {tftp[0]}", timeout=60, check=True)
        assert online.guest.read("/tmp/block") == tftp[1]
        online.run("rm /tmp/block", check=True)
    assert tcp[1] == [f"turn {turn}\n".encode() for turn in range(3)]


@pytest.fixture
def pair(loaded: r4l.VM) -> r4l.VM:
    """Two cards on one wire, the second in a network namespace of its own, for commands with `in_ns`."""
    loaded.run("unshare -n sleep 10000 & echo $! > /tmp/ns", check=True)
    own = "test $(readlink /proc/$(cat /tmp/ns)/ns/net) != $(readlink /proc/self/ns/net)"
    loaded.run(f"{UNTIL.format(own)}; ip link set eth1 netns $(cat /tmp/ns)", check=True)
    interface_of(loaded, "eth0").up("10.9.9.1/24")
    in_ns(loaded, "ip link set lo up; ip link set eth1 up; ip addr add 10.9.9.2/24 dev eth1")
    in_ns(loaded, UNTIL.format("ip link show eth1 | grep -q LOWER_UP"))
    return loaded


def in_ns(vm: r4l.VM, command: str) -> str:
    """Run a command in the namespace of the second card."""
    return vm.run(f"nsenter -t $(cat /tmp/ns) -n sh -c '{command}'", timeout=60, check=True).stdout


def received(vm: r4l.VM) -> int:
    """Return the packets received by the second card. Its statistics in sysfs are not visible in the namespace."""
    line = next(line for line in in_ns(vm, "cat /proc/net/dev").splitlines() if "eth1:" in line)
    return int(line.partition(":")[2].split()[1])


two_cards_on_a_wire = pytest.mark.machine(nics=[Nic("e1000", backend="hub")] * 2)


@two_cards_on_a_wire
def test_multicast_that_was_asked_for_arrives(pair: r4l.VM) -> None:
    """IPv6 finds its neighbour by multicast to a group that only the neighbour has joined."""
    pair.run(UNTIL.format(SETTLED), check=True)
    in_ns(pair, UNTIL.format(SETTLED))
    assert " 0% packet loss" in pair.run("ping6 -c3 -W5 fe80::5054:ff:fe12:3457%eth0", timeout=60).stdout


@pytest.mark.thorough
@two_cards_on_a_wire
def test_promiscuous_hears_what_is_for_others(pair: r4l.VM) -> None:
    def heard() -> int:
        """Return how many of five packets for another station the second card received."""
        before = received(pair)
        pair.run("ping -c5 -i 0.1 -W1 10.9.9.77")
        return received(pair) - before

    pair.run("arp -i eth0 -s 10.9.9.77 52:54:00:aa:bb:cc", check=True)
    assert heard() < 5, "not ours, not heard"
    in_ns(pair, "ip link set eth1 promisc on")
    pair.run("sleep 1.5")  # the card stalls reception for a second after each write of RCTL
    assert heard() >= 5


@two_cards_on_a_wire
def test_frames_of_up_to_sixteen_kilobytes(pair: r4l.VM) -> None:
    """A frame that is longer than a receive buffer comes in several, and goes up as one."""
    sizes = (1472, 1473, 2000, 2006, 2007, 4054, 9000, 16082)
    pair.run("ip link set eth0 mtu 16110", check=True)
    in_ns(pair, "ip link set eth1 mtu 16110")
    in_ns(pair, UNTIL.format("ip link show eth1 | grep -q LOWER_UP"))
    pair.run(UNTIL.format("ping -c1 -W1 10.9.9.2 > /dev/null"), timeout=60, check=True)
    before = received(pair)
    for size in sizes:
        answer = pair.run(f"ping -c2 -i 0.1 -W5 -s {size} 10.9.9.2", timeout=60).stdout
        assert " 0% packet loss" in answer, f"{size} bytes: {answer}"
    assert received(pair) - before < 2 * len(sizes) + 6, "in one frame each"
    pair.run("ip link set eth0 mtu 1500", check=True)
    assert pair.run("ip link set eth0 mtu 16111").exit_code != 0


@pytest.mark.machine(nics=[Nic("python:e1000", backend="hub")] * 2)
def test_a_peer_with_small_segments_does_not_overrun_the_card(pair: r4l.VM) -> None:
    """The peer's MTU says how large segments are. The card has room in its transmit FIFO for the headers of four
    segments in a descriptor (8254x manual, 13.4.45)."""
    data = os.urandom(MIB // 4)
    pair.put(data, "/tmp/data")
    in_ns(pair, "ip link set eth1 mtu 300")
    in_ns(pair, "sleep 1000 | nc -l -p 4321 > /tmp/got &")
    pair.run(UNTIL.format("nc 10.9.9.2 4321 < /tmp/data"), timeout=60, check=True)
    pair.run(UNTIL.format("cmp /tmp/data /tmp/got"), timeout=60, check=True)
    card = pair.cards[0]
    assert not [event.text for event in card.trace if event.kind == "note"]


@pytest.mark.parametrize("count", [129, 300])
def test_a_multicast_table_of_more_groups_than_it_has_words(
    online: r4l.VM, relay: Path, register: Callable[[int], int], module: r4l.BuiltModule, count: int
) -> None:
    """Each group has its bit: 12 bits of the address say where (8254x manual, 13.5.1)."""
    if module.name == "e1000":
        pytest.skip(C_MIXES)
    online.put(relay, "/tmp/relay", 0o755)
    before = [register(MTA + 4 * word) for word in range(128)]
    groups = [bytes((1, 0, 0x5E, index >> 8, index & 0xFF, index * 7 & 0xFF)) for index in range(1, count + 1)]
    online.run(f"/tmp/relay eth0 listen {b''.join(groups).hex()} > /tmp/listens & echo $! > /tmp/pid", check=True)
    online.run(UNTIL.format("grep -q listening /tmp/listens"), check=True)
    wanted = list(before)
    for group in groups:
        place = group[5] << 4 | group[4] >> 4
        wanted[place >> 5] |= 1 << (place & 0x1F)
    assert [register(MTA + 4 * word) for word in range(128)] == wanted
    assert sum(word.bit_count() for word in wanted) > 128
    online.run("kill $(cat /tmp/pid)", check=True)
    until = time.monotonic() + 10
    while [register(MTA + 4 * word) for word in range(128)] != before:
        assert time.monotonic() < until


MTA = 0x5200
FIRST_OF_OTHERS, RCTL, UPE = 0x5408, 0x100, 1 << 3
"""RAL[1], after the card's own address (8254x manual, 13.5.2), and unicast promiscuous (13.4.22)."""


def test_up_to_fifteen_more_addresses_are_filtered_by_the_card(
    online: r4l.VM, relay: Path, register: Callable[[int], int], module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        pytest.skip(C_MIXES)
    online.put(relay, "/tmp/relay", 0o755)

    def listen(count: int) -> None:
        """Have a program want as many addresses, by PACKET_MR_UNICAST (packet(7))."""
        macs = "".join(f"0200000000{index:02x}" for index in range(1, count + 1))
        online.run(f"/tmp/relay eth0 listen {macs} > /tmp/listens & echo $! > /tmp/pid", check=True)
        online.run(UNTIL.format("grep -q listening /tmp/listens"), check=True)

    listen(15)
    words = {register(FIRST_OF_OTHERS + 8 * index) for index in range(15)}
    assert words == {0x00000002}
    last = {register(FIRST_OF_OTHERS + 4 + 8 * index) & 0x8000FFFF for index in range(15)}
    assert last == {0x80000000 | index << 8 for index in range(1, 16)}
    assert not register(RCTL) & UPE
    online.run("kill $(cat /tmp/pid)", check=True)
    listen(16)
    assert register(RCTL) & UPE
