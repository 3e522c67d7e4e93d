# SPDX-License-Identifier: MIT
"""Kernels and machines that take devices while they run, and those that do not."""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any, cast

import pytest

from r4l import pci
from r4l.arch import architecture
from r4l.errors import GuestTimeout
from r4l.kernel import Kernel
from r4l.kernel.profile import profiles
from r4l.pci import NetworkCard
from r4l.pci.models.edu import Edu
from r4l.scope import Heading, load, render
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


class Talker(NetworkCard):
    """A card that has bytes of every type, and texts that no file has."""

    vendor_id = 0x1234
    device_id = 1
    RAM = pci.Memory(0, 64)
    bars = (pci.Bar(64),)

    def receive(self, frame: bytes) -> None:
        """Take no frames."""


def refuse() -> None:
    """Raise a fault of the driver whose text is no UTF-8."""
    raise pci.DmaFault(os.fsdecode(b"\xfd"))


def test_evidence_is_written_of_all_that_a_model_does(tmp_path: Path) -> None:
    device = Talker()
    plugs = Plugs([device], tmp_path)
    try:
        device.send_frame(cast(bytes, device.RAM))
        device.send_frame(cast(bytes, memoryview(b"frame")))
        device.note(os.fsdecode(b"file \xff"))
        device.note(cast(str, KeyError("\udcff")))
        device.call(refuse)
        device.call(dict[str, str]().__getitem__, os.fsdecode(b"\xfe"))
        plugs.save_traces()
    finally:
        plugs.close()
    text = (tmp_path / "pci0.trace").read_text(encoding="utf-8")
    assert "file \\udcff" in text
    assert "frame-sent" in text
    data = load(tmp_path / "pci0.json")[0]
    assert [one["data"] for one in data["events"] if one["kind"] == "frame-sent"] == ["00" * 64, b"frame".hex()]
    render([data], Heading("talker", "7.3", "")).encode("utf-8")
    device.errors[0].cause.encode("utf-8")


def test_evidence_that_cannot_be_written_is_told_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd, even = Edu(), Edu()
    plugs = Plugs([odd, even], tmp_path)
    try:
        (tmp_path / "pci0.trace").mkdir()
        odd.trace.add("note", value=cast(int, "no number"))
        plugs.save_traces()
    finally:
        plugs.close()
    assert [one.getMessage().partition(" cannot")[0] for one in caplog.records] == [
        "pci0.trace of <Edu 1234:11e8 not plugged in>",
        "pci0.json of <Edu 1234:11e8 not plugged in>",
    ]
    assert (tmp_path / "pci1.trace").is_file()
    assert load(tmp_path / "pci1.json")
