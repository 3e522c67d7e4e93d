# SPDX-License-Identifier: MIT
"""The labs' drivers of a PCI device: one that has missed once to be enabled answers them by the next load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r4l import pci, resources
from r4l.camp.labs.lab import Lab
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Nic
from r4l.pci import read, write
from r4l.pci.load import model_class
from r4l.pci.models.e1000 import E1000
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.thorough]

DIGEST: Any = model_class(f"{resources.labs() / '11-digest/starter/digest.py'}:Digest")


@pytest.fixture(params=["digest", "arm64"])
def lab(request: pytest.FixtureRequest) -> Lab:
    return Lab.named(request.param)


@pytest.fixture
def answer(lab: Lab, kernel: Kernel, tmp_path: Path) -> BuiltModule:
    """The reference answer, built."""
    folder = tmp_path / lab.name
    shutil.copytree(lab.starter, folder)
    shutil.copytree(lab.answer, folder, dirs_exist_ok=True)
    return Module(folder).build(kernel)


@pytest.fixture
def machine(lab: Lab, kernel: Kernel) -> Iterator[VM]:
    """A machine with the lab's device as a model."""
    mine = lab.name == "digest"
    nics = () if mine else (Nic("python:e1000"),)
    with VM(kernel, nics=nics, devices=[DIGEST] if mine else [], snapshot=True) as vm:
        yield vm


@pytest.mark.parametrize("fault", ["lost-write", "all-ones"])
def test_a_device_that_has_missed_it_once_is_on_by_the_next_load(machine: VM, answer: BuiltModule, fault: str) -> None:
    """Regression: the kernel enables a device once, so it stayed off for every later load."""
    device: pci.Device = machine.devices[0] if machine.devices else machine.cards[0]
    device.faults.add(f"{fault}@config.COMMAND#1")
    machine.insmod(answer)
    machine.rmmod(answer.name)
    # The last access of each driver's probe to the registers. The model of the card sends nothing without a link, for
    # which lab 9's driver does not wait, so whether it is bound proves nothing.
    last = write(DIGEST.CONTROL) if isinstance(device, DIGEST) else read(E1000.TCTL)
    before = device.trace.count(last)
    machine.insmod(answer)
    assert device.trace.count(last) == before + 1
