# SPDX-License-Identifier: MIT
"""The fixtures: `kernel`, `module`, `vm`, `guest`, `klog`, `nic`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from r4l.guest import Guest
from r4l.kernel import Kernel
from r4l.klog import KernelLog
from r4l.module import BuiltModule, Module
from r4l.net import Nic
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.testing import options, verdict
from r4l.testing.machine import spec_of
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

    It is booted once and restored for each test. After the test the kernel must have had nothing to complain about, but
    for what the marker `klog_allow` names.
    """
    spec = spec_of(request.node)
    workdir = workdirs.make(None)
    machine = VM(
        kernel,
        nics=spec.cards,
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
            verdict.allow(request.node, machine)
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
    cards = spec_of(request.node).cards
    if not cards:
        raise pytest.UsageError(f"{request.node.nodeid} has no network card: @pytest.mark.machine(nics=['e1000'])")
    return cards[0]
