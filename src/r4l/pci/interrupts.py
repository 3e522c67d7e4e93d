# SPDX-License-Identifier: MIT
"""A device's interrupts: INTx by its level, MSI and MSI-X by vectors, each through an eventfd of QEMU.

INTx is automasked (VFIO): QEMU masks it once it was signalled, and unmasks it after the guest's next access to the
device; a level that is still high is then signalled again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from r4l.pci.protocol import IRQ_ACTION, IRQ_DATA, Irq, IrqSet, Refused

EVENTFD = "anon_inode:[eventfd]"
"""Name of an eventfd in /proc (proc(5))."""


class Interrupts:
    """The interrupt lines of one device, and the eventfds that they are wired to.

    Args:
        counts: number of interrupts of each type.
        on_level: called with the new level after each change of INTx.

    Attributes:
        counts: number of interrupts of each type.
        mode: type of interrupt that the guest has enabled.
        level: level of INTx on the line.
        wanted: level of INTx as the model has it. A fault can keep it from the line.
        allowed: True if the guest lets INTx through (Interrupt Disable in Command is 0).
        messages: True if the device may write to memory, as messages do.
        msix: True if the guest has enabled MSI-X, perhaps with all vectors masked, so that none has an eventfd.
        pending: vectors of MSI-X that were raised while they had no eventfd, or the device could not send them.
    """

    def __init__(self, counts: Mapping[Irq, int], on_level: Callable[[bool], None]) -> None:
        self.counts = dict(counts)
        self.level = self.wanted = False
        self.allowed = True
        self.messages = False
        self.msix = False
        self.pending: set[int] = set()
        self._on_level = on_level
        self._masked = False
        self._fds: dict[Irq, dict[int, int]] = {irq: {} for irq in self.counts}
        self._any = max(self.counts.values())
        self.mode = Irq.INTX

    def _choose(self) -> None:
        """Set the mode, which is asked for at each interrupt."""
        if self.msix or self._fds[Irq.MSIX]:
            self.mode = Irq.MSIX
        else:
            self.mode = Irq.MSI if self._fds[Irq.MSI] else Irq.INTX

    @property
    def most(self) -> int:
        """Number of vectors that a model can raise now. Without MSI-X, an interrupt of any vector that it has is INTx,
        or the last message that is enabled."""
        return self.counts[Irq.MSIX] if self.mode is Irq.MSIX else self._any

    def enabled(self, irq: Irq) -> int:
        """Return the number of wired vectors of a type."""
        return len(self._fds[irq])

    def reaches(self, irq: Irq, vector: int) -> bool:
        """Return True if a vector has an eventfd: the guest has enabled it, and it is not masked."""
        return vector in self._fds[irq]

    def signal(self, irq: Irq, vector: int) -> bool:
        """Write to a vector's eventfd; return True if it has one, and can be signalled now."""
        fd = self._fds.get(irq, {}).get(vector)
        if fd is None or not (self.messages or irq is Irq.INTX):
            if irq is Irq.MSIX:
                self.pending.add(vector)
            return False
        with contextlib.suppress(BlockingIOError):
            # Raised so often that its counter is full: the interrupt is pending anyway.
            os.eventfd_write(fd, 1)
        return True

    @property
    def open(self) -> bool:
        """True if INTx is signalled when it goes high: it is enabled, and not masked since it was last signalled."""
        return self.allowed and not self._masked

    def set_level(self, level: bool) -> None:
        """Drive INTx."""
        if level != self.level:
            self.level = level
            self._on_level(level)
        self.deliver()

    def deliver(self) -> None:
        """Signal what waited: INTx if it is high, enabled, and not masked since it was last signalled; pending vectors
        that have an eventfd."""
        if self.level and self.open and self.signal(Irq.INTX, 0):
            self._masked = True
        if self.pending and self.messages:
            for vector in self.pending & self._fds[Irq.MSIX].keys():
                self.pending.discard(vector)
                self.signal(Irq.MSIX, vector)

    def set(self, index: int, flags: int, start: int, count: int, booleans: bytes, fds: list[int]) -> None:
        """Handle DEVICE_SET_IRQS.

        Args:
            index: type of interrupt.
            flags: `IrqSet`s.
            start: first vector.
            count: number of vectors.
            booleans: with DATA_BOOL a byte for each vector.
            fds: descriptors; those that are kept are removed from the list.

        Raises:
            Refused: the device has no such vectors, or the flags are invalid.
        """
        have = self.counts.get(Irq(index), 0) if index in self.counts else 0
        # A count of 0 is VFIO's way to switch a type off.
        if start + count > have:
            raise Refused(errno.EINVAL, f"interrupts {start} to {start + count} of type {index}, which has {have}")
        irq = Irq(index)
        data, action = IrqSet(flags) & IRQ_DATA, IrqSet(flags) & IRQ_ACTION
        if flags & ~(IRQ_DATA | IRQ_ACTION) or data.bit_count() != 1 or action.bit_count() != 1:
            raise Refused(errno.EINVAL, f"flags {flags:#x} of an interrupt")
        if data is IrqSet.DATA_EVENTFD:
            self._wire(irq, action, start, count, fds)
            return
        if data is IrqSet.DATA_NONE and action is IrqSet.TRIGGER and count == 0:
            self.unwire(irq)
            return
        if data is IrqSet.DATA_BOOL and len(booleans) < count:
            raise Refused(errno.EINVAL, f"{len(booleans)} booleans for {count} interrupts")
        for vector in range(start, start + count):
            if data is IrqSet.DATA_NONE or booleans[vector - start]:
                self._act(irq, action, vector)

    def _act(self, irq: Irq, action: IrqSet, vector: int) -> None:
        if action is IrqSet.TRIGGER:
            self.signal(irq, vector)
        elif irq is Irq.INTX:
            self._masked = action is IrqSet.MASK
            self.deliver()

    def _wire(self, irq: Irq, action: IrqSet, start: int, count: int, fds: list[int]) -> None:
        if action is not IrqSet.TRIGGER:
            # QEMU asks for this under KVM only, to save a message, and does without it after a refusal.
            raise Refused(errno.ENOTSUP, "masking by eventfd")
        if fds and len(fds) != count:
            raise Refused(errno.EINVAL, f"{len(fds)} eventfds for {count} interrupts")
        if any(str(Path(f"/proc/self/fd/{fd}").readlink()) != EVENTFD for fd in fds):
            raise Refused(errno.EINVAL, "the descriptor for an interrupt is not an eventfd")
        for vector in range(start, start + count):
            if (old := self._fds[irq].pop(vector, None)) is not None:
                os.close(old)
            if fds:
                fd = fds.pop(0)
                # A blocking eventfd would stop the device when its counter is full.
                os.set_blocking(fd, False)
                self._fds[irq][vector] = fd
        self._choose()
        if irq is Irq.INTX:
            self._masked = False
        self.deliver()

    def unwire(self, irq: Irq) -> None:
        """Forget the eventfds of a type."""
        for fd in self._fds[irq].values():
            os.close(fd)
        self._fds[irq].clear()
        self._choose()
        if irq is Irq.INTX:
            self._masked = False
        elif irq is Irq.MSIX and not self.msix:
            # QEMU forgets all vectors and wires them anew where it needs a further one (hw/vfio/pci.c,
            # vfio_msix_vector_do_use, for a device that cannot resize): what was raised before waits.
            self.pending.clear()

    def enable_msix(self, enabled: bool) -> None:
        """Note that the guest has enabled MSI-X or disabled it, after which nothing is pending any more."""
        self.msix = enabled
        self._choose()
        if not enabled and not self._fds[Irq.MSIX]:
            self.pending.clear()

    def reset(self) -> None:
        """Set the lines low and drop pending interrupts; the wiring stays."""
        self.pending.clear()
        self.wanted = False
        self.set_level(False)

    def close(self) -> None:
        """Forget all eventfds."""
        self.pending.clear()
        for irq in self._fds:
            self.unwire(irq)
