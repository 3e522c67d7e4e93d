# SPDX-License-Identifier: MIT
"""What the card does for the stack: checksums, segmentation, filters. The other end checks every checksum itself."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l import home
from r4l.demo.bench import GATEWAY, Bench
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.vm import VM

pytestmark = pytest.mark.vm
MIB = 2**20
UNTIL = "i=0; until {}; do i=$((i+1)); [ $i -gt 300 ] && exit 1; usleep 50000; done"
"""A command line that waits for another one to succeed, for 15 s at most."""
SETTLED = "ip -6 addr show | grep fe80 | grep -qv tentative"
"""The address that an interface gives itself is in use once nobody has answered to it."""


@pytest.fixture
def server() -> Iterator[tuple[int, list[bytes]]]:
    """A TCP server on loopback: its port, and what each client has sent; each gets its own bytes back."""
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


def test_tcp_in_large_segments_and_back(online: Bench, server: tuple[int, list[bytes]]) -> None:
    port, received = server
    data = os.urandom(4 * MIB)
    online.vm.put(data, "/tmp/data")
    online.run(f"nc {GATEWAY} {port} < /tmp/data > /tmp/back", timeout=60)
    assert hashlib.sha256(received[0]).digest() == hashlib.sha256(data).digest()
    assert online.vm.run("cmp /tmp/data /tmp/back").exit_code == 0


@pytest.fixture
def served() -> Iterator[Path]:
    """A folder with a file, where QEMU's sandbox sees it: under the home."""
    with tempfile.TemporaryDirectory(dir=home.room("runs"), prefix="tftp-") as folder:
        (Path(folder) / "file").write_bytes(os.urandom(20_000))
        yield Path(folder)


@pytest.fixture
def tftp(kernel: Kernel, e1000: BuiltModule, hello: BuiltModule, served: Path) -> Iterator[Bench]:
    """A VM whose gateway serves a folder by TFTP, which is UDP."""
    with VM(kernel, nics=[Nic("e1000", options={"tftp": str(served)})]) as vm:
        bench = Bench(vm, kernel, hello, e1000)
        bench.begin()
        bench.load(e1000)
        bench.up()
        yield bench
        vm.klog.check()


def test_tcp_and_udp_in_turn(tftp: Bench, server: tuple[int, list[bytes]], served: Path) -> None:
    """The card remembers where a checksum belongs: it must be told again when the protocol changes."""
    port, received = server
    for turn in range(3):
        tftp.run(f"echo turn {turn} | nc {GATEWAY} {port}", timeout=30)
        tftp.run(f"tftp -g -r file -l /tmp/file{turn} {GATEWAY}", timeout=60)
        assert tftp.vm.run(f"sha256sum < /tmp/file{turn}").stdout.split()[0] == (
            hashlib.sha256((served / "file").read_bytes()).hexdigest()
        )
    assert received == [f"turn {turn}\n".encode() for turn in range(3)]


@pytest.fixture
def pair(kernel: Kernel, e1000: BuiltModule, hello: BuiltModule) -> Iterator[Bench]:
    """Two cards on one wire, the second in a network namespace of its own, in which `in_ns` runs commands."""
    with VM(kernel, nics=[Nic("e1000", backend="hub"), Nic("e1000", backend="hub")]) as vm:
        bench = Bench(vm, kernel, hello, e1000)
        bench.begin()
        bench.load(e1000)
        bench.run("unshare -n sleep 10000 & echo $! > /tmp/ns")
        own = "test $(readlink /proc/$(cat /tmp/ns)/ns/net) != $(readlink /proc/self/ns/net)"
        bench.run(f"{UNTIL.format(own)}; ip link set eth1 netns $(cat /tmp/ns)")
        bench.up("10.9.9.1/24")
        in_ns(bench, "ip link set lo up; ip link set eth1 up; ip addr add 10.9.9.2/24 dev eth1")
        in_ns(bench, UNTIL.format("ip link show eth1 | grep -q LOWER_UP"))
        yield bench
        vm.klog.check()


def in_ns(bench: Bench, command: str) -> str:
    """Run a command in the namespace of the second card."""
    return bench.run(f"nsenter -t $(cat /tmp/ns) -n sh -c '{command}'", timeout=60)


def test_multicast_that_was_asked_for_arrives(pair: Bench) -> None:
    """IPv6 finds its neighbour by a multicast to a group that only the neighbour has joined."""
    pair.run(UNTIL.format(SETTLED))
    in_ns(pair, UNTIL.format(SETTLED))
    output = pair.run("ping6 -c3 -W5 fe80::5054:ff:fe12:3457%eth0", timeout=60)
    assert " 0% packet loss" in output


def test_promiscuous_hears_what_is_for_others(pair: Bench) -> None:
    def received() -> int:
        return int(in_ns(pair, 'cat /proc/net/dev | sed -n "s/.*eth1: *[0-9]* *\\([0-9]*\\) .*/\\1/p"'))

    pair.run("arp -i eth0 -s 10.9.9.77 52:54:00:aa:bb:cc")
    before = received()
    pair.run("ping -c5 -i 0.1 -W1 10.9.9.77", exit_code=1)
    assert received() - before < 5, "not ours, not heard"
    in_ns(pair, "ip link set eth1 promisc on")
    pair.run("sleep 1.5")  # the card stalls reception for a second after each write of RCTL
    before = received()
    pair.run("ping -c5 -i 0.1 -W1 10.9.9.77", exit_code=1)
    assert received() - before >= 5
