# SPDX-License-Identifier: MIT
"""Memory of a device in a BAR, without registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from r4l.pci.buffers import Buffer, as_bytes
from r4l.pci.declared import Declared

if TYPE_CHECKING:
    from r4l.pci.device import Device


class Memory(Declared):
    """Plain memory in a BAR that software reads and writes without side effects; on an instance a `bytearray`, whose
    bytes change and whose size does not: `self.RAM[4:8] = …`, `self.RAM[:] = …` or `self.RAM = …` with as many bytes.

    Args:
        offset: place in its BAR in bytes.
        size: bytes.
        bar: number of its BAR.
    """

    def __init__(self, offset: int, size: int, *, bar: int = 0) -> None:
        self.name = ""
        self.offset, self.size, self.bar = offset, size, bar
        if offset < 0 or size < 1:
            raise self.wrong(f"has {size} bytes at {offset:#x}", "give an offset from 0 on, and at least one byte")

    @property
    def span(self) -> int:
        """Size in bytes."""
        return self.size

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Memory: ...
    @overload
    def __get__(self, instance: Device, owner: type) -> bytearray: ...
    def __get__(self, instance: Device | None, owner: type) -> Memory | bytearray:
        return self if instance is None else instance._memories[self.name]

    def __set__(self, instance: Device, value: Buffer) -> None:
        """Change all bytes in place.

        Raises:
            TypeError: the value is no bytes.
            ValueError: it has another size.
        """
        name = f"{self.name} is a memory ({self.line})"
        data = as_bytes(value, f"{name}, whose value is bytes", f"{self.name}[:4] = … changes some")
        if len(data) != self.size:
            raise ValueError(f"{name} of {self.size} bytes, not of {len(data)}; {self.name}[:4] = … changes some")
        with instance.held:
            instance._memories[self.name][:] = data

    def __repr__(self) -> str:
        return f"<Memory {self.name}, {self.size:#x} bytes at {self.offset:#x} of BAR {self.bar}>"
