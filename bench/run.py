# SPDX-License-Identifier: MIT
"""Measure the figures of docs/figures.md on this machine: `python bench/run.py [NAME...] [--runs N] [--json]`.

Each figure is the median of N runs, with the smallest and the largest beside it. The two builds are run in turn and
compared pair by pair, so that drift of the machine's speed does not matter.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from r4l import resources
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.matrix import Variant
from r4l.camp.labs.workspace import Workspace
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.net import Nic
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.toolchain import Grant
from r4l.vm import VM

UPLOAD_MIB = 32
ROUND_TRIPS = 100


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def second_demo(_kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure the whole demo, as a process, with everything ready."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "r4l", "demo", "--out", folder]
        yield "second demo", timed(lambda: subprocess.run(command, check=True, capture_output=True)), "s"


def builds(kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure hello from clean, and an unchanged module with r4l against plain make, as processes."""
    with tempfile.TemporaryDirectory(dir=Path(tempfile.gettempdir())) as parent:
        folder = Path(parent) / "hello"
        subprocess.run(["cp", "-r", str(resources.rust("drivers/hello")), str(folder)], check=True)
        ours = [sys.executable, "-m", "r4l", "build", str(folder)]
        yield "build of hello from clean", timed(lambda: subprocess.run(ours, check=True, capture_output=True)), "s"
        output = Module(folder).output(kernel)
        plain = kernel.toolchain.command(
            ["make", "-C", kernel.build, f"M={folder}", f"R4L_KIT={resources.kit()}", "modules"],
            Grant("bench", reads=(kernel.source, kernel.build, resources.kit()), over={folder: output}),
            cwd=folder,
        )
        make = timed(lambda: subprocess.run(plain, check=True, capture_output=True))
        with_r4l = timed(lambda: subprocess.run(ours, check=True, capture_output=True))
        yield "unchanged module: r4l over plain make", with_r4l - make, "s"


def machine(kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure a VM from spawn to its first command, a command's round trip, an upload."""
    vm = VM(kernel, nics=[Nic("e1000")])

    def boot() -> None:
        vm.start()
        vm.run("true")

    with contextlib.closing(vm):
        yield "VM from spawn to first command", timed(boot), "s"
        trips = [timed(lambda: vm.run("true")) for _ in range(ROUND_TRIPS)]
        yield "round trip of a command, p50", statistics.median(trips) * 1000, "ms"
        data = bytes(UPLOAD_MIB << 20)
        yield "upload", UPLOAD_MIB / timed(lambda: vm.put(data, "/tmp/data")), "MiB/s"


def own_kernels(kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure kernels from source against the stock one: boots, a build without changes, the debug kernel from its
    state."""
    minimal, debug = Kernel.get("minimal"), Kernel.get("debug")
    for name, choice, snapshot in (("stock", kernel, False), ("minimal", minimal, False), ("debug", debug, True)):
        with VM(choice, snapshot=snapshot):
            pass  # the initramfs is made, files are in the page cache, the state is there
        vm = VM(choice, snapshot=snapshot)

        def boot(vm: VM = vm) -> None:
            vm.start()
            vm.run("true")

        with contextlib.closing(vm):
            yield f"{name}{', restored' if snapshot else ''}: spawn to first command", timed(boot), "s"
    again = [sys.executable, "-m", "r4l", "kernel", "build", "minimal", "--json"]
    yield "minimal, built again unchanged", timed(lambda: subprocess.run(again, check=True, capture_output=True)), "s"


def fixture(kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure the cost of the fixture `vm` to a test: restore, first command, end."""
    nics = [Nic("e1000")]
    with VM(kernel, nics=nics, snapshot=True):
        pass  # the state is there
    vm = VM(kernel, nics=nics, snapshot=True)

    def restore() -> None:
        vm.start()
        vm.run("true")

    with contextlib.closing(vm):
        yield "restored VM: spawn to first command", timed(restore), "s"
        yield "restored VM: its end", timed(vm.close), "s"


MANY = 100
TEST = f"""
import pytest

@pytest.mark.parametrize("number", range({MANY}))
def test_one_command(vm, number):
    assert vm.run("true").exit_code == 0
"""


def many_tests(_kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure a hundred tests of one command each, on one worker and on two."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        (Path(folder) / "test_many.py").write_text(TEST)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        for workers in (1, 2):
            argv = [*command, *(["-n", str(workers)] if workers > 1 else [])]
            run = functools.partial(subprocess.run, argv, cwd=folder, check=True, capture_output=True)
            seconds = timed(run)
            yield f"{MANY} one-command tests, {workers} worker{'s' * (workers > 1)}", seconds, "s"


def first_kernel(_kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure the way from an empty home to the kernel `minimal`: toolchain, source, build."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "r4l", "setup", "--kernel", "minimal"]
        environment = {**os.environ, "R4L_HOME": folder}
        seconds = timed(lambda: subprocess.run(command, check=True, capture_output=True, env=environment))
        yield "empty home to the minimal kernel", seconds / 60, "min"


def labs(kernel: Kernel) -> Iterator[tuple[str, float, str]]:
    """Measure `r4l lab check` of the reference answers to labs 3 to 8, after a change of one line."""
    for lab in Lab.all():
        if lab.kernels != ("stock",) or lab.arches != (kernel.arch,):
            continue
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / lab.name
            Variant(lab.name, "answer", "answer", "").write(Workspace.start(lab, work).folder, lab)
            command = [sys.executable, "-m", "r4l", "lab", "check", str(work), "--json"]
            student = next(name for name in lab.edit if name.endswith(".rs"))
            for number in range(2):
                with (work / student).open("a") as source:
                    source.write(f"// {number}\n")
                # 123: the questions are not answered.
                run = functools.partial(subprocess.run, command, check=False, capture_output=True)
                seconds = timed(run)
        yield f"lab check after a change: {lab.name}", seconds, "s"


BENCHES: dict[str, Callable[[Kernel], Iterator[tuple[str, float, str]]]] = {
    "machine": machine,
    "builds": builds,
    "demo": second_demo,
    "fixture": fixture,
    "tests": many_tests,
    "kernels": own_kernels,
    "labs": labs,
    "first_kernel": first_kernel,
}
LONG = ("kernels", "labs", "first_kernel")
"""Measurements of minutes, mostly for builds of kernels; they run only if named."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], help="which; by default all that take no minutes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with Stages() as stages:
        kernel = set_up(stages)
    figures: dict[str, tuple[list[float], str]] = {}
    for name in arguments.names or [name for name in BENCHES if name not in LONG]:
        for _ in range(arguments.runs):
            for figure, value, unit in BENCHES[name](kernel):
                figures.setdefault(figure, ([], unit))[0].append(value)
    if arguments.json:
        print(
            json.dumps({name: {"values": values, "unit": unit} for name, (values, unit) in figures.items()}, indent=1)
        )
        return
    print(f"{'figure':<40} {'median':>8} {'min':>8} {'max':>8}  unit  (n={arguments.runs})")
    for name, (values, unit) in figures.items():
        print(f"{name:<40} {statistics.median(values):>8.2f} {min(values):>8.2f} {max(values):>8.2f}  {unit}")


if __name__ == "__main__":
    main()
