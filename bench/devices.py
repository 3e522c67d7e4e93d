# SPDX-License-Identifier: MIT
"""Cost of a device in Python, measured here and now: `python bench/devices.py [--runs N] [--json]`.

Reads and writes are done by a module in the guest (tests/fixtures/edu_bench), a thousand each, with the guest's cycle
counter around them; the same module on QEMU's own edu is run in turn. CPU when idle is this process's and QEMU's while
nothing happens for some seconds, beside the same machine without a device.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from pathlib import Path

from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.pci.models.edu import Edu
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.vm import VM

FIXTURE = Path(__file__).parents[1] / "tests/fixtures/edu_bench"
IDLE_SECONDS = 5.0
FOUND = re.compile(r"edu_bench .*: (read|write) p50 (\d+) ns, p90 (\d+) ns")


def accesses(kernel: Kernel, module: BuiltModule, device: type[Edu] | str) -> dict[str, float]:
    """Microseconds of a register's read and of a write, the median."""
    with VM(kernel, devices=[device], cpus=1) as vm:
        vm.insmod(module)
        lines = [match for record in vm.klog.records() if (match := FOUND.search(record.text))]
        return {match[1]: int(match[2]) / 1000 for match in lines}


def idle(kernel: Kernel, devices: list[type[Edu]]) -> tuple[float, float]:
    """Per cent of a CPU that this process and QEMU take while the guest does nothing."""
    with VM(kernel, devices=devices, snapshot=True) as vm:
        vm.run("true")
        time.sleep(1)
        before = time.process_time(), children(vm.pid)
        time.sleep(IDLE_SECONDS)
        after = time.process_time(), children(vm.pid)
    ours, theirs = ((late - early) / IDLE_SECONDS * 100 for early, late in zip(before, after, strict=True))
    return ours, theirs


def children(pid: int) -> float:
    """CPU seconds of a process and those below it (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    mine = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return mine + sum(children(int(one)) for one in below)


def start(kernel: Kernel, devices: list[type[Edu]]) -> tuple[float, float]:
    """Seconds until a restored machine is there, by the clock, and of this process's CPU."""
    vm = VM(kernel, devices=devices, snapshot=True)
    begin, cpu = time.perf_counter(), time.process_time()
    with vm:
        return time.perf_counter() - begin, time.process_time() - cpu


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Stages() as stages:
        kernel = set_up(stages)
    module = Module(FIXTURE).build(kernel)
    figures: dict[str, list[float]] = {}
    for _ in range(arguments.runs):
        for name, device in (("Python", Edu), ("QEMU", "edu")):
            for what, value in accesses(kernel, module, device).items():
                figures.setdefault(f"{what}, µs ({name})", []).append(value)
        for name, devices in (("with", [Edu]), ("without", [])):
            seconds, _ = start(kernel, devices)
            figures.setdefault(f"start of a restored machine, s ({name} a device)", []).append(seconds)
            ours, theirs = idle(kernel, devices)
            figures.setdefault(f"idle, % of a CPU here ({name} a device)", []).append(ours)
            figures.setdefault(f"idle, % of a CPU in QEMU ({name} a device)", []).append(theirs)
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    for name, values in figures.items():
        print(f"{name:<55} {statistics.median(values):8.2f}  ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
