# SPDX-License-Identifier: MIT
"""The fixtures: `kernel`, `module`, `vm`, `guest`, `klog`, `nic`, `wire`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from r4l.guest import Guest
from r4l.kernel import Kernel
from r4l.klog import KernelLog
from r4l.module import BuiltModule, Module
from r4l.net import Nic, Wire
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.testing import options, verdict
from r4l.testing.machine import cards_of, spec_of
from r4l.vm import VM, workdirs


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel to test on, made ready first where it is not: of the marker, of `--kernel`, or the stock one."""
    name, arch = getattr(request, "param", None) or (
        options.kernels(request.config)[0],
        request.config.getoption("--arch"),
    )
    with Stages() as stages:
        return set_up(stages, name, arch=arch)


@pytest.fixture(scope="module")
def module(request: pytest.FixtureRequest, kernel: Kernel) -> BuiltModule:
    """The module under test, built for the kernel; what has not changed is not built again."""
    return Module(options.module_folder(request.config, request.path)).build(kernel)


@pytest.fixture
def vm(request: pytest.FixtureRequest, kernel: Kernel) -> Iterator[VM]:
    """A pristine virtual machine, as the marker `machine` says; no module of yours is loaded.

    It is booted once and restored for each test. After the test the kernel must have had nothing to complain about.
    """
    spec = spec_of(request.node)
    workdir = workdirs.make(None)
    machine = VM(
        kernel,
        nics=cards_of(request.node),
        memory=spec.memory,
        cpus=spec.cpus,
        modules=spec.modules,
        append=spec.append,
        extra=spec.extra,
        snapshot=spec.restored,
        workdir=workdir,
    )
    try:
        with machine:
            verdict.watch(request.node, machine)
            yield machine
    finally:
        if not verdict.failed(request.node):
            workdirs.remove(workdir)


@pytest.fixture
def guest(vm: VM) -> Guest:
    """The guest of the test's VM: commands and files."""
    return vm.guest


@pytest.fixture
def klog(vm: VM) -> KernelLog:
    """The kernel log of the test's VM."""
    return vm.klog


@pytest.fixture
def nic(request: pytest.FixtureRequest) -> Nic:
    """The first network card of the test's VM.

    Raises:
        pytest.UsageError: its marker has none.
    """
    cards = cards_of(request.node)
    if not cards:
        raise pytest.UsageError(f"{request.node.nodeid} has no network card: @pytest.mark.machine(nics=['e1000'])")
    return cards[0]


@pytest.fixture
def wire(vm: VM) -> Wire:
    """The other end of the cable of the VM's first card, which gets the back end socket by this.

    It answers ARP for 10.0.2.2, and ping for that and for 10.0.3.3 behind it, until `wire.peer = None`.
    """
    return vm.wires[0]
