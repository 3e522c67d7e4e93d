# SPDX-License-Identifier: MIT
"""The host's processor, as a guest under KVM sees it: such a guest has the host's model (`-cpu host`)."""

from __future__ import annotations

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
ENOUGH = 1 << 14
"""Bytes that hold the description of one processor; of all, the kernel would measure the frequency."""
CHANGING = frozenset({"processor", "cpu MHz", "physical id", "core id", "apicid", "initial apicid", "bogomips", "hart"})
"""Fields of /proc/cpuinfo that differ between processors of one kind, or between two looks (show_cpuinfo of
arch/x86/kernel/cpu/proc.c, arch/arm64/kernel/cpuinfo.c, arch/riscv/kernel/cpu.c)."""


def described(cpuinfo: Path = CPUINFO) -> str:
    """Return all that decides which features a guest under KVM finds: model, stepping, microcode and flags of the first
    processor, and the release of the host's kernel."""
    with cpuinfo.open("rb", buffering=0) as file:
        first = file.read(ENOUGH).decode("utf-8", "replace").split("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    kept = (f"{name.strip()}:{value.strip()}" for name, _, value in lines if name.strip() not in CHANGING)
    return "\n".join((*kept, os.uname().release))
