# SPDX-License-Identifier: MIT
"""Back ends of the user's own: a tap and sockets that are in a network of the host's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from r4l.kernel import Kernel

pytestmark = [pytest.mark.vm, pytest.mark.thorough]

BEGIN = """
import r4l
from r4l.net import Nic
def machine(options, backend):
    nic = Nic("e1000", backend=backend, options=options)
    return r4l.VM(r4l.Kernel.stock(), nics=[nic], modules=["e1000"])
def up(vm, host):
    vm.run("modprobe e1000", check=True)
    vm.run(f"ip link set eth0 up && ip addr add 10.9.9.{host}/24 dev eth0", check=True)
    vm.run("until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do usleep 20000; done", check=True, timeout=60)
"""
TAP = f"""{BEGIN}
with machine(dict(ifname="mine0"), "tap") as vm:
    up(vm, 2)
    vm.run("ping -c2 -W9 10.9.9.1", check=True)
"""
SOCKET = f"""{BEGIN}
inet = dict(type="inet", host="127.0.0.1", port="5555")
with machine(dict(type="stream", server=True, addr=inet), "socket") as one:
    up(one, 1)
    with machine(dict(type="stream", server=False, addr=inet), "socket") as other:
        up(other, 2)
        other.run("ping -c2 -W9 10.9.9.1", check=True)
"""


def in_a_network_of_its_own(commands: str, script: str) -> None:
    """Run shell commands and then a script of Python, in a network namespace; skip the test where these commands fail,
    as they do for most users but root."""
    begin = ["unshare", "-n", "sh", "-ec"]
    made = subprocess.run([*begin, commands], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this user or machine cannot: {made.stderr.strip()}")
    argv = [*begin, f'{commands}; exec "$0" -c "$1"', sys.executable, script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_tap_of_the_users_own(kernel: Kernel) -> None:
    """Regression: QEMU had neither the host's network nor /dev/net/tun."""
    own = "ip tuntap add dev mine0 mode tap user $(id -u); ip addr add 10.9.9.1/24 dev mine0; ip link set mine0 up"
    in_a_network_of_its_own(own, TAP)


def test_a_socket_of_the_internet(kernel: Kernel) -> None:
    """Regression: QEMU had a network of its own, without the address."""
    in_a_network_of_its_own("ip link set lo up", SOCKET)
