# SPDX-License-Identifier: MIT
"""The effect of the guest's accesses on a device: its BARs, registers and configuration space."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

from r4l.errors import VerdictError
from r4l.pci import config as cfg
from r4l.pci.capabilities import (
    EXPRESS_CONTROL,
    EXPRESS_RESET,
    MSIX_CONTROL,
    MSIX_ENABLE,
    NO_SOFT_RESET,
    PM_CONTROL,
    POWER_STATE,
    Capability,
    Express,
    Msix,
    PowerManagement,
)
from r4l.pci.config import ConfigSpace
from r4l.pci.declared import ROOM
from r4l.pci.dma import DmaFault
from r4l.pci.faults import Faults
from r4l.pci.interrupts import Interrupts
from r4l.pci.layout import Cell, Layout
from r4l.pci.registers import Partial, Word
from r4l.pci.trace import Trace, encodable

D3HOT = 3
LARGEST_CONFIG = 4
"""Bytes of a CPU's largest access to the configuration space (PCI 3.0, 3.2.2.3.2); QEMU reads more at once."""
LONGEST_ERROR = 4000
"""Characters kept of an exception's text, which may hold all that a model was about to send."""
KEPT_ERRORS = 20
"""Number of a model's errors that are kept; one that raises at each access would fill the memory."""


class ModelError(VerdictError):
    """A model raised, or did not answer in time. The guest saw a device that does not answer: all ones."""

    category = "model"


class ModelTimeout(ModelError):
    """A model's method did not return in time."""

    late = True


class Reset(Enum):
    """Cause of a reset."""

    POWER_ON = "power on"
    BUS = "bus reset"
    FUNCTION = "function level reset"
    POWER_STATE = "D3hot to D0"
    ITSELF = "by itself"


