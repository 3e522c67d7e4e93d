# SPDX-License-Identifier: MIT
"""Measure `r4l watch` from save to verdict on this machine: `python bench/watch.py [--runs N] [--json]`.

The verdict is that of a test that loads a driver and pings the host through QEMU's e1000, or, for the smallest module,
that loads it and waits for its greeting. Each figure is the median of N saves with the smallest and the largest beside
it, from before the write to the verdict's line on the terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from r4l import resources
from r4l.setup import set_up
from r4l.stages import Stages

PING = """
import pytest


@pytest.mark.machine(nics=["e1000"])
def test_ping(vm, module):
    vm.insmod(module)
    vm.run("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0", check=True)
    vm.run("ping -c1 -W9 10.0.2.2", check=True)
"""
HELLO = """
def test_hello(vm, module):
    vm.insmod(module)
    vm.klog.wait_for("Hello, world")
"""
DRIVERS = {"e1000": ("main.rs", PING), "hello": ("hello.rs", HELLO)}
VERDICT = re.compile(r"(✓|✗) .* after the save \((.*)\)")
STEP = re.compile(r"(\w+) ([\d.]+) s")


class Watch:
    """The program with its output on a terminal."""

    def __init__(self, folder: Path) -> None:
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "r4l", "watch", str(folder)], stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self._shown = ""

    def verdict(self) -> dict[str, float]:
        """Return the steps of the next verdict with their seconds.

        Raises:
            SystemExit: the verdict is negative, so there is nothing to measure.
        """
        while not (match := VERDICT.search(self._shown)):
            self._shown += os.read(self._ours, 1 << 16).decode(errors="replace")
        if match[1] != "✓":
            raise SystemExit(self._shown)
        self._shown = self._shown[match.end() :]
        return {name: float(seconds) for name, seconds in STEP.findall(match[2])}

    def close(self) -> None:
        """End the program."""
        self._process.terminate()
        self._process.wait()
        os.close(self._ours)


def measure(driver: str, runs: int) -> dict[str, list[float]]:
    """Return the seconds of saves of a driver's source and of its test, and of their steps."""
    source, test = DRIVERS[driver]
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / driver
        shutil.copytree(resources.rust("drivers", driver), folder, ignore=shutil.ignore_patterns("tests"))
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_it.py").write_text(test)
        watch = Watch(folder)
        try:
            watch.verdict()
            for what in (source, "test_it.py"):
                for _ in range(runs):
                    text = (folder / what).read_text() + "\n"
                    begin = time.perf_counter()
                    (folder / what).write_text(text)
                    steps = watch.verdict()
                    label = f"{driver}: {'source' if what == source else 'test'} saved"
                    figures.setdefault(f"{label} to verdict", []).append(time.perf_counter() - begin)
                    for step, seconds in steps.items():
                        figures.setdefault(f"{label}, {step}", []).append(seconds)
        finally:
            watch.close()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("drivers", nargs="*", choices=[*DRIVERS, []], help="which; by default all")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Stages() as stages:
        set_up(stages)
    figures: dict[str, list[float]] = {}
    for driver in arguments.drivers or DRIVERS:
        figures |= measure(driver, arguments.runs)
    if arguments.json:
        print(json.dumps({name: {"values": values, "unit": "s"} for name, values in figures.items()}, indent=1))
        return
    print(f"{'figure':<40} {'median':>8} {'min':>8} {'max':>8}  s  (n={arguments.runs})")
    for name, values in figures.items():
        print(f"{name:<40} {statistics.median(values):>8.2f} {min(values):>8.2f} {max(values):>8.2f}")


if __name__ == "__main__":
    main()
