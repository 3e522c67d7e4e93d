# SPDX-License-Identifier: MIT
"""Kernels and machines that take devices while they run, and those that do not."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, cast

import pytest

from r4l.arch import architecture
from r4l.errors import GuestTimeout
from r4l.kernel import Kernel
from r4l.kernel.profile import profiles
from r4l.pci.models.edu import Edu
from r4l.vm import devices
from r4l.vm.devices import Plugs, fixed
from r4l.vm.qmp import Monitor

OPTION = "CONFIG_HOTPLUG_PCI_ACPI"


def kernel(arch: str, config: dict[str, str]) -> Kernel:
    return cast(Kernel, types.SimpleNamespace(arch=arch, release="7.3", config=config))


@pytest.mark.parametrize(
    ("arch", "config", "why"),
    [
        ("x86_64", {"CONFIG_PCI": "y", OPTION: "y"}, ""),
        ("x86_64", {}, ""),
        ("x86_64", {"CONFIG_PCI": "y"}, f"the kernel 7.3 takes and releases no device while it runs ({OPTION} is not"),
        ("arm64", {OPTION: "y"}, "QEMU's machine for arm64 takes and releases no device while it runs"),
    ],
    ids=["has the option", "unknown", "lacks the option", "no such machine"],
)
def test_a_machine_that_takes_no_device(arch: str, config: dict[str, str], why: str) -> None:
    said = fixed(kernel(arch, config))
    assert said.startswith(why)
    assert bool(said) == bool(why)


def test_our_own_kernels_take_devices() -> None:
    option = architecture("x86_64").hotplug
    for name in ("minimal", "debug"):
        assert any(f"{option}=y" in text for _, text in profiles()[name].texts("x86_64")), name


def test_a_guest_without_a_processor_has_more_time_to_release_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "LOOK", 0.001)
    device = Edu()
    plugs = Plugs([device], tmp_path)
    # The clock stands while it is looked at four times.
    times = iter([100.0, 100.0, 100.0, 100.0, 100.0, 103.0, 106.0])
    left = []

    def clock() -> float:
        left.append(next(times))
        return left[-1]

    class Silent:
        def execute(self, _command: str, _arguments: dict[str, Any]) -> None:
            """The guest does not release the device."""

    try:
        device.address = "0000:00:05.0"
        with pytest.raises(GuestTimeout, match=r"has not released .* within 5 s"):
            plugs.unplug(device, cast(Monitor, Silent()), 5.0, clock)
    finally:
        plugs.close()
    assert left[-1] == 106.0
