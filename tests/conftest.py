# SPDX-License-Identifier: MIT
"""Fixtures that all tests share."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from r4l import resources
from r4l.demo.bench import NETWORK, Bench
from r4l.kernel import Kernel
from r4l.klog import Splat
from r4l.module import BuiltModule, Module
from r4l.net import Nic
from r4l.vm import VM

# A job that a script starts in the background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long a test takes says nothing of what it tests, and the same commit shall have the same verdict each time.
hypothesis.settings.register_profile(
    "r4l", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("r4l")

pytest_plugins = ["r4l.rows.record"]


@pytest.fixture(scope="session")
def hello(kernel: Kernel) -> BuiltModule:
    """The smallest Rust module, built for the kernel."""
    return Module(resources.rust("drivers/hello")).build(kernel)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The e1000's tests on another driver for it."""
    parser.addoption("--e1000", default=str(resources.rust("drivers/e1000")), help="the folder of the e1000's driver")


@pytest.fixture(scope="session")
def e1000(kernel: Kernel, pytestconfig: pytest.Config) -> BuiltModule:
    """The Rust driver for the e1000, built for the kernel."""
    return Module(Path(pytestconfig.getoption("--e1000"))).build(kernel)


@pytest.fixture
def bench(kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> Iterator[Bench]:
    """A fresh VM with an e1000 on a user network and no driver loaded; afterwards its log must be clean."""
    with VM(kernel, nics=[Nic("e1000", options=NETWORK)]) as vm:
        bench = Bench(vm, kernel, hello, e1000)
        bench.begin()
        yield bench
        if vm.running:
            vm.klog.check()


@pytest.fixture
def loaded(bench: Bench) -> Bench:
    """The same with the Rust driver loaded."""
    bench.load(bench.driver)
    return bench


@pytest.fixture
def online(loaded: Bench) -> Bench:
    """The same with an address and carrier."""
    loaded.up()
    return loaded


@pytest.fixture(scope="session")
def crashers(kernel: Kernel) -> BuiltModule:
    """The module that breaks rules of the kernel's, built for it."""
    return Module(resources.rust("drivers/crashers")).build(kernel)


@pytest.fixture
def crash(kernel: Kernel, crashers: BuiltModule) -> Callable[[str], list[Splat]]:
    """Breaks a rule in a VM of its own; returns all that the kernel said about it."""

    def crash(kind: str) -> list[Splat]:
        with VM(kernel, snapshot=True) as vm:
            _impatient(vm)
            if kind == "hung-task":
                # Its insmod never ends, and who complains is another task, a line at a time.
                vm.sources.add(crashers.path)
                vm.put(crashers.path, "/tmp/crashers.ko")
                vm.popen(["insmod", "/tmp/crashers.ko", f"kind={kind}"])
                vm.klog.wait_for("</TASK>", 60)
            else:
                with contextlib.suppress(Splat):
                    vm.insmod(crashers, kind=kind)
            if kind == "leak":
                _find_leaks(vm)
            vm.klog.sync()
            return vm.klog.splats(settle=True)

    return crash


def _impatient(vm: VM) -> None:
    """Have the kernel complain as soon as it can of what takes long, and of a task that hangs only once."""
    vm.run("echo 1 >/proc/sys/kernel/hung_task_timeout_secs; echo 1 >/proc/sys/kernel/hung_task_warnings", check=True)
    vm.run("echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", check=True)


def _find_leaks(vm: VM) -> None:
    """Have kmemleak look until it finds something: it believes what it has seen twice, of objects older than 5 s."""
    vm.run("echo 1 >/sys/module/kmemleak/parameters/verbose", check=True)
    for _ in range(4):
        vm.run("sleep 6; echo scan >/sys/kernel/debug/kmemleak", timeout=180, check=True)
        vm.klog.sync()
        if "new suspected memory leaks" in vm.klog.text():
            return


@pytest.fixture
def marked() -> Callable[[str], str]:
    """The statement in the source of `crashers` below `marker: NAME`, as `file.rs:12: text`."""

    def marked(name: str) -> str:
        for path in resources.rust("drivers/crashers").iterdir():
            lines = path.read_text().splitlines()
            for number, line in enumerate(lines):
                if re.search(rf"/[/*] marker: {re.escape(name)}(?: \*/)?$", line):
                    at = next(n for n in range(number + 1, len(lines)) if not lines[n].strip().startswith("//"))
                    return f"{path.name}:{at + 1}: {lines[at].strip()}"
        raise AssertionError(f"crashers has no marker {name}")

    return marked
