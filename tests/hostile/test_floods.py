# SPDX-License-Identifier: MIT
"""A guest that writes without end fills neither disk nor memory; the flood is reported and the run goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from r4l.camp.labs.checkpoints import Missed, comparison
from r4l.klog.lost import LogLost
from r4l.net import Packet, read_pcap
from r4l.net.pcap import PcapWriter
from r4l.vm import VM

SMALL = 64 << 10
"""Small bounds, so that a second suffices."""
NOISE = "hostile r4l-sync 1 <script>alert(1)</script> \\033]0;hostile\\007 "
"""A mark as written by r4l, HTML, an escape sequence."""
FLOOD = f"l='{NOISE}'; for i in 1 2 3 4 5 6; do l=$l$l; done; for i in $(seq 40); do echo -e \"$l\"; done >/dev/console"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bounds for all sizes."""
    for name in ("vm.console.LOG_LIMIT", "vm.floods.LOG_LIMIT", "vm.written.LARGEST", "vm.floods.LARGEST"):
        monkeypatch.setattr(f"r4l.{name}", SMALL)
    monkeypatch.setattr("r4l.klog.log.CHARACTERS_KEPT", SMALL)


@pytest.mark.vm
@pytest.mark.machine(nics=["e1000"], modules=["e1000"])
def test_a_flood_is_cut_and_told(small: None, vm: VM) -> None:
    """Regression: a capture grew without bound, and other cuts were not reported."""
    vm.run("modprobe e1000; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0", check=True)
    assert vm.floods == []
    vm.run(FLOOD, timeout=90)
    vm.run("ping -c50 -i0.01 -s 2000 -W1 10.0.2.2", timeout=90)
    until = time.monotonic() + 20
    while len(vm.floods) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    assert [word in said for word, said in zip(("console", "logged", "card 0"), vm.floods, strict=True)] == [True] * 3
    assert vm.captures[0].stat().st_size == SMALL
    assert list(read_pcap(vm.captures[0]))
    log = vm.workdir / "console.log"
    assert log.stat().st_size < SMALL + (128 << 10)
    assert "the rest is not kept" in log.read_text(errors="replace")
    assert sum(len(record.text) for record in vm.klog.records()) <= SMALL
    assert vm.run("echo well").stdout == "well\n", "the guest goes on"
    said = comparison(Missed("frames", 3, 4), "", vm)
    assert said["seen"].startswith("3 (the guest wrote more than")


@pytest.mark.thorough
@pytest.mark.vm
@pytest.mark.machine(cpus=4)
def test_messages_that_the_kernel_dropped_are_told(vm: VM) -> None:
    """Regression: a run was clean although its kernel had dropped messages.

    printk holds back one writer at most while another prints (kernel/printk/printk.c, `console_trylock_spinning`).
    """
    line = "it: " + "x" * 200
    write = f"(for i in $(seq 3000); do echo '{line}'; done >/dev/kmsg) &"
    vm.run(f"echo on >/proc/sys/kernel/printk_devkmsg; {write * 4} wait", timeout=240)
    with pytest.raises(LogLost, match="dropped"):
        vm.check()
    assert any("the kernel dropped" in said for said in vm.floods)
    vm.klog.allow("printk messages dropped", reason="the test has seen it")


def test_a_wires_capture_has_a_bound(tmp_path: Path) -> None:
    """Regression: the capture had no bound."""
    writer = PcapWriter(tmp_path / "it.pcap", largest=10_000)
    for _ in range(100):
        writer.write(Packet(1.0, bytes(1000), 1000))
    writer.write(Packet(1.0, b"short", 5))
    writer.close()
    assert len(list(read_pcap(tmp_path / "it.pcap"))) == 9
    assert (tmp_path / "it.pcap").stat().st_size <= 10_000
    assert writer.dropped == 92
