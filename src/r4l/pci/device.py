# SPDX-License-Identifier: MIT
"""A PCI device as a class: the author's definitions, and the calls of its methods and of tests.

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
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import TIMEOUT_MAX
from typing import Any, ClassVar

from r4l.pci import config as cfg
from r4l.pci.access import GuestAccess, ModelError, ModelTimeout, Reset
from r4l.pci.capabilities import (
    Capability,
    Msi,
    Msix,
)
from r4l.pci.config import ConfigSpace
from r4l.pci.declared import shown
from r4l.pci.definition import ModelType, by_number, require_free_names, require_readable, require_sound, wrong
from r4l.pci.dma import Dma
from r4l.pci.faults import Faults
from r4l.pci.interrupts import Interrupts
from r4l.pci.layout import Bar, Layout
from r4l.pci.names import require_own_names
from r4l.pci.protocol import Irq
from r4l.pci.rings import DescriptorRing
from r4l.pci.timers import Clock, RunningTime, Timer, Timers
from r4l.pci.trace import Trace, encodable
from r4l.shortage import OwnWaits

MARGIN = 3.0
"""Seconds that a caller waits for a model beyond its patience."""


class _Held:
    """A device's lock for a caller who may have to wait, such as a test that examines a model whose method does not
    return."""

    __slots__ = ("_acquire", "_device", "_release")

    def __init__(self, device: Device) -> None:
        self._device = device
        # Asked for at each use of a register by its name.
        self._acquire, self._release = device.lock.acquire, device.lock.release

    def __enter__(self) -> None:
        if self._acquire(False):
            return
        device = self._device
        patience = -1 if device.patience is None else device.patience + MARGIN
        if not device.lock.acquire(timeout=patience):
            raise device.errors[-1] if device.errors else ModelTimeout(f"{device!r} is busy for {patience:g} s")

    def __exit__(self, *_: object) -> None:
        self._release()


class Device(GuestAccess, metaclass=ModelType):
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
        served: held while the device is behind a socket, of one machine.
        present: False once the device was pulled out; it then answers nothing.
        dead: True if a method of the model has not returned in time.
        may_master: True if the driver lets the device reach the guest's memory, and the device is in D0.
        running: start by the monotonic clock and thread of the method that runs for another cause than an access of the
            guest: a timer, a frame, a plug; None if there is none.
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

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        require_own_names(cls)
        require_sound(cls)
        tables = [one for one in cls.capabilities if isinstance(one, Msix)]
        cls.layout = Layout(cls, by_number(cls.bars), tables)
        require_free_names(cls)
        require_readable(cls)

    def __new__(cls, *_arguments: Any, **_words: Any) -> Device:
        """Set up the state of every device, whatever the model's own `__init__` does."""
        if not cls.vendor_id:
            raise wrong(cls, "", "has no vendor_id, and no guest would find it", "give it one: vendor_id = 0x1234")
        self = super().__new__(cls)
        self._set_up()
        return self

    def _set_up(self) -> None:
        self.lock = threading.RLock()
        self.held = _Held(self)
        self.served = threading.Lock()
        self.trace = Trace()
        self.errors: list[ModelError] = []
        self.waits = OwnWaits()
        self.present = self._answers = True
        self.dead = self.may_master = False
        self.address = ""
        self.running: tuple[float, int] | None = None
        self.faults = Faults(self)
        self.dma = Dma(self)
        self._timers = Timers(type(self).clock(), self._due, self.failed)
        self._values = list(self.layout.resets)
        self._memories = {name: bytearray(one.size) for name, one in self.layout.memories.items()}
        # Python changes the size of no bytearray that has a view (BufferError); the guest's accesses rely on it.
        self._views = [memoryview(one) for one in self._memories.values()]
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

        Raises:
            TypeError: the vector is no integer.
            ValueError: the model has no such vector.
        """
        with self.held:
            self._require_vector(vector)
            interrupts = self.interrupts
            if interrupts.mode is Irq.INTX:
                interrupts.wanted = self.interrupt_pin > 0
            self._interrupt(vector, self._raise)

    def lower_irq(self) -> None:
        """Let INTx go low; a message cannot be taken back."""
        with self.held:
            self.interrupts.wanted = False
            self.interrupts.set_level(False)

    def pulse(self, vector: int = 0) -> None:
        """Interrupt the guest and take INTx back at once: an interrupt for which its handler finds no reason.

        Raises:
            TypeError: the vector is no integer.
            ValueError: the model has no such vector.
        """
        with self.held:
            self._require_vector(vector)
            self._interrupt(vector, self._pulse)

    def after(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Schedule an action by the model's clock. A reset cancels it.

        Args:
            seconds: delay.
            action: a method of the model, or a function without arguments.

        Raises:
            TypeError: the delay is no number, or the action cannot be called.
            ValueError: the delay is negative, or no number of seconds.
        """
        if not isinstance(seconds, int | float) or not callable(action):
            hint = ": without parentheses, as in self.after(1, self.done)" if action is None else ""
            raise TypeError(f"after takes seconds and a method, not {shown(seconds)} and {shown(action)}{hint}")
        if not 0 <= seconds < TIMEOUT_MAX:
            raise ValueError(f"after takes seconds from 0 on, not {seconds}")
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
                self._run(partial(function, *arguments, **words))
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
        """Write a line into the trace.

        Args:
            text: the line; of any other value its text.
        """
        with self.held:
            self.trace.add("note", text=encodable(f"{text}"))

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
            self.faults.forget()
            sticky = self.layout.sticky if reason is not Reset.POWER_ON else frozenset[int]()
            for slot, value in enumerate(self.layout.resets):
                if slot not in sticky:
                    self._values[slot] = value
            self.interrupts.reset()
            self.trace.add("reset", text=reason.value)
            if reason is not Reset.ITSELF:
                self.config.reset(power_on=reason is Reset.POWER_ON)
            self._config_changed()
            self.on_reset(reason)

    def pull(self) -> None:
        """Disappear at once, like a card that was pulled out: reads return all ones, and nothing else happens any
        more."""
        with self.held:
            if self.present:
                self._timers.clear()
                self.faults.forget()
                self.interrupts.reset()
                self.present = self._answers = False
                self.trace.add("unplugged", text="pulled out")

    # -- implementation ---------------------------------------------------------------------------------------------

    def _run(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function of the model for another cause than an access of the guest. The lock is held."""
        before = self.running
        self.running = before or (time.monotonic(), threading.get_ident())
        try:
            self._guarded(function, *arguments, default=None)
        finally:
            self.running = before

    def _require_vector(self, vector: int) -> None:
        most = self.interrupts.most
        if isinstance(vector, int) and 0 <= vector < most:
            return
        if not isinstance(vector, int):
            raise TypeError(f"raise_irq takes the number of a vector, not {shown(vector)}")
        has = f"has the vectors 0 to {most - 1}" if most > 1 else "has vector 0 only" if most else "has no interrupts"
        raise ValueError(f"raise_irq takes the number of a vector, not {vector}: the model {has}")

    def _interrupt(self, vector: int, act: Callable[[int], None]) -> None:
        """Interrupt the guest with the faults applied. The lock is held."""
        if self.faults.armed and (number := self._interrupt_number(vector)) is not None:
            self.faults.interrupt(number, vector, act)
        else:
            act(vector)

    def _interrupt_number(self, vector: int) -> int | None:
        """Return the number that the trace and the faults give to an interrupt of a vector: 0 for INTx, the vector that
        is delivered for messages; None if the guest would not see another interrupt than before: INTx is high, the
        vector is pending, or nothing can be delivered.

        Args:
            vector: vector as the model has it.
        """
        interrupts = self.interrupts
        mode = interrupts.mode
        if not self.present:
            return None
        if mode is Irq.INTX:
            return None if interrupts.level or not self.interrupt_pin else 0
        if mode is Irq.MSI:
            return min(vector, interrupts.enabled(mode) - 1) if self.may_master else None
        return None if vector in interrupts.pending else vector

    def _shows_pulse(self, vector: int) -> bool:
        """Return True if the guest sees a pulse at this moment.

        Args:
            vector: vector as the model has it.
        """
        interrupts = self.interrupts
        return self._interrupt_number(vector) is not None and (interrupts.mode is not Irq.INTX or interrupts.open)

    def _raise(self, vector: int) -> None:
        number = self._interrupt_number(vector)
        interrupts = self.interrupts
        mode = interrupts.mode
        if number is None:
            if self.present and mode is Irq.INTX and not self.interrupt_pin:
                self.trace.add("refused", text=f"interrupt {vector}: no INTx, and the driver has enabled no messages")
            elif self.present and mode is Irq.MSI and not self.may_master:
                # A message is a write to memory, which Bus Master allows (PCI 3.0, 6.2.2). Only MSI-X can keep it.
                self.trace.add("refused", text=f"interrupt {vector} by MSI, and {self._no_master}")
        elif mode is Irq.INTX:
            interrupts.set_level(True)
        else:
            waits = ""
            if not self.may_master:
                waits = f" pending, and {self._no_master}"
            elif not interrupts.reaches(mode, number):
                waits = " pending"
            self.trace.add("interrupt", value=number, text=f"{mode.name}{waits}")
            interrupts.signal(mode, number)

    def _pulse(self, vector: int) -> None:
        """Interrupt the guest, and leave INTx as the model has it."""
        self._raise(vector)
        if not self.interrupts.wanted:
            self.interrupts.set_level(False)

    def _level_changed(self, level: bool) -> None:
        self.config.set_bits(cfg.STATUS, cfg.STATUS_INTERRUPT, on=level)
        if level:
            self.trace.add("interrupt", text="INTX" if self.interrupts.allowed else "INTX held back")

    def _due(self, timer: Timer) -> None:
        with self.lock:
            # The timer may have been cancelled while this thread waited for the lock.
            if timer.action is not None and self.present:
                self._run(timer.action)
                self.trace.settle()

    def plugged(self) -> None:
        """Switch power on; called when a machine has connected."""
        with self.lock:
            self.present = self._answers = True
            self.trace.add("plugged")
            self._run(self.reset, Reset.POWER_ON)
            self._run(self._connected)
            self._run(self.on_plug)

    def unplugged(self) -> None:
        """Cancel the timers; called when the machine has let go."""
        if self.dead:
            return
        with self.lock:
            self._timers.stop()
            self.faults.forget()
            self.trace.add("unplugged")
            self._run(self.on_unplug)
            self._run(self._disconnected)

    def _connected(self) -> None:
        """Take what comes with a plug; for r4l's own kinds of devices, beside the model's `on_plug`."""

    def _disconnected(self) -> None:
        """Release what came with a plug."""

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
        self._timed_out(
            f"a method of the model {type(self).__name__} has not returned for {seconds:g} s",
            "a model does not wait: it says what comes `self.after(seconds, …)`; in a debugger, patience = None",
            seconds,
            where,
        )

    def came_late(self, seconds: float, limit: float) -> None:
        """Note that a method of the model has returned after QEMU may have stopped to wait for it.

        Args:
            seconds: running time of the method.
            limit: seconds that QEMU waits.
        """
        self._timed_out(
            f"a method of the model {type(self).__name__} has returned after {seconds:.0f} s, and QEMU waits for "
            f"{limit:g} s: if the guest has accessed the device meanwhile, QEMU never speaks to it again",
            "start the machine again; in a debugger, go on earlier",
            seconds,
        )

    def _timed_out(self, cause: str, remedy: str, seconds: float, detail: str = "") -> None:
        error = ModelTimeout(cause, remedy, detail=detail)
        error.starved = self.waits.starved(seconds)
        self.errors.append(error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.vendor_id:04x}:{self.device_id:04x} {self.address or 'not plugged in'}>"
