# SPDX-License-Identifier: MIT
"""Sizes of the rings, shown and set by ethtool(8) while frames are on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

pytestmark = pytest.mark.machine(nics=["e1000"])

RDLEN, TDLEN = 0x2808, 0x3808
"""Bytes of the rings (8254x manual, 13.4.27 and 13.4.38), 16 for each descriptor."""
INFLIGHT = "/sys/class/net/eth0/queues/tx-0/byte_queue_limits/inflight"
Register = Callable[[int], int]


def test_rings_get_other_sizes_while_the_interface_is_up(
    online: r4l.VM,
    ethtool: Ethtool,
    register: Register,
    interface: Interface,
    gateway: str,
    module: r4l.BuiltModule,
) -> None:
    interface.ping(gateway, count=1)
    assert ethtool.rings() == ((256, 256), (4096, 4096))
    # The C driver takes the next multiple of 8, this one the next power of two.
    odd = (104, 520) if module.name == "e1000" else (128, 1024)
    for wanted, sizes in (((1024, 128), (1024, 128)), ((100, 513), odd), ((4096, 4096), (4096, 4096))):
        ethtool.set_rings(*wanted)
        assert ethtool.rings()[0] == sizes
        assert (register(RDLEN), register(TDLEN)) == (16 * sizes[0], 16 * sizes[1])
        interface.wait_for_carrier()
        interface.ping(gateway, count=2, size=3000)
    with pytest.raises(OSError, match="EINVAL"):
        ethtool.set_rings(4097, 256)
    assert ethtool.rings()[0] == (4096, 4096)
    interface.down()
    ethtool.set_rings(512, 128)
    interface.up(address=None)
    assert (register(RDLEN), register(TDLEN)) == (16 * 512, 16 * 128)
    interface.ping(gateway, count=1)


@pytest.mark.thorough
def test_small_rings_go_round(online: r4l.VM, ethtool: Ethtool, interface: Interface, gateway: str) -> None:
    ethtool.set_rings(128, 128)
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)
    received = interface.counter("rx_packets")
    answer = online.run(f"ping -c 300 -i 0.01 -W 10 {gateway}", timeout=120, check=True).stdout
    assert " 0% packet loss" in answer
    assert interface.counter("rx_packets") - received >= 300
    assert online.run(f"cat {INFLIGHT}").stdout.strip() == "0"


def test_rings_change_under_traffic(
    online: r4l.VM, ethtool: Ethtool, interface: Interface, gateway: str, module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        # --runxfail runs it all the same.
        pytest.xfail("the C driver may send by a ring that was freed, on a busy computer")
    interface.ping(gateway, count=1)
    online.run(": > /tmp/pid", check=True)
    for sizes in ((128, 4096), (4096, 128), (512, 1024), (512, 128), (256, 256)):
        # ping(8) ends with ENOBUFS if a change takes so long, on a busy computer, that frames fill its socket.
        again = f"ping -i 0.005 -s 1400 {gateway} > /dev/null 2>&1 & echo $! > /tmp/pid"
        online.run(f"kill -0 $(cat /tmp/pid) 2> /dev/null || {{ {again}; }}", check=True)
        ethtool.set_rings(*sizes)
        interface.wait_for_carrier()
    online.run("kill $(cat /tmp/pid) 2> /dev/null; rm /tmp/pid", check=True)
    # QEMU's card holds answers back for a second; all at once they are more than the socket of ping(8) has room for.
    online.run(
        f"i=0; until ping -c1 -W1 {gateway}; do i=$((i+1)); [ $i -lt 30 ] || exit 1; done", timeout=60, check=True
    )
    interface.ping(gateway)
    assert online.run(f"cat {INFLIGHT}").stdout.strip() == "0"
    online.rmmod(module.name)
