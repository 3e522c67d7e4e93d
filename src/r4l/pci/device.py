# SPDX-License-Identifier: MIT
"""A PCI device as a class: the author's definitions, and the effect of the guest's accesses on an instance.

class Counter(pci.Device):
    vendor_id, device_id = 0x1234, 0xC0DE
    bars = (pci.Bar(4096),)
    COUNT = pci.Register(0x00, access=pci.RO)
    STEP = pci.Register(0x04)

    @STEP.on_write
    def step(self, old, new):
        self.COUNT += new
        self.raise_irq()
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, ClassVar

from r4l.errors import VerdictError
from r4l.pci import config as cfg
from r4l.pci.capabilities import (
    EXPRESS_CONTROL,
    EXPRESS_RESET,
    NO_SOFT_RESET,
    PM_CONTROL,
    POWER_STATE,
    Capability,
    Express,
    Msi,
    Msix,
    PowerManagement,
    Vendor,
)
from r4l.pci.config import ConfigSpace
from r4l.pci.dma import Dma, DmaFault
from r4l.pci.faults import Faults
from r4l.pci.interrupts import Interrupts
from r4l.pci.layout import BARS, Bar, Cell, Layout
from r4l.pci.protocol import Irq
from r4l.pci.registers import HOOK, DefinitionError, Memory, Partial, Register, caller
from r4l.pci.rings import DescriptorRing
from r4l.pci.timers import Clock, RunningTime, Timer, Timers
from r4l.pci.trace import Trace

IDENTITY = {
    "vendor_id": 16,
    "device_id": 16,
    "class_code": 24,
    "revision": 8,
    "subsystem_vendor_id": 16,
    "subsystem_id": 16,
}
"""Attributes that identify a device, with their widths in bits."""
MARGIN = 3.0
"""Seconds that a caller waits for a model beyond its patience."""
KEPT_ERRORS = 20
"""Number of a model's errors that are kept; one that raises at each access would fill the memory."""


class ModelError(VerdictError):
    """A model raised, or did not answer in time. The guest saw a device that does not answer: all ones."""

    category = "model"


class _Held:
    """A device's lock for a caller who may have to wait, such as a test that examines a model whose method does not
    return."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def __enter__(self) -> None:
        device = self._device
        if device.lock.acquire(blocking=False):
            return
        patience = -1 if device.patience is None else device.patience + MARGIN
        if not device.lock.acquire(timeout=patience):
            raise device.errors[-1] if device.errors else ModelError(f"{device!r} is busy for {patience:g} s")

    def __exit__(self, *_: object) -> None:
        self._device.lock.release()


class Reset(Enum):
    """Cause of a reset."""

    POWER_ON = "power on"
    BUS = "bus reset"
    FUNCTION = "function level reset"
    POWER_STATE = "D3hot to D0"
    ITSELF = "by itself"


class _Body(dict[str, Any]):
    """The namespace of a model's class while it is defined, in which no name may be declared twice."""

    def __setitem__(self, name: str, value: object) -> None:
        before = self.get(name)
        if isinstance(before, Register | Memory):
            raise DefinitionError(f"{caller()}: {name} is declared a second time, after {before.place}", "rename one")
        if hasattr(before, HOOK):
            raise DefinitionError(
                f"{caller()}: {name} is a second method of that name, and the first is a register's side effect",
                "give each a name of its own",
            )
        super().__setitem__(name, value)


class _Model(type):
    """The type of models."""

    @classmethod
    def __prepare__(cls, _name: str, _bases: tuple[type, ...], /, **_words: Any) -> _Body:
        return _Body()


