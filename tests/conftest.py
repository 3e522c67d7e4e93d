# SPDX-License-Identifier: MIT
"""Fixtures that all tests share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from r4l import resources
from r4l.demo.bench import NETWORK, Bench
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Nic
from r4l.testing import options
from r4l.vm import VM

# A job that a script starts in the background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long a test takes says nothing of what it tests, and the same commit shall have the same verdict each time.
hypothesis.settings.register_profile(
    "r4l", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("r4l")


@pytest.fixture(scope="session")
def hello(kernel: Kernel) -> BuiltModule:
    """The smallest Rust module, built for the kernel."""
    return Module(resources.rust("drivers/hello")).build(kernel)


@pytest.fixture(scope="session")
def e1000(kernel: Kernel, pytestconfig: pytest.Config) -> BuiltModule:
    """The driver for the e1000, built for the kernel: the Rust one, or what `--r4l-module` names."""
    return options.module(pytestconfig, resources.rust("drivers/e1000/tests"), kernel)


@pytest.fixture
def bench(kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> Iterator[Bench]:
    """A fresh VM with an e1000 on a user network and no driver loaded; afterwards its log must be clean."""
    with VM(kernel, nics=[Nic("e1000", options=NETWORK)], snapshot=True) as vm:
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


Tshark = Callable[..., list[list[str]]]


@pytest.fixture(scope="session")
def tshark(kernel: Kernel) -> Tshark:
    """Wireshark's reader: of a capture, the packets that fit a display filter, each as the values of some fields."""
    tools = kernel.toolchain.extended("wireshark")

    def read(pcap: Path, display_filter: str, *fields: str) -> list[list[str]]:
        wanted = [word for field in fields for word in ("-e", field)]
        argv: list[str | Path] = ["tshark", "-n", "-r", pcap, "-Y", display_filter, "-T", "fields", *wanted]
        output = tools.run(argv, readable=[pcap.parent]).stdout.decode()
        return [line.split("\t") for line in output.splitlines()]

    return read