class GuestAccess:
    """The accesses of the guest to a `Device`, called by the server under the device's lock."""

    layout: ClassVar[Layout]
    capabilities: ClassVar[Sequence[Capability]]
    config: ConfigSpace
    interrupts: Interrupts
    faults: Faults
    trace: Trace
    errors: list[ModelError]
    present: bool
    may_master: bool
    reset: Callable[[Reset], None]
    _answers: bool
    _values: list[int]
    _memories: dict[str, bytearray]

    def bar_read(self, bar: int, offset: int, size: int) -> int:
        """Return the value that the guest reads in a BAR; a fault in the model does not raise here."""
        cell = self.layout.exact[bar].get(offset << 4 | size)
        found = self.faults.before("read", bar, offset, size) if self.faults.armed else None
        if not self._answers:
            value = (1 << 8 * size) - 1
        elif cell is not None:
            value = self._read(cell)
        else:
            value = self._read_apart(bar, offset, size)
        if found:
            value = self.faults.read(found, value, size)
        self.trace.add("read", cell or self.layout.covering[bar].get(offset), bar, offset, size, value)
        return value

    def bar_write(self, bar: int, offset: int, size: int, value: int) -> None:
        """Apply the guest's write to a BAR; a fault in the model does not raise here."""
        cell = self.layout.exact[bar].get(offset << 4 | size)
        self.trace.add("write", cell or self.layout.covering[bar].get(offset), bar, offset, size, value)
        found = self.faults.before("write", bar, offset, size) if self.faults.armed else None
        if not self._answers:
            return
        if found:
            self.faults.write(found, value, size, lambda new: self._arrive(cell, bar, offset, size, new))
        else:
            self._write_any(cell, bar, offset, size, value)
        self.trace.settle()

    def _arrive(self, cell: Cell | None, bar: int, offset: int, size: int, value: int) -> None:
        """Apply a write that can be late: the device may be in another power state by now."""
        if self._answers:
            self._write_any(cell, bar, offset, size, value)

    def _write_any(self, cell: Cell | None, bar: int, offset: int, size: int, value: int) -> None:
        if cell is not None:
            self._write(cell, value)
        else:
            self._write_apart(bar, offset, size, value)

    def _read(self, cell: Cell, seen: int = -1) -> int:
        """Return the value that is read of a register, of which the guest sees the bits of a mask."""
        register = cell.register
        value = self._values[cell.slot]
        if hidden := register.hidden:
            value = value | hidden if self.layout.bars[register.bar].unmapped else value & ~hidden
        if cell.reader is not None:
            value = self._guarded(self._ask, cell, value, default=register.mask)
        if register.cleared:
            self._values[cell.slot] &= ~(register.cleared & seen)
        return value

    def _ask(self, cell: Cell, value: int) -> int:
        reader, register = cell.reader, cell.register
        assert reader is not None
        word = register.word(value)
        said = reader(self, word) if cell.index is None else reader(self, cell.index, word)
        if not isinstance(said, int):
            raise TypeError(f"{register.reader} has to return what is read of {cell.name}, and returned {said!r}")
        return int(said) & register.mask

    def _write(self, cell: Cell, value: int) -> None:
        register = cell.register
        old = self._values[cell.slot]
        new = self._values[cell.slot] = register.written(old, value)
        writer = cell.writer
        if writer is not None:
            try:
                if cell.index is None:
                    writer(self, Word(register, old), Word(register, new))
                else:
                    writer(self, cell.index, Word(register, old), Word(register, new))
            except BaseException as error:  # noqa: BLE001 (as in `_guarded`, without the cost of a call)
                self._caught(error)

    def _read_apart(self, bar: int, offset: int, size: int) -> int:
        """Return the value of an access that does not match exactly one register."""
        if not self.layout.bars[bar].takes(offset, size):
            return 0
        memory = self.layout.memory_at(bar, offset)
        if memory and offset + size <= memory.offset + memory.size:
            at = offset - memory.offset
            return int.from_bytes(self._memories[memory.name][at : at + size], "little")
        if (pending := self._pending(bar, offset, size)) is not None:
            return pending
        cells = self._cells(bar, offset, size)
        if any(cell.register.partial is Partial.REFUSE for cell in cells):
            return (1 << 8 * size) - 1
        data = bytearray([self.layout.bars[bar].unmapped] * size)
        for cell in cells:
            begin, end = max(offset, cell.offset), min(offset + size, cell.offset + cell.register.size)
            seen = (1 << 8 * (end - begin)) - 1 << 8 * (begin - cell.offset)
            whole = cell.register.partial is Partial.WHOLE
            value = self._read(cell, -1 if whole else seen).to_bytes(cell.register.size, "little")
            for place in range(begin, end):
                data[place - offset] = value[place - cell.offset]
        return int.from_bytes(data, "little")

    def _write_apart(self, bar: int, offset: int, size: int, value: int) -> None:
        if not self.layout.bars[bar].takes(offset, size):
            return
        data = value.to_bytes(size, "little")
        memory = self.layout.memory_at(bar, offset)
        if memory and offset + size <= memory.offset + memory.size:
            at = offset - memory.offset
            self._memories[memory.name][at : at + size] = data
            return
        cells = self._cells(bar, offset, size)
        if any(cell.register.partial is Partial.REFUSE for cell in cells):
            return
        for cell in cells:
            register = cell.register
            if register.partial is Partial.WHOLE:
                self._write(cell, value)
                continue
            # Bytes outside the write must clear and set no bits: they get values without effect.
            keeps = self._values[cell.slot] & (register.mask & ~(register.clearing | register.setting))
            merged = bytearray(keeps.to_bytes(register.size, "little"))
            for place in range(max(offset, cell.offset), min(offset + size, cell.offset + register.size)):
                merged[place - cell.offset] = data[place - offset]
            self._write(cell, int.from_bytes(merged, "little"))

    def _cells(self, bar: int, offset: int, size: int) -> list[Cell]:
        return [
            cell
            for cell in self.layout.touched(bar, offset, size)
            if cell.register.partial is not Partial.WHOLE or (cell.offset == offset and size <= cell.register.size)
        ]

    def _pending(self, bar: int, offset: int, size: int) -> int | None:
        """Return the pending bits of MSI-X for an access to them, else None. QEMU asks the device for them."""
        for one in self.capabilities:
            if isinstance(one, Msix) and one.bar == bar and 0 <= offset - one.pending_at < one.pending_size:
                bits = sum(1 << vector for vector in self.interrupts.pending)
                return bits >> 8 * (offset - one.pending_at) & (1 << 8 * size) - 1
        return None

    def config_read(self, offset: int, size: int) -> bytes:
        """Return the bytes that the guest or QEMU reads in the configuration space."""
        by_cpu = size <= LARGEST_CONFIG
        found = self.faults.before_config("read", offset, size) if self.faults.armed and by_cpu else None
        data = self.config.read(offset, size) if self.present else b"\xff" * size
        if found:
            data = self.faults.read(found, int.from_bytes(data, "little"), size).to_bytes(size, "little")
        if self.trace.config and by_cpu:
            self._trace_config("config-read", offset, data)
        return data

    def config_write(self, offset: int, data: bytes) -> None:
        """Apply a write by the guest or QEMU to the configuration space."""
        size = len(data)
        by_cpu = size <= LARGEST_CONFIG
        if self.trace.config and by_cpu:
            self._trace_config("config-write", offset, data)
        found = self.faults.before_config("write", offset, size) if self.faults.armed and by_cpu else None
        if not self.present:
            return
        if found:
            value = int.from_bytes(data, "little")
            self.faults.write(found, value, size, lambda new: self._config_write(offset, new.to_bytes(size, "little")))
        else:
            self._config_write(offset, data)

    def _trace_config(self, kind: Literal["config-read", "config-write"], offset: int, data: bytes) -> None:
        size = len(data)
        self.trace.add(kind, None, -1, offset, size, int.from_bytes(data, "little"), self.config.names(offset, size))

    def _config_write(self, offset: int, data: bytes) -> None:
        before = self.power_state
        self.config.write(offset, data)
        for one, place in zip(self.capabilities, self.config.places, strict=True):
            if isinstance(one, PowerManagement) and not one.has(self.power_state):
                # The write is complete, and "the data is discarded" (PCI Power Management 1.2, 3.2.4).
                self.config.set_bits(place + PM_CONTROL, POWER_STATE, on=False)
                self.config.set_bits(place + PM_CONTROL, before, on=True)
        self._config_changed()
        for one, place in zip(self.capabilities, self.config.places, strict=True):
            if isinstance(one, PowerManagement) and before == D3HOT != self.power_state:
                if not self.config.word(place + PM_CONTROL) & NO_SOFT_RESET:
                    self._guarded(self.reset, Reset.POWER_STATE, default=None)
            elif isinstance(one, Express) and one.function_reset:
                control = place + EXPRESS_CONTROL
                if offset <= control + 1 < offset + len(data) and data[control + 1 - offset] & EXPRESS_RESET >> 8:
                    self._guarded(self.reset, Reset.FUNCTION, default=None)

    def _config_changed(self) -> None:
        # Below D0 a function answers in its configuration space only, and sends nothing but a PME (PCI Power
        # Management 1.2, 5.4).
        awake = not self.power_state
        self._answers = self.present and awake
        self.may_master = awake and bool(self.config.command & cfg.BUS_MASTER)
        self.interrupts.messages = self.may_master
        self.interrupts.allowed = awake and not self.config.command & cfg.INTX_DISABLE
        self.interrupts.enable_msix(
            any(self.config.word(place + MSIX_CONTROL) & MSIX_ENABLE for place in self._places(Msix))
        )
        self.interrupts.deliver()

    @property
    def _no_master(self) -> str:
        """Reason why the device may not reach the guest's memory."""
        if self.power_state:
            return f"the device is in {'D3hot' if self.power_state == D3HOT else f'D{self.power_state}'}"
        return "the driver has not made the device bus master (pci_set_master)"

    @property
    def power_state(self) -> int:
        """Power state: 0 to 3 for D0 to D3hot."""
        for place in self._places(PowerManagement):
            return self.config.word(place + PM_CONTROL) & POWER_STATE
        return 0

    def _places(self, kind: type[Capability]) -> Iterator[int]:
        """Yield the offsets of the capabilities of a kind."""
        both = zip(self.capabilities, self.config.places, strict=True)
        return (place for one, place in both if isinstance(one, kind))

    def _guarded(self, function: Callable[..., Any], *arguments: Any, default: Any) -> Any:
        """Call a function of the model. An exception is kept for the test, and the guest continues."""
        try:
            return function(*arguments)
        except BaseException as error:  # noqa: BLE001 (whatever a model raises, the guest is not to wait for ever)
            self._caught(error)
        return default

    def _caught(self, error: BaseException) -> None:
        """Take note of what a function of the model raised."""
        if isinstance(error, DmaFault):
            self.config.set_bits(cfg.STATUS, cfg.STATUS_MASTER_ABORT, on=True)
            self.trace.add("refused", text=encodable(str(error)))
        else:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Keep an exception of the model."""
        where = traceback.extract_tb(error.__traceback__)
        # The model's own line, also for what it has called in this package with wrong arguments.
        own = [one for one in where if Path(one.filename).parent != ROOM] or where
        place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
        # By Python's own printer: the method that gives an exception's text may raise, too.
        said = encodable("".join(traceback.format_exception_only(type(error), error)).strip()[:LONGEST_ERROR])
        place = encodable(place)
        self.trace.add("note", text=f"the model raised {said}{place}")
        if len(self.errors) >= KEPT_ERRORS:
            return
        problem = ModelError(
            f"the model {type(self).__name__} raised {said}{place}",
            "the guest saw a device that does not answer: correct the model",
            detail="".join(line[:LONGEST_ERROR] for line in traceback.format_exception(error)),
        )
        problem.__cause__ = error
        self.errors.append(problem)
