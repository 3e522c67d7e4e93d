# SPDX-License-Identifier: MIT
"""The fixture `wire`: a test as the guest's peer, with the Rust e1000 at the other end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from r4l.camp.demo.rig import Rig
from r4l.errors import GuestTimeout
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Nic, Wire, read_pcap
from r4l.net.addresses import BEYOND, GATEWAY
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.machine(nics=["e1000"])]

GUEST = "52:54:00:12:34:56"
ADDRESS = "10.0.2.15"


@pytest.fixture
def online(vm: VM, wire: Wire, kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> Rig:
    """The driver is loaded, the interface is up and has sent frames."""
    rig = Rig(vm, kernel, hello, e1000)
    rig.begin()
    rig.load(e1000)
    rig.up(f"{ADDRESS}/24")
    rig.ping(GATEWAY, count=1)
    wire.frames()
    return rig


def from_peer(wire: Wire) -> Ether:
    """Return the header of a frame from the peer to the guest."""
    assert wire.peer is not None
    return Ether(src=wire.peer.mac.hex(":"), dst=GUEST)


def test_the_guest_answers_arp(online: Rig, wire: Wire) -> None:
    question = ARP(op="who-has", hwsrc="02:00:00:00:00:07", psrc="10.0.2.7", pdst=ADDRESS)
    for _ in range(5):
        wire.send(Ether(src="02:00:00:00:00:07", dst="ff:ff:ff:ff:ff:ff") / question)
        answer = wire.expect(lambda packet: ARP in packet and packet[ARP].op == 2)
        assert (answer.dst, answer[ARP].hwsrc, answer[ARP].psrc) == ("02:00:00:00:00:07", GUEST, ADDRESS)


def test_the_guest_answers_ping_of_every_size(online: Rig, wire: Wire) -> None:
    for size in (0, 1, 17, 18, 19, 1471, 1472):
        ping = IP(src=GATEWAY, dst=ADDRESS) / ICMP(id=7, seq=size) / (b"r" * size)
        wire.send(bytes(from_peer(wire) / ping))
        answer = wire.expect(ICMP)
        assert (answer[ICMP].type, answer[ICMP].seq) == (0, size)
        assert bytes(answer[ICMP].payload)[:size] == b"r" * size


@pytest.mark.row("E7")
def test_a_host_beyond_the_gateway_is_reached_by_a_route_alone(online: Rig, wire: Wire) -> None:
    assert "Network is unreachable" in online.vm.run(f"ping -c1 -W1 {BEYOND}").stderr
    assert wire.sniff(lambda packet: IP in packet and packet[IP].dst == BEYOND) == []
    online.run(f"ip route add default via {GATEWAY}")
    assert "ttl=63" in online.run(f"ping -c1 -W5 {BEYOND}"), "it is one hop behind the gateway"
    request = wire.expect(ICMP)
    assert wire.peer is not None
    assert (request.dst, request[IP].dst) == (wire.peer.mac.hex(":"), BEYOND)


@pytest.mark.thorough
def test_a_lossy_line(online: Rig, wire: Wire) -> None:
    wire.seed(1)
    wire.loss = 0.3
    sent = online.run(f"ping -c40 -i 0.05 -W2 {GATEWAY}", exit_code=None, timeout=60)
    wire.loss = 0
    received = sum("bytes from" in line for line in sent.splitlines())
    assert 5 <= received <= 35, "each of 40 comes through with 0.7 x 0.7"
    online.ping(GATEWAY)


def test_a_line_that_doubles_everything(online: Rig, wire: Wire) -> None:
    wire.duplicate = 1
    output = online.run(f"ping -c5 -i 0.2 -W5 {GATEWAY}")
    assert output.count("(DUP!)") >= 5
    assert " 0% packet loss" in output


@pytest.mark.thorough
def test_a_slow_line(online: Rig, wire: Wire) -> None:
    wire.delay = 0.2
    output = online.run(f"ping -c3 -i 0.5 -W5 {GATEWAY}")
    fastest = float(output.rpartition("= ")[2].split("/")[0])
    assert fastest >= 400, "there and back"


def test_silence_is_a_peer_that_is_gone(online: Rig, wire: Wire) -> None:
    wire.peer = None
    online.run(f"ping -c1 -W1 {GATEWAY}", exit_code=1)
    assert wire.expect(ICMP)[ICMP].type == 8


@pytest.mark.row("E4")
def test_the_capture_of_the_wire_is_that_of_qemu(
    online: Rig, wire: Wire, tshark: Callable[..., list[list[str]]]
) -> None:
    online.ping(GATEWAY, count=5)
    online.run("ip link set eth0 down")
    wire.flush()
    ours = [packet.data for packet in read_pcap(wire.pcap)]
    qemus = [packet.data for packet in read_pcap(online.vm.captures[0])]
    for sender in (GUEST, "52:55:0a:00:02:02"):
        both = [[data for data in seen if data[6:12].hex(":") == sender] for seen in (ours, qemus)]
        assert both[0] == both[1] != []
    assert len(tshark(wire.pcap, "icmp.type == 0 && icmp.checksum.status == 1", "icmp.seq")) == 6, "one from before"
    assert tshark(wire.pcap, "_ws.malformed", "frame.number") == []


def counter(rig: Rig, name: str) -> int:
    return int(rig.run(f"cat /sys/class/net/eth0/statistics/{name}"))


def interrupts(rig: Rig) -> int:
    """Return how often the card's interrupt was taken, on all CPUs."""
    (line,) = [line for line in rig.run("cat /proc/interrupts").splitlines() if line.split()[-1] == "eth0"]
    return sum(int(word) for word in line.split()[1:] if word.isdigit())


