# SPDX-License-Identifier: MIT
"""QEMU's refusals, told in the user's words. Its sentences are those of QEMU 11.1; tests/vm/test_devices.py asks it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from r4l.errors import EnvironmentFault, UsageError
from r4l.net import Nic
from r4l.toolchain import Toolchain
from r4l.vm import Machine, refusal
from r4l.vm.refusal import refusal as told

MACHINE = Machine(kernel=Path("/k"), initrd=Path("/i"), nics=(Nic("e100"),))
HELP = {
    "help": 'Misc devices:\nname "edu", bus PCI\nname "virtio-9p-pci", bus PCI, alias "virtio-9p"\n',
    "edu,help": "edu options:\n  dma_mask=<uint64>\n  addr=<str> - Slot\n",
}


@pytest.fixture(autouse=True)
def qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU's lists, without QEMU."""
    monkeypatch.setattr(refusal, "described", lambda spec, _toolchain, _arch: HELP[spec])


def refused(said: str, *extra: str) -> object:
    return told(replace(MACHINE, extra=extra), f"warning: x\nqemu-system-x86_64: {said}\n", cast(Toolchain, None))


def test_a_device_that_is_none_and_the_nearest() -> None:
    error = refused("-device ed: 'ed' is not a valid device model name", "-device", "ed")
    assert isinstance(error, UsageError)
    assert error.cause == "QEMU has no device 'ed'"
    assert "did you mean edu?" in error.remedy
    alias = refused("-device virtio9p: 'virtio9p' is not a valid device model name", "-device", "virtio9p")
    assert isinstance(alias, UsageError)
    assert "virtio-9p" in alias.remedy


def test_a_card_is_a_device_too() -> None:
    card = json.dumps(Nic("e100").qemu_device(0))
    error = refused(f"-device {card}: 'e100' is not a valid device model name")
    assert isinstance(error, UsageError)
    assert "no device 'e100'" in error.cause


def test_a_property_that_is_none_and_the_nearest() -> None:
    error = refused("-device edu,dma=1: Property 'edu.dma' not found", "-device", "edu,dma=1")
    assert isinstance(error, UsageError)
    assert "dma_mask" in error.remedy


@pytest.mark.parametrize(
    ("said", "extra", "words"),
    [
        ("-device nvme: serial property not set", ("-device", "nvme"), ("nvme", "serial property not set")),
        ("-device x: No 'usb-bus' bus found for device 'x'", ("-device", "x"), ("usb-bus", "qemu-xhci")),
        ("-foo: invalid option", ("-foo",), ("-foo", "invalid option")),
        ("-m: requires an argument", ("-m",), ("-m", "requires an argument")),
        (
            "-drive file=a.img: Could not open 'a.img': No such file or directory",
            ("-drive", "file=a.img"),
            ("a.img", "absolute path"),
        ),
        ("hello: Could not open 'hello': No such file or directory", ("hello",), ("hello", "absolute path")),
        ("Invalid SMP CPUs 256. The max CPUs supported by machine 'pc-i440fx-11.1' is 255", (), ("at most 255",)),
        (
            "Number of SMP CPUs requested (256) exceeds max CPUs supported by machine 'mach-virt' (8)",
            (),
            ("at most 8",),
        ),
    ],
)
def test_what_is_wrong_with_the_users_words(said: str, extra: tuple[str, ...], words: tuple[str, ...]) -> None:
    error = refused(said, *extra)
    assert isinstance(error, UsageError)
    assert all(word in f"{error.cause} {error.remedy}" for word in words), error


def test_memory_that_the_host_lacks_is_no_mistake_of_the_users() -> None:
    error = refused("cannot set up guest memory 'pc.ram': Cannot allocate memory")
    assert isinstance(error, EnvironmentFault)


@pytest.mark.parametrize("said", ["-device agentbus: something", "could not load kernel", "-kernel /k: bad", ""])
def test_what_is_not_of_the_users_is_not_told_as_theirs(said: str) -> None:
    assert refused(said, "-device", "edu") is None
