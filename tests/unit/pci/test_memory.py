# SPDX-License-Identifier: MIT
"""Plain memory of a device: its bytes change in place, its size never."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import pytest

from r4l import pci

SIZE = 64


class Ram(pci.Device):
    vendor_id = 0x1234
    bars = (pci.Bar(0x1000),)
    CLEAR = pci.Register(0)
    RAM = pci.Memory(0x100, SIZE)
    OTHER = pci.Memory(0x200, SIZE)
    empty = bytearray(SIZE)

    @CLEAR.on_write
    def clear(self, old: pci.Word, new: pci.Word) -> None:
        if new:
            self.RAM[0:4] = b"abcdefgh"
        else:
            self.RAM = bytearray(SIZE)


LINE = Ram.RAM.line


@pytest.mark.parametrize(
    "value",
    [
        bytes(range(SIZE)),
        bytearray(range(SIZE)),
        memoryview(bytes(range(SIZE))),
        memoryview(array.array("I", bytes(range(SIZE)))),
    ],
    ids=["bytes", "bytearray", "memoryview", "memoryview of integers"],
)
def test_an_assignment_changes_all_bytes_in_place(value: bytes) -> None:
    device = Ram()
    memory = device.RAM
    device.RAM = value
    assert device.RAM is memory
    assert device.bar_read(0, 0x104, 4) == 0x07060504
    device.OTHER = device.RAM
    device.OTHER += b""
    device.bar_write(0, 0x104, 4, 0)
    assert (device.RAM[4], device.OTHER[4], bytes(value)[4]) == (0, 4, 4)
    assert vars(device).keys().isdisjoint({"RAM", "OTHER"})


@pytest.mark.parametrize("value", [b"", bytes(63), bytearray(65), memoryview(array.array("I", [0] * 64))], ids=len)
def test_bytes_of_another_size_are_refused_with_the_line(value: bytes) -> None:
    with pytest.raises(ValueError, match=rf"RAM is a memory \({LINE}\) of 64 bytes, not of \d+"):
        Ram().RAM = value


@pytest.mark.parametrize("value", [SIZE, "a" * SIZE, [0] * SIZE, None], ids=str)
def test_what_is_no_bytes_is_refused_with_the_line(value: Any) -> None:
    with pytest.raises(TypeError, match=rf"RAM is a memory \({LINE}\), whose value is bytes, not "):
        Ram().RAM = value


RESIZES: dict[str, Callable[[bytearray], object]] = {
    "a longer slice": lambda ram: ram.__setitem__(slice(0, 4), b"abcdefgh"),
    "a shorter slice": lambda ram: ram.__setitem__(slice(0, 4), b"a"),
    "all": lambda ram: ram.__setitem__(slice(None), b""),
    "behind the end": lambda ram: ram.__setitem__(slice(SIZE, None), b"a"),
    "del": lambda ram: ram.__delitem__(0),
    "append": lambda ram: ram.append(1),
    "extend": lambda ram: ram.extend(b"a"),
    "insert": lambda ram: ram.insert(0, 1),
    "pop": lambda ram: ram.pop(),
    "clear": lambda ram: ram.clear(),
    "+=": lambda ram: ram.__iadd__(b"a"),
    "*=": lambda ram: ram.__imul__(2),
}


@pytest.mark.parametrize("how", RESIZES)
def test_its_size_does_not_change(how: str) -> None:
    device = Ram()
    with pytest.raises(BufferError):
        RESIZES[how](device.RAM)
    assert len(device.RAM) == SIZE
    device.RAM[4:8] = b"abcd"
    assert device.bar_read(0, 0x104, 4) == 0x64636261


def test_a_models_mistake_has_its_line_and_the_guest_goes_on() -> None:
    device = Ram()
    device.bar_write(0, 0x110, 4, 0x55667788)
    device.bar_write(0, 0, 4, 1)
    assert "BufferError" in device.errors[0].cause
    assert f"test_memory.py:{Ram.clear.__code__.co_firstlineno + 3})" in device.errors[0].cause
    assert device.bar_read(0, 0x110, 4) == 0x55667788
    device.bar_write(0, 0, 4, 0)
    assert (device.bar_read(0, 0x110, 4), len(device.errors)) == (0, 1)
    with pytest.raises(AttributeError):
        del device.RAM