def until_received(rig: Rig, packets: int) -> None:
    """Wait until the interface has received that many packets."""
    count = "$(cat /sys/class/net/eth0/statistics/rx_packets)"
    rig.run(f"i=0; until [ {count} -ge {packets} ]; do i=$((i+1)); [ $i -gt 300 ] && exit 1; usleep 50000; done")


@pytest.mark.row("A31")
def test_from_interrupts_to_polling(online: Rig, wire: Wire) -> None:
    """Single frames cause one interrupt each; under a flood NAPI polls, and interrupts grow far slower."""
    # IEEE's number for experiments: the stack counts such a frame and answers nothing.
    frame = bytes(Ether(src="52:55:0a:00:02:02", dst=GUEST, type=0x88B5) / bytes(46))
    received, fired = counter(online, "rx_packets"), interrupts(online)
    for number in range(50):
        wire.send(frame)
        until_received(online, received + number + 1)
    calm = (interrupts(online) - fired) / (counter(online, "rx_packets") - received)

    received, fired = counter(online, "rx_packets"), interrupts(online)
    for _ in range(20_000):
        wire.send(frame)
    wire.flush()
    until_received(online, received + 20_000)
    flooded = (interrupts(online) - fired) / (counter(online, "rx_packets") - received)

    print(f"interrupts a frame: {calm:.2f} alone, {flooded:.4f} in a flood")
    assert calm > 0.5, f"{calm:.2f} interrupts for each frame that came alone"
    assert flooded < 0.2, f"{flooded:.3f} interrupts for each frame of a flood"


@pytest.mark.machine(nics=[Nic("e1000", capture=False), "e1000"])
def test_only_the_first_card_is_wired_to_the_test(vm: VM, wire: Wire, nic: Nic) -> None:
    assert nic.backend == "socket"
    assert [card.backend for card in vm.machine.nics] == ["socket", "user"]
    assert vm.wires == {0: wire}
    assert sorted(vm.captures) == [1]


def test_a_card_without_a_driver_takes_nothing(vm: VM, wire: Wire) -> None:
    assert vm.run("ls /sys/class/net").stdout.split() == ["lo"]

    def fill() -> None:
        while True:
            wire.send(bytes(60), timeout=1)

    with pytest.raises(GuestTimeout, match="check that its driver is loaded"):
        fill()
