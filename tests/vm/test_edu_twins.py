# SPDX-License-Identifier: MIT
"""QEMU's edu and the one in Python answer accesses of every width and alignment in the same way."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.vm.e1000.qtest import Qtest
from tests.vm.e1000.twins import read_in_pieces, write_in_pieces

from r4l.kernel import Kernel
from r4l.pci.models.edu import Edu

pytestmark = pytest.mark.vm

END = 0xC0
"""Offset after the registers, and some more."""
TIMED = (Edu.FACTORIAL.offset, Edu.DMA_COMMAND.offset)
"""Registers whose writes begin work that takes QEMU's time."""
SIZES = (1, 2, 4, 8)


def test_reads_everywhere(kernel: Kernel, tmp_path: Path) -> None:
    qemu, ours = Qtest(kernel.toolchain, tmp_path, "edu"), Edu()
    differ = {}
    try:
        for size in SIZES:
            for offset in (*range(END), 0x1000, 0xFFFF0, (1 << 20) - 8):
                found = qemu.read(offset, size), read_in_pieces(ours, offset, size)
                if found[0] != found[1]:
                    differ[f"{size} bytes at {offset:#x}"] = [hex(one) for one in found]
    finally:
        qemu.close()
    assert not differ, "QEMU's, ours"


@pytest.mark.parametrize("seed", range(4))
def test_writes_and_reads_at_random(kernel: Kernel, tmp_path: Path, seed: int) -> None:
    qemu, ours, chance = Qtest(kernel.toolchain, tmp_path, "edu"), Edu(), random.Random(seed)
    log: list[str] = []
    try:
        for _ in range(600):
            size = chance.choice(SIZES)
            offset = chance.choice((chance.randrange(END), chance.randrange(END) & -size))
            if chance.random() < 0.5 and not any(offset < one + 8 and one < offset + size for one in TIMED):
                value = chance.getrandbits(8 * size)
                log.append(f"write {size} bytes at {offset:#x}: {value:#x}")
                qemu.write(offset, value, size)
                write_in_pieces(ours, offset, value, size)
            else:
                found = qemu.read(offset, size), read_in_pieces(ours, offset, size)
                log.append(f"read {size} bytes at {offset:#x}: {found[0]:#x}")
                assert found[0] == found[1], "\n".join(log[-20:])
    finally:
        qemu.close()
    assert ours.errors == []
