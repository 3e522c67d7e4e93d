# SPDX-License-Identifier: MIT
"""Shared by the tests of /dev/cicv: a program for operations that busybox lacks, and a module that occupies names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import r4l
from r4l.arch import architecture
from r4l.rootfs.program import FLAGS

HERE = Path(__file__).parent
PROBE = "/tmp/probe"

Probe = Callable[..., list[str]]


@pytest.fixture(scope="session")
def probe_program(kernel: r4l.Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """probe.rs for the guest: static, since the guest has no libraries, and built like its agent."""
    program = tmp_path_factory.mktemp("probe") / "probe"
    flags = (*FLAGS, *architecture(kernel.arch).rustc)
    grant = r4l.Grant("test", writes=(program.parent,), reads=(HERE,))
    kernel.toolchain.run(["rustc", *flags, "-o", program, HERE / "probe.rs"], grant)
    return program


@pytest.fixture
def guest_with_probe(vm: r4l.VM, probe_program: Path) -> r4l.VM:
    """The virtual machine with the program, and without the module."""
    vm.put(probe_program, PROBE, 0o755)
    return vm


@pytest.fixture
def cicv(guest_with_probe: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    """The guest with the program and the module."""
    guest_with_probe.insmod(module)
    return guest_with_probe


@pytest.fixture
def probe(cicv: r4l.VM) -> Probe:
    """Runner of steps (see probe.rs) in one process; returns the result of each."""

    def run(*steps: str) -> list[str]:
        return cicv.run([PROBE, *steps], check=True).stdout.splitlines()

    return run


@pytest.fixture(scope="session")
def taken(kernel: r4l.Kernel) -> r4l.BuiltModule:
    """A module that occupies a major number (`major=`), or the name of a class (`name=`)."""
    return r4l.Module(HERE / "taken").build(kernel)
