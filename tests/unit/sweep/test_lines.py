# SPDX-License-Identifier: MIT
"""Accesses to the configuration space: the debugger's and the trace's, joined, and the functions that made them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l.pci.models.edu import Edu
from r4l.sweep import lines
from r4l.sweep.life import Life

READ, WRITE, SECOND, IDENTITY = ("read", 4, 2), ("write", 4, 2), ("write", 4, 2), ("read", 0, 4)


def joined(*seen: tuple[str, int, int]) -> dict[str, list[list[str]]]:
    """The lines of a life in which the device saw a read of Command, two writes, and a read of QEMU's own between them.

    Args:
        seen: accesses that the debugger has seen; the number of each is the text of its line.
    """
    device = Edu()
    begin = device.trace.end
    device.config_read(4, 2)
    device.config_read(0x3C, 1)
    device.config_write(4, b"\2\0")
    device.config_write(4, b"\6\0")
    life = Life(device=device, trace=list(device.trace), bounds={"probe": (begin, device.trace.end)})
    found: lines.Lines = {}
    accesses = [(key, (number,)) for number, key in enumerate(seen, 1)]
    for entry, access in lines._joined_config(life, device, "probe", accesses, found):
        entry[1] = str(access[0])
    return found


@pytest.mark.parametrize(
    ("seen", "command"),
    [
        ((READ, WRITE, SECOND), [["read", "1"], ["write", "2"], ["write", "3"]]),
        # The guest's reads of the identity are answered by QEMU.
        ((IDENTITY, READ, IDENTITY, WRITE, SECOND, IDENTITY), [["read", "2"], ["write", "4"], ["write", "5"]]),
        ((), [["read", ""], ["write", ""], ["write", ""]]),
        ((("read", 4, 4), WRITE, SECOND), [["read", ""], ["write", "2"], ["write", "3"]]),
    ],
)
def test_accesses_that_are_the_same_belong_together(
    seen: tuple[tuple[str, int, int], ...], command: list[list[str]]
) -> None:
    found = joined(*seen)
    assert found["probe config.COMMAND"] == command
    assert found["probe config.INTERRUPT_LINE"] == [["read", ""]]


BASE = 0xFFFFFFFF81000000
SYMBOLS = """\
ffffffff81000100 T pci_conf1_read
ffffffff81000200 t pci_read
ffffffff81000300 T pci_bus_read_config_word
ffffffff81000400 T pci_read_config_word
ffffffff81000500 t do_pci_disable_device
ffffffff81000600 T the_end
"""


@pytest.mark.parametrize(
    ("stack", "text"),
    [
        (
            (BASE + 0x210, BASE + 0x320, BASE + 0x408, BASE + 0x52A),
            "do_pci_disable_device+0x2a",
        ),
        ((0x1234, BASE + 0x52A, BASE + 0x510), "do_pci_disable_device+0x2a"),
        ((BASE + 0x210, BASE + 0x601), ""),
        ((), ""),
    ],
)
def test_an_access_without_the_driver_has_the_core_s_function(stack: tuple[int, ...], text: str) -> None:
    vm = SimpleNamespace(run=lambda *_, **__: SimpleNamespace(stdout=SYMBOLS))
    assert lines._KernelTexts(cast(Any, vm)).of(stack) == (text and f"{text} of the kernel")


def test_a_device_s_address_as_the_kernel_s_functions_get_it() -> None:
    device = Edu()
    device.address = "0001:02:1f.3"
    assert lines._address(device) == (1, 2, 0xFB)
