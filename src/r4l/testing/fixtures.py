# SPDX-License-Identifier: MIT
"""The fixtures: `kernel`, `module`, `vm` and its parts, `leaks`, `kunit`, `kselftest`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from r4l.guest import Guest
from r4l.kernel import Kernel
from r4l.klog import KernelLog
from r4l.module import BuiltModule
from r4l.net import Interface, Nic, Wire
from r4l.pci import Device
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.testing import options, verdict
from r4l.testing.guest_tests import Kselftest, KUnit
from r4l.testing.leaks import Leaks
from r4l.testing.machine import cards_of, spec_of
from r4l.vm import VM, workdirs


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel to test on, prepared if necessary: from the marker, `--kernel`, or the stock kernel."""
    name, arch = getattr(request, "param", None) or (
        options.kernels(request.config)[0],
        request.config.getoption("--arch"),
    )
    with Stages() as stages:
        return set_up(stages, name, arch=arch)


@pytest.fixture(scope="module")
def module(request: pytest.FixtureRequest, kernel: Kernel) -> BuiltModule:
    """The module under test, built for the kernel; an unchanged module is not rebuilt."""
    return options.module(request.config, request.path, kernel)


@pytest.fixture(scope="module")
def modules(request: pytest.FixtureRequest, kernel: Kernel) -> list[BuiltModule]:
    """The modules of the folder under test, built for the kernel, in the order in which they can be loaded."""
    return options.modules(request.config, request.path, kernel)


@pytest.fixture
def vm(request: pytest.FixtureRequest, kernel: Kernel) -> Iterator[VM]:
    """A pristine virtual machine as described by the marker `machine`, without any module loaded.

    The VM is booted once, prepared, and restored for each test. The kernel's log is checked to its last line, however
    the VM ended: any complaint fails the test unless the marker `klog_allow` allows it.
    """
    spec = spec_of(request.node)
    with_module: list[BuiltModule] = [request.getfixturevalue("module")] if spec.prepare_with_module else []
    if spec.boots_because:
        request.node.warn(pytest.PytestWarning(f"the machine boots for each test: {spec.boots_because}"))
    workdir = workdirs.make(None)
    machine = VM(
        kernel,
        nics=cards_of(request.node),
        memory=spec.memory,
        cpus=spec.cpus,
        modules=spec.modules,
        append=spec.append,
        shares=spec.folders,
        extra=spec.extra,
        devices=spec.devices,
        snapshot=spec.restored,
        prepare=spec.prepare,
        prepare_with=with_module,
        workdir=workdir,
    )
    # Before the try block: if the boot fails, the folder with the console must stay.
    with verdict.models_first(lambda: machine, "its set-up"):
        machine.start()
    try:
        verdict.watch(request.node, machine)
        verdict.allow(request.node, machine)
        yield machine
    finally:
        machine.close(evidence=False)
        untold = None if verdict.failed(request.node) else machine.untold()
        if untold or verdict.failed(request.node):
            machine.save_traces()
        else:
            workdirs.remove(workdir)
        if untold:
            # A complaint after the test's last line, from the background or the teardown of other fixtures.
            raise untold


@pytest.fixture
def guest(vm: VM) -> Guest:
    """The guest of the test's VM, for commands and files."""
    return vm.guest


@pytest.fixture
def klog(vm: VM) -> KernelLog:
    """The kernel log of the test's VM."""
    return vm.klog


@pytest.fixture
def nic(request: pytest.FixtureRequest) -> Nic:
    """The first network card of the test's VM.

    Raises:
        pytest.UsageError: the marker `machine` has no card.
    """
    cards = cards_of(request.node)
    if not cards:
        raise pytest.UsageError(f"{request.node.nodeid} has no network card: @pytest.mark.machine(nics=['e1000'])")
    return cards[0]


@pytest.fixture
def interface(vm: VM) -> Interface:
    """The guest's `eth0`, to use once a driver has made it: `interface.up()`, `interface.ping("10.0.2.2")`."""
    return interface_of(vm)


def interface_of(vm: VM, name: str = "eth0") -> Interface:
    """Return an interface of a guest by its name."""
    return Interface(lambda command, *, timeout=30.0: vm.run(command, timeout=timeout, check=True).stdout, name)


@pytest.fixture
def devices(vm: VM) -> list[Device]:
    """The devices in Python of the test's VM, as the marker's `devices` has them."""
    return vm.devices


@pytest.fixture
def device(request: pytest.FixtureRequest, devices: list[Device]) -> Device:
    """The first of them: the model's instance, that the guest's driver works with while the test looks at it.

    Raises:
        pytest.UsageError: the marker has none.
    """
    if not devices:
        raise pytest.UsageError(f"{request.node.nodeid} has no device: @pytest.mark.machine(devices=[MyDevice])")
    return devices[0]


@pytest.fixture
def leaks(vm: VM) -> Leaks:
    """Leak check around a block: `with leaks(): …`."""
    return Leaks(vm)


@pytest.fixture
def kunit(vm: VM, subtests: pytest.Subtests) -> KUnit:
    """Runner for a module's KUnit suites: `kunit(module)`."""
    return KUnit(vm, subtests)


@pytest.fixture
def kselftest(vm: VM, subtests: pytest.Subtests) -> Kselftest:
    """Runner for a program that prints TAP: `kselftest("my_test.sh")`."""
    return Kselftest(vm, subtests)


@pytest.fixture
def wire(vm: VM) -> Wire:
    """The test's end of the cable of the VM's first card; that card uses the back end `socket`.

    It answers ARP for 10.0.2.2, and ping for 10.0.2.2 and for 10.0.3.3 behind it, until `wire.peer = None`.
    """
    return vm.wires[0]
