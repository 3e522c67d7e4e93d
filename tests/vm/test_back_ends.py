# SPDX-License-Identifier: MIT
"""The same driver on each back end: user, tap, socket; restored or booted; and from one VM to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from r4l.camp.demo.rig import NETWORK, Rig
from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Backend, Nic, Tap, Wire, crossover, read_pcap
from r4l.net.addresses import BEYOND, GATEWAY
from r4l.vm import VM

pytestmark = pytest.mark.vm
BACK_ENDS = ["user", "tap", "socket"]
Start = Callable[..., Rig]


def tap() -> Tap:
    """A tap; the test is skipped if this machine does not permit one."""
    try:
        return Tap()
    except EnvironmentFault as why:
        pytest.skip(str(why))


@pytest.fixture
def start(kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> Iterator[Start]:
    """Starter of a VM with one card and the Rust driver loaded; the VM ends with the test."""
    with ExitStack() as stack:

        def start(back_end: Backend, snapshot: bool | None = None) -> Rig:
            options = NETWORK if back_end == "user" else {}
            nic = Nic("e1000", backend=back_end, options=options)
            cables = {0: tap()} if back_end == "tap" else {}
            vm = stack.enter_context(VM(kernel, nics=[nic], cables=cables, snapshot=snapshot))
            rig = Rig(vm, kernel, hello, e1000)
            rig.begin()
            rig.load(e1000)
            # Run in reverse order: before the VM ends.
            stack.callback(vm.klog.check)
            return rig

        yield start


@pytest.mark.row("E7", "E8")
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_the_driver_pings_the_gateway_and_beyond(start: Start, back_end: Backend) -> None:
    rig = start(back_end)
    rig.up()
    rig.ping(GATEWAY)
    assert "Network is unreachable" in rig.vm.run(f"ping -c1 -W1 {BEYOND}").stderr
    rig.run(f"ip route add default via {GATEWAY}")
    rig.ping(BEYOND)
    seen = [packet.data for packet in read_pcap(rig.vm.captures[0])]
    assert sum(data[12:14] == b"\x08\x00" and data[34] == 0 for data in seen) >= 8, "replies went over the wire"


@pytest.mark.row("E8")
def test_the_driver_gets_its_lease_by_dhcp(start: Start) -> None:
    rig = start("user")
    rig.run("ip link set eth0 up")
    rig.wait_for_carrier()
    rig.run("udhcpc -i eth0 -n -q -t 5", timeout=60)
    assert "inet 10.0.2.15/16" in rig.run("ip -4 addr show dev eth0")
    rig.ping(GATEWAY)


@pytest.mark.parametrize(
    "back_end", ["socket", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("user", "tap"))]
)
def test_the_cable_is_pulled_and_plugged(start: Start, back_end: Backend) -> None:
    rig = start(back_end)
    rig.up()
    rig.ping(GATEWAY, count=1)
    rig.vm.link(0, up=False)
    gone = '[ "$(cat /sys/class/net/eth0/carrier)" = 0 ]'
    rig.run(f"i=0; until {gone}; do i=$((i+1)); [ $i -gt 200 ] && exit 1; usleep 50000; done", timeout=60)
    rig.run(f"ping -c1 -W1 {GATEWAY}", exit_code=1)
    rig.vm.link(0, up=True)
    rig.wait_for_carrier()
    rig.ping(GATEWAY, count=2)


@pytest.mark.parametrize("back_end", ["tap", pytest.param("socket", marks=pytest.mark.thorough)])
def test_a_restored_vm_has_a_cable_of_its_own(start: Start, back_end: Backend) -> None:
    """QEMU's state contains the card and not its connection."""
    for _ in range(2):
        rig = start(back_end, snapshot=True)
        rig.up()
        rig.ping(GATEWAY, count=2)
        cable = rig.vm.cables[0]
        if isinstance(cable, Wire):
            senders = {packet.data[6:12].hex(":") for packet in read_pcap(cable.pcap)}
            assert senders == {"52:54:00:12:34:56", "52:55:0a:00:02:02"}
            kinds = {packet.data[12:14] for packet in read_pcap(cable.pcap)}
            assert b"\x80\x35" not in kinds, "QEMU has announced nobody in the guest's name (RARP)"
        else:
            assert isinstance(cable, Tap)
            assert "52:54:00:12:34:56" in cable.run(["cat", "/proc/net/arp"]).stdout
        rig.vm.close()


@pytest.mark.parametrize("snapshot", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_two_vms_on_one_cable(kernel: Kernel, hello: BuiltModule, e1000: BuiltModule, snapshot: bool) -> None:
    with ExitStack() as stack:
        rigs = []
        for number, cable in enumerate(crossover(), start=1):
            card = Nic("e1000", backend="socket", mac=f"02:00:00:00:00:0{number}")
            vm = stack.enter_context(VM(kernel, nics=[card], cables={0: cable}, snapshot=snapshot))
            rig = Rig(vm, kernel, hello, e1000)
            rig.begin()
            rig.load(e1000)
            rig.up(f"10.9.0.{number}/24")
            rigs.append(rig)
        left, right = rigs
        left.ping("10.9.0.2")
        right.ping("10.9.0.1")
        assert "02:00:00:00:00:01" in right.run("ip neigh show dev eth0 || cat /proc/net/arp")
        left.vm.put(data := bytes(range(256)) * 4096, "/tmp/data")
        # Without an end of its input: at that nc would hang up in the middle of ours.
        right.run("mkfifo /tmp/quiet; nc -l -p 99 <> /tmp/quiet > /tmp/got & echo $! > /tmp/nc")
        left.run(
            "i=0; until nc 10.9.0.2 99 < /tmp/data; do i=$((i+1)); [ $i -gt 50 ] && exit 1; usleep 100000; done",
            timeout=60,
        )
        right.run("while kill -0 $(cat /tmp/nc) 2>/dev/null; do usleep 50000; done", timeout=60)
        assert right.vm.get("/tmp/got", right.vm.workdir / "got").read_bytes() == data
        for rig in rigs:
            rig.vm.klog.check()
