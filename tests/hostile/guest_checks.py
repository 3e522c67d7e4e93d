# SPDX-License-Identifier: MIT
"""Checks of a lab for test_labs.py: network access of an attacker's program in the guest.

`see` records the result; the test judges it. HOSTILE_PORT is a service on the teacher's loopback.
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
    """The kernel's own driver, with an address by DHCP."""
    vm.run("modprobe e1000; ip link set eth0 up")
    vm.run("for i in 1 2 3 4 5; do udhcpc -i eth0 -n -q -t 4 -T 1 -s /bin/true && break; done", check=True)
    vm.run(f"ip addr add {GUEST}/24 dev eth0; ip route add default via {GATEWAY}; ip -6 addr add fec0::15/64 dev eth0")


pytestmark = pytest.mark.machine(nics=["e1000"], modules=["e1000"], prepare=online)


@pytest.mark.checkpoint("router")
def test_router(vm: r4l.VM) -> None:
    see("ping", vm.run(f"ping -c1 -W5 {GATEWAY}").exit_code, 0)
    see("DHCP", vm.run("udhcpc -i eth0 -n -q -t 4 -T 1 -s /bin/true").exit_code, 0)


def answer(vm: r4l.VM, address: str) -> str:
    """Return the attempt's exit code and output; 143 if it was ended because no answer came."""
    done = vm.run(CONNECT.format(address, PORT))
    return f"{done.exit_code} {done.stdout}"


@pytest.mark.checkpoint("loopback")
def test_loopback(vm: r4l.VM) -> None:
    see("answer", answer(vm, GATEWAY), "to be judged")


@pytest.mark.checkpoint("ipv6")
def test_ipv6(vm: r4l.VM) -> None:
    see("answer", answer(vm, "fec0::2"), "to be judged")
