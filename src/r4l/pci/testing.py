# SPDX-License-Identifier: MIT
"""A stand for tests of a model without a VM: the device behind its server, and the guest's side of it.

with Stand(Counter()) as stand:
    stand.write(Counter.STEP, by=5)
    assert stand.read(Counter.COUNT) == 5

The guest's memory is `stand.memory`, its interrupts are `stand.interrupts(vector)`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Generic, Literal, TypeVar, overload

from r4l.errors import UsageError
from r4l.pci import config as cfg
from r4l.pci.arrays import RegisterElement
from r4l.pci.client import VfioClient, eventfd, rung
from r4l.pci.device import Device
from r4l.pci.protocol import PAGE_SIZE, Irq, IrqSet
from r4l.pci.registers import Register, Word
from r4l.pci.server import Server

AnyDevice = TypeVar("AnyDevice", bound=Device)
MEMORY = 1 << 20
"""Bytes of the guest's memory, unless a test gives another number."""
ENABLED = cfg.MEMORY_ENABLE | cfg.IO_ENABLE | cfg.BUS_MASTER
MSI_ENABLE, MSIX_ENABLE = 0x0001, 0x8000
UNMASK = IrqSet.DATA_NONE | IrqSet.UNMASK


class Stand(Generic[AnyDevice]):
    """A device that is plugged in, without a VM: `Stand(Counter())`, in a `with` block.

    The device runs behind its server as in a VM, so its methods are called on another thread, one at a time, and its
    patience holds. BARs, ports and bus mastering are enabled, as a driver enables them.

    Args:
        device: device to test.
        memory: bytes of the guest's memory, which begins at the address 0; a multiple of 4096.

    Attributes:
        device: the device.
        memory: the guest's memory, with the guest's addresses as indices: `stand.memory[0x1000:0x1010]`.
        client: the connection to the server, for all else that QEMU can ask.

    Raises:
        UsageError: the device is in a machine, or on another stand, or the memory has no such size.
    """

    def __init__(self, device: AnyDevice, *, memory: int = MEMORY) -> None:
        if memory <= 0 or memory % PAGE_SIZE:
            raise UsageError(f"a stand with {memory} bytes of memory", f"give a multiple of {PAGE_SIZE}")
        self.device = device
        self._vectors: dict[Irq, list[int]] = {}
        with ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="r4l-stand-")))
            server = Server(device, folder / "stand.sock")
            undo.callback(server.close)
            self.client = VfioClient(server.path)
            undo.callback(self.client.close)
            self.client.agree()
            self.memory = undo.enter_context(self._share_memory(memory))
            if device.interrupt_pin:
                self._wire(Irq.INTX, 1)
            self.set_config("COMMAND", ENABLED)
            self._undo = undo.pop_all()

    def _share_memory(self, size: int) -> mmap.mmap:
        fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            self.client.map(0, size, fd)
            return mmap.mmap(fd, size)
        finally:
            os.close(fd)

    @overload
    def read(self, what: Register | RegisterElement, /) -> Word: ...
    @overload
    def read(self, what: Register | RegisterElement | int, size: int = 0, bar: int = 0, /) -> int: ...
    def read(self, what: Register | RegisterElement | int, size: int = 0, bar: int = 0, /) -> int:
        """Read as the guest.

        Args:
            what: a register of the class, `Counter.COUNT`; one of an array, `RAL[3]`; or an offset.
            size: bytes of the access: 1, 2, 4 or 8; 0: those of the register, or 4.
            bar: number of the BAR of an offset.

        Returns:
            The value; that of a whole register has its fields as attributes.
        """
        register, offset, bar = _place(what, bar)
        size = size or (register.size if register else 4)
        value = self.client.read(offset, size, bar)
        return register.word(value) if register and register.size == size else value

    def write(
        self, what: Register | RegisterElement | int, value: int = 0, size: int = 0, bar: int = 0, /, **fields: int
    ) -> None:
        """Write as the guest, and wait for the end of the effects.

        Args:
            what: a register of the class, one of an array, or an offset.
            value: value to write.
            size: bytes of the access: 1, 2, 4 or 8; 0: those of the register, or 4.
            bar: number of the BAR of an offset.
            fields: fields of the register that differ from the value.

        Raises:
            AttributeError: the register has no such field, or there is no register.
            ValueError: a value does not fit in its field.
        """
        register, offset, bar = _place(what, bar)
        if fields:
            if register is None:
                raise AttributeError(f"an offset has no field {next(iter(fields))}: name the register")
            value = register.changed(value, fields)
        self.client.write(offset, value, size or (register.size if register else 4), bar)
        self.settle()

    def settle(self) -> None:
        """Wait until the device has done what was written: a write is answered before it takes effect."""
        with self.device.held:
            pass

    def config(self, name: str) -> int:
        """Return a register of the configuration space, such as "MSIX_CONTROL", as the guest reads it.

        Raises:
            UsageError: the device has no such register.
        """
        offset, size = self._config_place(name)
        return self.client.config(offset, size)

    def set_config(self, name: str, value: int) -> None:
        """Write to a register of the configuration space as the guest, and wait for the end of the effects.

        Raises:
            UsageError: the device has no such register.
        """
        offset, size = self._config_place(name)
        self.client.set_config(offset, value, size)
        self.settle()

    def _config_place(self, name: str) -> tuple[int, int]:
        registers = self.device.config.registers
        if name not in registers:
            raise UsageError(
                f"{self.device!r} has no register {name} in its configuration space",
                f"there are {', '.join(registers)}",
            )
        return registers[name].offset, registers[name].size

    def enable(self, kind: Literal["MSI", "MSIX"]) -> None:
        """Enable all vectors of MSI or MSI-X, as a driver does. Until then the device has INTx.

        Raises:
            UsageError: the device has no such capability.
        """
        control = self.config(f"{kind}_CONTROL")
        count = self.device.interrupts.counts[Irq[kind]]
        bits = MSIX_ENABLE if kind == "MSIX" else MSI_ENABLE | (count.bit_length() - 1) << 4
        self.set_config(f"{kind}_CONTROL", control | bits)
        self._wire(Irq[kind], count)

    def _wire(self, kind: Irq, count: int) -> None:
        self._vectors[kind] = [eventfd() for _ in range(count)]
        self.client.irq(kind, self._vectors[kind])

    def interrupts(self, vector: int = 0) -> int:
        """Return how often the device has interrupted since the last call, by the kind that is enabled.

        INTx that is still high counts again, as an interrupt controller sees it after each interrupt.

        Args:
            vector: vector of MSI or MSI-X; 0 for INTx.

        Raises:
            UsageError: there is no such vector.
        """
        kind = self.device.interrupts.mode
        vectors = self._vectors.get(kind, [])
        if not 0 <= vector < len(vectors):
            raise UsageError(f"there is no vector {vector} of {kind.name}", f"there are {len(vectors)}, from 0 on")
        count = rung(vectors[vector])
        if kind is Irq.INTX:
            self.client.irq(kind, flags=UNMASK, count=1)
        return count

    def close(self) -> None:
        """Pull the device out of the stand, and let all that belongs to it go."""
        self._undo.close()
        for fd in (fd for fds in self._vectors.values() for fd in fds):
            os.close(fd)
        self._vectors.clear()

    def __enter__(self) -> Stand[AnyDevice]:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_rest: object) -> None:
        self.close()
        if exc_type is None and self.device.errors:
            raise self.device.errors[0]


def _place(what: Register | RegisterElement | int, bar: int) -> tuple[Register | None, int, int]:
    """Return the register, its offset and its BAR of what a test names."""
    if isinstance(what, RegisterElement):
        array = what.register
        return array, array.offset + what.index * array.stride, array.bar
    if isinstance(what, Register):
        register = what._declared
        if register.count > 1:
            raise UsageError(f"{register.name} is an array", f"name one of it: {register.name}[0]")
        return register, register.offset, register.bar
    return None, what, bar
