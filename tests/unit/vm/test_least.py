# SPDX-License-Identifier: MIT
"""The memory and the CPUs of a machine, against what its kernel needs and takes."""

from __future__ import annotations

import struct
import types
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.vm import Machine, least
from r4l.vm.boot import crowding

MIB = 1 << 20


def kernel(**config: str) -> Kernel:
    named = {f"CONFIG_{name}": value for name, value in config.items()}
    return cast(Kernel, types.SimpleNamespace(release="7.3", config=named))


SMP = kernel(SMP="y", NR_CPUS="64")


def elf(path: Path, *parts: tuple[int, int]) -> Path:
    head = (
        b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(parts), 0, 0, 0)
    )
    path.write_bytes(head + b"".join(struct.pack("<IIQQQQQQ", 1, 7, 0, 0, at, 0, size, 4096) for at, size in parts))
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A kernel that ends at 74 MiB, and an initramfs of 3 MiB."""
    initrd = tmp_path / "initrd"
    initrd.write_bytes(bytes(3 * MIB))
    return Machine(kernel=elf(tmp_path / "vmlinux", (16 * MIB, 32 * MIB), (50 * MIB, 24 * MIB)), initrd=initrd)


def test_where_a_kernel_ends(tmp_path: Path) -> None:
    assert least.kernel_end(elf(tmp_path / "a", (16 * MIB, MIB), (2 * MIB, MIB))) == 17 * MIB
    image = tmp_path / "Image"
    image.write_bytes(struct.pack("<IIQQ", 0, 0, 0x80000, 40 * MIB).ljust(0x38, b"\0") + b"ARM\x64")
    assert least.kernel_end(image) == 40 * MIB + 0x80000
    packed = bytearray(0x300)
    packed[0x202:0x206] = b"HdrS"
    struct.pack_into("<QI", packed, 0x258, 16 * MIB, 60 * MIB)
    (tmp_path / "bzImage").write_bytes(packed)
    assert least.kernel_end(tmp_path / "bzImage") == 76 * MIB
    (tmp_path / "text").write_text("no kernel")
    assert least.kernel_end(tmp_path / "text") == 0
    (tmp_path / "cut off").write_bytes((tmp_path / "a").read_bytes()[:70])
    assert least.kernel_end(tmp_path / "cut off") == 0


def test_too_little_memory_is_told_with_the_figure(machine: Machine) -> None:
    assert least.memory(machine) == (80, 88)
    least.require(replace(machine, memory=80), SMP)
    with pytest.raises(UsageError) as refused:
        least.require(replace(machine, memory=79), SMP)
    assert "79 MiB of memory are too little" in refused.value.cause
    assert "--memory 88" in refused.value.remedy
    assert least.memory(replace(machine, cpus=255)) == (80, 638)
    machine.initrd.write_bytes(bytes(100 * MIB))
    with pytest.raises(UsageError, match="take 274"):
        least.require(machine, SMP)


def test_cpus_that_the_kernel_would_not_use_are_refused(machine: Machine) -> None:
    least.require(replace(machine, cpus=64), SMP)
    with pytest.raises(UsageError, match="at most 64 CPUs"):
        least.require(replace(machine, cpus=65), SMP)
    with pytest.raises(UsageError, match="at most 1 CPUs"):
        least.require(replace(machine, cpus=2), kernel(MODULES="y"))
    least.require(replace(machine, cpus=200), kernel())


def test_many_cpus_on_few_processors_are_given_time(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert crowding(replace(machine, cpus=2)) == 1
    assert crowding(replace(machine, cpus=64)) == 16
    assert crowding(replace(machine, cpus=64, accel="kvm")) == 1
