# SPDX-License-Identifier: MIT
"""The interval of interrupts that follows the traffic (8254x manual, 13.4.18)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import r4l
from r4l.bench.machine import machine, run
from r4l.bench.workloads import WORKLOADS

SIOCETHTOOL = 0x8946
GCOALESCE, SCOALESCE = 0x0E, 0x0F
ITR = 0xC4
SETTINGS = {1: 16, 3: 50}
"""Intervals that stand for dynamic ones, and the shortest of each, in microseconds."""
SECONDS = 240


def units(microseconds: int) -> int:
    """Return the value of ITR, in units of 256 ns."""
    return microseconds * 1000 // 256


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_the_interval_follows_the_traffic(kernel: r4l.Kernel, module: r4l.BuiltModule, relay: Path) -> None:
    """A ping that waits for each answer has a short interval; a flood has a longer one. The clock of the machine counts
    instructions, so a busy host does not make the flood slower."""
    if module.name == "e1000":
        pytest.skip("the C driver does not set this of an 82540")
    if kernel.config.get("CONFIG_KASAN") == "y":
        pytest.skip("with KASAN a frame takes so many instructions that there is no flood")
    flood = WORKLOADS["pktgen-60"]
    with machine(kernel, module, "e1000", parameters={}, with_modules=(), network=True, icount=True) as vm:
        vm.put(relay, "/tmp/relay", 0o755)
        # The driver has two interfaces; the other one is in a namespace of its own.
        near = vm.run(". /tmp/cards; echo $NEAR", check=True, timeout=SECONDS).stdout.strip()
        bar = vm.run(f"head -n1 /sys/class/net/{near}/device/resource", check=True, timeout=SECONDS).stdout.split()[0]

        def interval() -> int:
            answer = vm.qmp("human-monitor-command", command_line=f"xp /1wx {int(bar, 16) + ITR:#x}")
            return int(str(answer).split()[-1], 16)

        def ethtool(request: bytes) -> bytes:
            argv = ["/tmp/relay", near, str(SIOCETHTOOL), request.hex()]
            return bytes.fromhex(vm.run(argv, check=True, timeout=SECONDS).stdout.strip())

        def settings() -> bytes:
            return ethtool(struct.pack("<I", GCOALESCE) + bytes(88))

        for setting, shortest in SETTINGS.items():
            # As ethtool does it: what the user does not name stays as it is.
            ethtool(struct.pack("<II", SCOALESCE, setting) + settings()[8:])
            assert struct.unpack_from("<I", settings(), 4)[0] == setting
            assert interval() == units(shortest)
            run(vm, flood, SECONDS)
            assert interval() > units(100)
            vm.run("echo rem_device_all > /proc/net/pktgen/kpktgend_0", check=True, timeout=SECONDS)
            vm.run("ping -q -c60 -i0.01 10.9.0.2", check=True, timeout=SECONDS)
            assert interval() == units(shortest)