class Device(metaclass=_Model):
    """A PCI device. Subclasses are models.

    Its methods may be called from any thread. A model's own methods are called one at a time: those of registers after
    an access by the guest, those of timers when they are due.

    Attributes:
        vendor_id, device_id, class_code, revision, subsystem_vendor_id, subsystem_id: identity for the guest.
        bars: BARs in the order of their numbers; None for a missing one.
        capabilities: capabilities in the order of the list in the configuration space.
        interrupt_pin: 1 to 4 for INTA# to INTD#; 0: the device has no INTx.
        clock: source of time for `after`: `RunningTime`, or `SteppedTime` for `advance`.
        patience: seconds after which a method that has not returned makes the device dead to the guest; None: no limit,
            as in a debugger. QEMU waits ten minutes, and never speaks to the device again after that.
        actions: the model's own faults: names to names of methods without arguments.
        rings: rings of descriptors, for readers of a recording; the device itself does not use them.
        interrupt_mask: name of the register that lets interrupts through; while it is 0, the driver polls. For readers
            of a recording, too; empty if there is none.
        layout: places of the registers.
        trace: events at the device.
        faults: faults injected on purpose.
        dma: the guest's memory.
        errors: exceptions of the model.
        present: False once the device was pulled out; it then answers nothing.
        dead: True if a method of the model has not returned in time.
        may_master: True if the driver lets the device reach the guest's memory.
        address: address on the guest's bus, such as "0000:00:05.0"; empty while the device is not plugged in.
    """

    vendor_id: ClassVar[int] = 0
    device_id: ClassVar[int] = 0
    class_code: ClassVar[int] = 0xFF0000
    revision: ClassVar[int] = 0
    subsystem_vendor_id: ClassVar[int] = 0
    subsystem_id: ClassVar[int] = 0
    bars: ClassVar[Sequence[Bar | None]] = ()
    capabilities: ClassVar[Sequence[Capability]] = ()
    interrupt_pin: ClassVar[int] = 1
    clock: ClassVar[Callable[[], Clock]] = RunningTime
    patience: float | None = 5.0
    actions: ClassVar[Mapping[str, str]] = {}
    rings: ClassVar[Sequence[DescriptorRing]] = ()
    interrupt_mask: ClassVar[str] = ""
    layout: ClassVar[Layout]

    _values: list[int]
    _memories: dict[str, bytearray]

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        place = caller()
        if problem := _contradiction(cls):
            raise DefinitionError(f"{place}: {cls.__name__}: {problem}")
        tables = [one for one in cls.capabilities if isinstance(one, Msix)]
        cls.layout = Layout(cls, _by_number(cls.bars), tables)
        if problem := _unreadable(cls):
            raise DefinitionError(f"{place}: {cls.__name__}: {problem}")

    def __new__(cls, *_arguments: Any, **_words: Any) -> Device:
        """Set up the state of every device, whatever the model's own `__init__` does."""
        if not cls.vendor_id:
            raise DefinitionError(f"{cls.__name__} has no vendor_id, and no guest would find it", "give it one")
        self = super().__new__(cls)
        self._set_up()
        return self

    def _set_up(self) -> None:
        self.lock = threading.RLock()
        self.held = _Held(self)
        self.trace = Trace()
        self.errors: list[ModelError] = []
        self.present = self._answers = True
        self.dead = self.may_master = False
        self.address = ""
        self.faults = Faults(self)
        self.dma = Dma(self)
        self._timers = Timers(type(self).clock(), self._due)
        self._values = list(self.layout.resets)
        self._memories = {name: bytearray(one.size) for name, one in self.layout.memories.items()}
        identity = (self.vendor_id, self.device_id, self.class_code, self.revision)
        subsystem = (self.subsystem_vendor_id, self.subsystem_id)
        self.config = ConfigSpace((*identity, *subsystem), self.layout.bars, self.capabilities, self.interrupt_pin)
        counts = {Irq.INTX: int(self.interrupt_pin > 0), Irq.MSI: 0, Irq.MSIX: 0}
        for one in self.capabilities:
            if isinstance(one, Msi | Msix):
                counts[Irq.MSI if isinstance(one, Msi) else Irq.MSIX] = one.vectors
        self.interrupts = Interrupts(counts, self._level_changed)

    # -- called by models -----------------------------------------------------------------------------------------

    def raise_irq(self, vector: int = 0) -> None:
        """Interrupt the guest: by MSI-X or MSI if the driver has enabled one, else by INTx, which then stays high.

        Args:
            vector: vector of MSI-X or MSI; for one that the driver has not enabled, its last is used (PCI 3.0,
                6.8.3.4).
        """
        with self.held:
            if self.faults:
                self.faults.interrupt(vector, lambda: self._raise(vector))
            else:
                self._raise(vector)

    def lower_irq(self) -> None:
        """Let INTx go low; a message cannot be taken back."""
        with self.held:
            self.interrupts.set_level(False)

    def pulse(self, vector: int = 0) -> None:
        """Interrupt the guest and take INTx back at once: an interrupt for which its handler finds no reason."""
        with self.held:
            high = self.interrupts.level
            self._raise(vector)
            self.interrupts.set_level(high)

    def after(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Schedule an action by the model's clock. A reset cancels it.

        Args:
            seconds: delay.
            action: a method of the model, or a function without arguments.
        """
        return self._timers.after(seconds, action)

    @property
    def now(self) -> float:
        """Seconds by the model's clock."""
        return self._timers.clock.now()

    def call(self, function: Callable[..., object], *arguments: object, **words: object) -> None:
        """Call a method for an event from outside, such as a frame from a cable: with the lock held, not while the
        device is pulled out, and with errors kept like those of a register's method.

        Args:
            function: a method of the model.
            arguments: its arguments by position.
            words: its arguments by name.
        """
        with self.held:
            if self.present:
                self._guarded(partial(function, *arguments, **words), default=None)
                self.trace.settle()

    def advance(self, seconds: float) -> None:
        """Advance a `SteppedTime`, and run the timers that become due on the way.

        Args:
            seconds: time to advance.

        Raises:
            TypeError: the model's clock runs by itself.
        """
        self._timers.advance(seconds)

    def peek(self, offset: int, bar: int = 0) -> int:
        """Return the value of the register at an offset, without the side effects of a read by the guest.

        Args:
            offset: offset of its first byte.
            bar: number of its BAR.

        Raises:
            KeyError: no register begins there.
        """
        cell = self.layout.covering[bar][offset]
        if cell.offset != offset:
            raise KeyError(offset)
        with self.held:
            return self._values[cell.slot]

    def note(self, text: str) -> None:
        """Write a line into the trace."""
        with self.held:
            self.trace.add("note", text=text)

    def on_reset(self, reason: Reset) -> None:
        """Reset the model's own state; called after a reset, when the registers have their reset values again."""

    def on_plug(self) -> None:
        """React to a plug; called when the device was connected to a machine."""

    def on_unplug(self) -> None:
        """React to an unplug; called when the machine has let go of the device, or was pulled from it."""

    def reset(self, reason: Reset = Reset.ITSELF) -> None:
        """Reset the device: registers to their reset values, interrupts low, timers cancelled, memories unchanged;
        `on_reset` is called last."""
        with self.held:
            self._timers.clear()
            sticky = self.layout.sticky if reason is not Reset.POWER_ON else frozenset[int]()
            for slot, value in enumerate(self.layout.resets):
                if slot not in sticky:
                    self._values[slot] = value
            self.interrupts.reset()
            self.trace.add("reset", text=reason.value)
            if reason in (Reset.POWER_ON, Reset.BUS, Reset.FUNCTION):
                self.config.reset()
            self._config_changed()
            self.on_reset(reason)

    def pull(self) -> None:
        """Disappear at once, like a card that was pulled out: reads return all ones, and nothing else happens any
        more."""
        with self.held:
            if self.present:
                self._timers.clear()
                self.interrupts.reset()
                self.present = self._answers = False
                self.trace.add("unplugged", text="pulled out")

    # -- accesses of the guest, called by the server under the lock -------------------------------------------------

    def bar_read(self, bar: int, offset: int, size: int) -> int:
        """Return the value that the guest reads in a BAR; a fault in the model does not raise here."""
        cell = self.layout.exact[bar].get(offset << 4 | size)
        found = self.faults.before("read", cell or self.layout.covering[bar].get(offset)) if self.faults else None
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
        found = self.faults.before("write", cell or self.layout.covering[bar].get(offset)) if self.faults else None
        if not self._answers:
            return
        if found:
            self.faults.write(found, value, size, lambda new: self._write_any(cell, bar, offset, size, new))
        else:
            self._write_any(cell, bar, offset, size, value)
        self.trace.settle()

    def _write_any(self, cell: Cell | None, bar: int, offset: int, size: int, value: int) -> None:
        if cell is not None:
            self._write(cell, value)
        else:
            self._write_apart(bar, offset, size, value)

    def _read(self, cell: Cell) -> int:
        register = cell.register
        value = self._values[cell.slot]
        if hidden := register.hidden:
            value = value | hidden if self.layout.bars[register.bar].unmapped else value & ~hidden
        if cell.reader is not None:
            value = self._guarded(self._ask, cell, value, default=register.mask)
        if register.cleared:
            self._values[cell.slot] &= ~register.cleared
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
        if cell.writer is not None:
            self._guarded(self._tell, cell, old, new, default=None)

    def _tell(self, cell: Cell, old: int, new: int) -> None:
        writer, register = cell.writer, cell.register
        assert writer is not None
        if cell.index is None:
            writer(self, register.word(old), register.word(new))
        else:
            writer(self, cell.index, register.word(old), register.word(new))

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
            value = self._read(cell).to_bytes(cell.register.size, "little")
            for place in range(max(offset, cell.offset), min(offset + size, cell.offset + cell.register.size)):
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
        covering = self.layout.covering[bar]
        found = {id(cell): cell for place in range(offset, offset + size) if (cell := covering.get(place))}
        return [
            cell
            for cell in found.values()
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
        data = self.config.read(offset, size) if self.present else b"\xff" * size
        if self.trace.config and size <= 4:
            self.trace.add("config-read", None, -1, offset, size, int.from_bytes(data, "little"))
        return data

    def config_write(self, offset: int, data: bytes) -> None:
        """Apply a write by the guest or QEMU to the configuration space."""
        if self.trace.config and len(data) <= 4:
            self.trace.add("config-write", None, -1, offset, len(data), int.from_bytes(data, "little"))
        if not self.present:
            return
        before = self.power_state
        self.config.write(offset, data)
        self._config_changed()
        for one, place in zip(self.capabilities, self.config.places, strict=True):
            if isinstance(one, PowerManagement) and before == 3 and self.power_state == 0:
                if not self.config.word(place + PM_CONTROL) & NO_SOFT_RESET:
                    self._guarded(self.reset, Reset.POWER_STATE, default=None)
            elif isinstance(one, Express) and one.function_reset:
                control = place + EXPRESS_CONTROL
                if offset <= control + 1 < offset + len(data) and data[control + 1 - offset] & EXPRESS_RESET >> 8:
                    self._guarded(self.reset, Reset.FUNCTION, default=None)

    def _config_changed(self) -> None:
        # In D3hot a function answers in its configuration space only (PCI Power Management 1.2, 5.4.1).
        self._answers = self.present and self.power_state != 3
        self.may_master = bool(self.config.command & cfg.BUS_MASTER)
        self.interrupts.allowed = not self.config.command & cfg.INTX_DISABLE
        self.interrupts.deliver()

    @property
    def power_state(self) -> int:
        """Power state: 0 to 3 for D0 to D3hot."""
        for one, place in zip(self.capabilities, self.config.places, strict=True):
            if isinstance(one, PowerManagement):
                return self.config.word(place + PM_CONTROL) & POWER_STATE
        return 0

    # -- implementation ---------------------------------------------------------------------------------------------

    def _raise(self, vector: int) -> None:
        if not self.present:
            return
        mode = self.interrupts.mode
        if mode is Irq.INTX:
            self.interrupts.set_level(True)
            return
        enabled = self.interrupts.enabled(mode)
        vector = vector if mode is Irq.MSIX else min(vector, enabled - 1)
        self.trace.add("interrupt", value=vector, text=mode.name)
        self.interrupts.signal(mode, vector)

    def _level_changed(self, level: bool) -> None:
        self.config.set_bits(cfg.STATUS, cfg.STATUS_INTERRUPT, on=level)
        if level:
            self.trace.add("interrupt", text="INTX")

    def _due(self, timer: Timer) -> None:
        with self.lock:
            # The timer may have been cancelled while this thread waited for the lock.
            if timer.action is not None and self.present:
                self._guarded(timer.action, default=None)
                self.trace.settle()

    def _guarded(self, function: Callable[..., Any], *arguments: Any, default: Any) -> Any:
        """Call a function of the model. An exception is kept for the test, and the guest continues."""
        try:
            return function(*arguments)
        except DmaFault as fault:
            self.config.set_bits(cfg.STATUS, cfg.STATUS_MASTER_ABORT, on=True)
            self.trace.add("refused", text=str(fault))
        except BaseException as error:  # noqa: BLE001 (whatever a model raises, the guest is not to wait for ever)
            self.failed(error)
        return default

    def plugged(self) -> None:
        """Switch power on; called when a machine has connected."""
        with self.lock:
            self.present = self._answers = True
            self.trace.add("plugged")
            self._guarded(self.reset, Reset.POWER_ON, default=None)
            self._guarded(self.on_plug, default=None)

    def unplugged(self) -> None:
        """Cancel the timers; called when the machine has let go."""
        if self.dead:
            return
        with self.lock:
            self._timers.stop()
            self.trace.add("unplugged")
            self._guarded(self.on_unplug, default=None)

    def pause(self, paused: bool) -> None:
        """Stop the model's clock with the machine, or let it run again."""
        self._timers.pause(paused)

    def give_up(self, seconds: float, where: str) -> None:
        """Declare the model dead, since one of its methods does not return and keeps the lock.

        Args:
            seconds: running time of the method.
            where: its present place, as a traceback of Python.
        """
        self.dead, self.present, self._answers = True, False, False
        self.errors.append(
            ModelError(
                f"a method of the model {type(self).__name__} has not returned for {seconds:g} s",
                "a model does not wait: it says what comes `self.after(seconds, …)`; in a debugger, patience = None",
                detail=where,
            )
        )

    def failed(self, error: BaseException) -> None:
        """Keep an exception of the model."""
        where = traceback.extract_tb(error.__traceback__)
        place = f" ({where[-1].filename}:{where[-1].lineno})" if where else ""
        self.trace.add("note", text=f"the model raised {error!r}{place}")
        if len(self.errors) >= KEPT_ERRORS:
            return
        problem = ModelError(
            f"the model {type(self).__name__} raised {type(error).__name__}: {error}{place}",
            "the guest saw a device that does not answer: correct the model",
            detail="".join(traceback.format_exception(error)),
        )
        problem.__cause__ = error
        self.errors.append(problem)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.vendor_id:04x}:{self.device_id:04x} {self.address or 'not plugged in'}>"


def _by_number(bars: Sequence[Bar | None]) -> dict[int, Bar]:
    """Return the existing BARs by their numbers."""
    return {number: bar for number, bar in enumerate(bars) if bar is not None}


def _unreadable(cls: type[Device]) -> str:
    """Return the mistake in what describes a model to readers of a recording; empty if there is none."""
    for ring in cls.rings:
        if problem := ring.problem(cls.layout.registers):
            return f"the ring {ring.name} {problem}"
    if cls.interrupt_mask and cls.interrupt_mask not in cls.layout.registers:
        return f"interrupt_mask names the register {cls.interrupt_mask}, which the device does not have"
    return ""


def _contradiction(cls: type[Device]) -> str:
    """Return the mistake in a model's identity, BARs and capabilities; empty if there is none."""
    for name, bits in IDENTITY.items():
        if not 0 <= getattr(cls, name) < 1 << bits:
            return f"{name} {getattr(cls, name):#x} does not fit in {bits} bits"
    if cls.interrupt_pin not in range(5):
        return f"interrupt_pin is {cls.interrupt_pin}; give 1 to 4, or 0 for none"
    bars = _by_number(cls.bars)
    for number, bar in bars.items():
        if number not in range(BARS):
            return f"there is no BAR {number}; they are 0 to 5"
        if problem := bar.problem():
            return f"BAR {number} {problem}"
        if bar.bits == 64 and (number + 1 in bars or number + 1 == BARS):
            return f"BAR {number} is 64 bits wide and takes number {number + 1}, too"
    if problem := next(filter(None, (one.problem() for one in cls.capabilities)), ""):
        return problem
    for one in cls.capabilities:
        if isinstance(one, Msix) and one.bar not in bars:
            return f"MSI-X is in BAR {one.bar}, which the device does not have"
        if isinstance(one, Msix) and (end := max(end for _, end, _ in one.places)) > bars[one.bar].size:
            return f"MSI-X ends at {end:#x}, and BAR {one.bar} has {bars[one.bar].size:#x} bytes"
    if len({one.number for one in cls.capabilities if not isinstance(one, Vendor)}) < sum(
        not isinstance(one, Vendor) for one in cls.capabilities
    ):
        return "a capability is there twice"
    if (end := ConfigSpace((0,) * 6, bars, cls.capabilities, 0).end) > cfg.SIZE:
        return f"the capabilities end at {end:#x}, and the configuration space at {cfg.SIZE:#x}"
    for name, action in cls.actions.items():
        if not callable(getattr(cls, action, None)):
            return f"the fault {name} is the method {action}, which there is not"
    return ""
