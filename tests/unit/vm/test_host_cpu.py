# SPDX-License-Identifier: MIT
"""The host's processor in the key of a state: a guest under KVM has its features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l.vm import host_cpu, snapshot
from r4l.vm.machine import Machine

CPU = """processor	: {0}
vendor_id	: GenuineIntel
model		: 143
microcode	: 0x{1}
cpu MHz		: 2{0}00.000
core id		: {0}
flags		: fpu vme {2}
bogomips	: 4{0}00.00

"""


def test_a_host_is_known_by_its_model_and_not_by_its_frequency(tmp_path: Path) -> None:
    def host(*words: object) -> str:
        (tmp_path / "cpuinfo").write_text(CPU.format(*words) + CPU.format(9, 9, 9))
        return host_cpu.described(tmp_path / "cpuinfo")

    assert host(0, "2b", "avx512f") == host(1, "2b", "avx512f")
    assert len({host(0, "2b", "avx512f"), host(0, "2c", "avx512f"), host(0, "2b", "")}) == 3
    assert host_cpu.described() == host_cpu.described()


@pytest.mark.parametrize(("accel", "states"), [("kvm", 2), ("tcg", 1)])
def test_another_host_has_another_state_under_kvm(
    accel: Any, states: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a home shared by two machines; the guest went on with features that the second one lacks."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    (tmp_path / "kernel").touch()
    machine = replace(Machine(kernel=tmp_path / "kernel", initrd=tmp_path / "kernel"), accel=accel)
    kernel: Any = SimpleNamespace(key="K", toolchain=SimpleNamespace(packages={}))
    places = set()
    for model in ("one", "two"):
        monkeypatch.setattr(host_cpu, "described", lambda model=model: model)
        places.add(snapshot.place_as_booted(machine, kernel))
    assert len(places) == states
