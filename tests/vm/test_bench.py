# SPDX-License-Identifier: MIT
"""`r4l bench`: instructions are counted, the same ones each time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import resources
from r4l.bench.machine import machine, run
from r4l.bench.workloads import chosen_workloads
from r4l.errors import VerdictError
from r4l.kernel import Kernel
from r4l.module.named import named

pytestmark = [pytest.mark.vm, pytest.mark.thorough, pytest.mark.timeout(600)]


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "r4l", "bench", *map(str, arguments), "--no-clock"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_a_pair_of_network_drivers() -> None:
    folder = resources.rust("drivers/e1000")
    done = bench(folder, "--against", "kernel:e1000", "--workload", "transmit-60", "--workload", "udp", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    for row in data["workloads"]:
        assert 0.5 < row["ratio"] < 2, "both drive the card"
        assert row["spread"] < 0.02, "another count of instructions in each run is no count"
    ours, theirs = data["workloads"][0]["figures"].values()
    assert ours != theirs


@pytest.mark.parametrize("driver", ["virtio_net", "8139cp"])
def test_a_driver_that_needs_modules_of_the_kernel_s_own(driver: str, kernel: Kernel) -> None:
    """Its cards come up, and each workload ends, also that to nobody: QEMU keeps nothing back."""
    module = named(kernel, f"kernel:{driver}")
    assert module.needs
    card = {"virtio_net": "virtio-net-pci", "8139cp": "rtl8139"}[driver]
    workloads = [
        dataclasses.replace(one, count=500) for one in chosen_workloads(("transmit-60", "pktgen-60", "udp"), ())
    ]
    for workload in workloads:
        vm = machine(kernel, module, card, parameters={}, with_modules=(), network=True, icount=False)
        with vm:
            assert run(vm, workload, 120) > 0


@pytest.mark.parametrize("name", ["pktgen-60", "transmit-60", "udp"])
def test_frames_that_are_lost_have_no_figure(name: str, kernel: Kernel) -> None:
    """Regression: nobody looked whether they arrived, and a driver that dropped them was the faster one."""
    (honest,) = chosen_workloads((name,), ())
    honest = dataclasses.replace(honest, count=2000)
    lossy = dataclasses.replace(honest, script=f"far ip link set $FAR down\n{honest.script}")
    driver = named(kernel, "kernel:e1000")
    for workload, trouble in ((honest, None), (lossy, r"loses frames of .*: of \d000 frames 0 have arrived")):
        vm = machine(kernel, driver, "e1000", parameters={}, with_modules=(), network=True, icount=False)
        with vm, contextlib.ExitStack() as stack:
            if trouble:
                stack.enter_context(pytest.raises(VerdictError, match=trouble))
            assert run(vm, workload, 120) > 0


def test_a_script_of_the_users(tmp_path: Path) -> None:
    once, twice, idle, fails = (tmp_path / name for name in ("once.sh", "twice.sh", "idle.sh", "fails.sh"))
    loop = "i=0; while [ $i -lt {} ]; do i=$((i + 1)); done\n"
    once.write_text(loop.format(20_000))
    twice.write_text(loop.format(40_000))
    idle.write_text("sleep 1\n")
    fails.write_text("echo wrong; exit 4\n")
    hello = resources.rust("drivers/hello")
    done = bench(hello, "--script", once, "--script", twice, "--script", idle, "--json")
    assert done.returncode == 0, done.stderr
    figures = {row["name"]: row["figures"]["hello"] for row in json.loads(done.stdout)["workloads"]}
    assert 1.9 < figures["twice.sh"][0] / figures["once.sh"][0] < 2.1
    assert 1e9 < figures["idle.sh"][0] < 1.1e9, "a nanosecond of idle time counts as an instruction (docs/bench.md)"
    done = bench(hello, "--script", fails)
    assert done.returncode == 123
    assert "the workload fails.sh failed in the guest" in done.stderr


def test_a_driver_without_cards_is_told_of_scripts() -> None:
    done = bench(resources.rust("drivers/hello"))
    assert done.returncode == 123
    assert "--script FILE" in done.stderr
    assert "the driver has made 0 interfaces" in done.stderr
