# SPDX-License-Identifier: MIT
"""The checks of a lab for test_labs.py: what a stranger's program in the guest reaches.

`see` notes what was seen, whatever that is: the test judges it. HOSTILE_PORT is a service on the teacher's loopback.
"""

from __future__ import annotations

import os

import pytest

import r4l
from r4l.camp.labs import see

PORT = os.environ["HOSTILE_PORT"]
GATEWAY, GUEST = "10.0.2.2", "10.0.2.15"
CONNECT = "timeout 5 nc {} {} </dev/null 2>&1"


def online(vm: r4l.VM) -> None:
    """The kernel's own driver, and an address by DHCP."""
    vm.run("modprobe e1000; ip link set eth0 up")
    vm.run("for i in 1 2 3 4 5; do udhcpc -i eth0 -n -q -t 4 -T 1 -s /bin/true && break; done", check=True)
    vm.run(f"ip addr add {GUEST}/24 dev eth0; ip route add default via {GATEWAY}; ip -6 addr add fec0::15/64 dev eth0")


pytestmark = pytest.mark.machine(nics=["e1000"], modules=["e1000"], prepare=online)


@pytest.mark.checkpoint("router")
def test_router(vm: r4l.VM) -> None:
    see("ping", vm.run(f"ping -c1 -W5 {GATEWAY}").exit_code, 0)
    see("DHCP", vm.run("udhcpc -i eth0 -n -q -t 4 -T 1 -s /bin/true").exit_code, 0)


def answer(vm: r4l.VM, address: str) -> str:
    """The exit code of the attempt and what came; 143 where it was ended because nothing came at all."""
    done = vm.run(CONNECT.format(address, PORT))
    return f"{done.exit_code} {done.stdout}"


@pytest.mark.checkpoint("loopback")
def test_loopback(vm: r4l.VM) -> None:
    see("answer", answer(vm, GATEWAY), "to be judged")


@pytest.mark.checkpoint("ipv6")
def test_ipv6(vm: r4l.VM) -> None:
    see("answer", answer(vm, "fec0::2"), "to be judged")
