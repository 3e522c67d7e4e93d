# SPDX-License-Identifier: MIT
"""A connection to QEMU: its requests about a device, answered from a model.

QEMU relies on this: a write is answered before it takes effect, a request that wants no answer gets none, requests are
done in order. Every request is answered, whatever the model does: a QEMU that waits for an answer stands still, and its
monitor, too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable

from r4l.pci import channel as channels
from r4l.pci.access import Reset
from r4l.pci.channel import MessageSocket
from r4l.pci.description import IRQ_FLAGS, DeviceDescription
from r4l.pci.device import Device
from r4l.pci.dma import DmaFault
from r4l.pci.protocol import (
    DMA_ACCESS,
    DMA_MAP,
    DMA_UNMAP,
    ERROR,
    IRQ_SET,
    MAX_TRANSFER,
    NO_REPLY,
    REGION_ACCESS,
    REPLY,
    TYPE,
    UNMAP_ALL,
    Command,
    Message,
    Refused,
    Region,
    StreamBroken,
    payload_values,
)
from r4l.threads import guarded

ANSWER = 10.0
"""Seconds that QEMU has for an answer to a DMA message."""
QEMU_WAITS = 600.0
"""Seconds that QEMU waits for an answer (`x-msg-timeout`). A later one ends the connection for good: QEMU takes it for
an unexpected reply and closes its socket (hw/vfio-user/proxy.c, vfio_user_recv_one)."""
ABOUT = (Command.VERSION, Command.DEVICE_GET_INFO, Command.DEVICE_GET_REGION_INFO, Command.DEVICE_GET_IRQ_INFO)
"""Questions about the device's description, which QEMU needs; no method of the model answers them."""
# Plain integers: these are asked for at each access, and an enumeration's member costs as much as a look into a table.
CONFIG, ACCESS = int(Region.CONFIG), REGION_ACCESS.size
VERSION = int(Command.VERSION)
OWNER = re.compile(r"\bowner=([1-9]\d*)")
"""Thread that has a `threading.RLock`, in its text."""
SIZES = (1, 2, 4, 8)
"""Sizes in bytes of a CPU's accesses to a BAR."""


def where_held(device: Device, thread: int) -> str:
    """Return the present place of the thread that has a device's lock, as a traceback of Python; empty if it has ended.

    An access can wait for the lock while a test is in a method of the model that it has called by itself.

    Args:
        device: the device.
        thread: the thread that would have the lock otherwise.
    """
    # No method of a lock names its owner.
    owner = OWNER.search(repr(device.lock))
    frame = sys._current_frames().get(int(owner[1]) if owner else thread)
    return "".join(traceback.format_stack(frame)) if frame else ""


class Connection:
    """A connection to one QEMU, from its first message until it lets go.

    Args:
        device: device to serve.
        channel: connection to QEMU, closed with this.
    """

    def __init__(self, device: Device, channel: MessageSocket) -> None:
        self._device, self._channel = device, channel
        self._agreed = False
        self._owner = 0
        self._dead = False
        # The message in work: start time, message, thread; below it, True while its sender waits.
        self._busy: tuple[float, Message, int] | None = None
        self._waited = False
        self._handover = threading.Lock()
        # This server's own requests that wait for an answer.
        self._asked: dict[int, Message | None] = {}
        self._next_id = 0
        self._answered = threading.Condition(device.lock)
        self._description = DeviceDescription(device)
        self._sizes = self._description.sizes
        self._handlers: dict[int, Callable[[Message], bytes | None]] = {
            Command.VERSION: self._version,
            Command.DMA_MAP: self._dma_map,
            Command.DMA_UNMAP: self._dma_unmap,
            Command.DEVICE_GET_INFO: self._description.info,
            Command.DEVICE_GET_REGION_INFO: self._description.region_info,
            Command.DEVICE_GET_IRQ_INFO: self._description.irq_info,
            Command.DEVICE_SET_IRQS: self._set_irqs,
            Command.REGION_READ: self._region_read,
            Command.REGION_WRITE: self._region_write,
            Command.DEVICE_RESET: self._reset,
        }

    # -- the loop -----------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer messages until QEMU is gone."""
        with self._handover:
            if self._dead:
                # The model was given up while the device was plugged in, and another thread answers.
                return
            self._owner = threading.get_ident()
        self._device.dma.messages = self
        self._serve()

    def _serve(self) -> None:
        me = self._owner = threading.get_ident()
        with contextlib.suppress(OSError):
            try:
                while self._owner == me and (message := self._channel.receive()) is not None:
                    self._take(message)
            except StreamBroken as problem:
                self._device.trace.add("refused", text=f"the connection was ended: {problem}")
        if self._owner == me:
            self._over()

    def _over(self) -> None:
        device = self._device
        self._channel.close()
        if self._dead:
            # A method of the model holds the lock, and keeps it.
            return
        with device.lock:
            device.dma.messages = None
            device.dma.unmap_all()
            device.interrupts.close()
            self._answered.notify_all()

    def shut(self) -> None:
        """End the connection."""
        self._channel.shut()

    def _take(self, message: Message) -> None:
        try:
            if message.flags & TYPE == REPLY:
                self._take_answer(message)
            elif message.flags & TYPE:
                self._refuse(message, Refused(errno.EINVAL, f"a message of the type {message.flags & TYPE}"))
            else:
                self._answer(message)
        finally:
            if message.fds:
                channels.close(message.fds)

    def _answer(self, message: Message) -> None:
        command = message.command
        handler = self._handlers.get(command)
        try:
            if handler is None:
                raise self._unknown(command)
            if not self._agreed and command != VERSION:
                raise Refused(errno.EPROTO, "a command before the version was agreed on")
            reply = self._work(handler, message)
        except Refused as problem:
            self._refuse(message, problem)
            return
        if reply is not None and not message.flags & NO_REPLY:
            self._channel.send(message.id, command, reply)

    def _acknowledge(self, message: Message) -> None:
        """Answer a write, which takes effect afterwards. A QEMU that reads nothing holds up this thread here, and does
        not make a method of the model late."""
        with self._handover:
            self._busy = None
        # A QEMU that is gone has nothing against it: its write was complete, and the next `receive` finds its end.
        with contextlib.suppress(OSError):
            self._channel.send(message.id, message.command, message.payload[:ACCESS])
        with self._handover:
            self._busy, self._waited = (time.monotonic(), message, threading.get_ident()), False

    @staticmethod
    def _unknown(command: int) -> Refused:
        if command == channels.OVERSIZED:
            return Refused(errno.EMSGSIZE, "a message that is too long")
        return Refused(errno.ENOSYS, f"the command {command}")

    def _work(self, handler: Callable[[Message], bytes | None], message: Message) -> bytes | None:
        """Do the work of a message; return its answer, or None if it has one already.

        Raises:
            Refused: the message cannot be done.
        """
        me = threading.get_ident()
        with self._handover:
            if self._dead:
                return self._answer_dead(message)
            before = self._busy, self._waited
            self._waited = not message.flags & NO_REPLY
            self._busy = (time.monotonic(), message, me)
        problem = reply = None
        try:
            with self._device.lock:
                reply = handler(message)
        except Refused as refused:
            problem = refused
        except Exception as error:  # noqa: BLE001 (whatever is wrong here, QEMU is not to wait for ever)
            self._device.failed(error)
            problem = Refused(errno.EIO, f"{type(error).__name__} in r4l itself")
        with self._handover:
            if self._owner != me:
                # This thread was given up while a method of the model ran, and another thread has answered.
                return None
            took = time.monotonic() - self._busy[0] if self._busy else 0.0
            answered = not self._waited and not message.flags & NO_REPLY
            self._busy, self._waited = before
        if took > QEMU_WAITS:
            self._device.came_late(took, QEMU_WAITS)
        if problem and answered:
            # QEMU closes its end for good at a second answer (`QEMU_WAITS`).
            self._device.trace.add("refused", text=str(problem))
            return None
        if problem:
            raise problem
        return reply

    def _refuse(self, message: Message, problem: Refused) -> None:
        self._device.trace.add("refused", text=str(problem))
        if not message.flags & NO_REPLY:
            self._channel.refuse(message, problem.errno)

    # -- a model that does not return -----------------------------------------------------------------------------

    def check_patience(self) -> None:
        """Give up a method that has run for longer than the model's patience: QEMU is answered, the device is dead."""
        device = self._device
        patience = device.patience
        with self._handover:
            running, busy, waited = self.running(), self._busy, self._waited
            if running is None or patience is None or time.monotonic() - running[0] < patience:
                return
            if self._dead or self._asked:
                return
            self._dead = True
            # The thread that takes messages is held up by the method, unless it waits for the next message.
            held_up = busy is not None or not self._owner
            if held_up:
                self._owner = 0
        device.give_up(patience, where_held(device, running[1]))
        if busy and waited:
            with contextlib.suppress(OSError):
                self._channel.send(busy[1].id, busy[1].command, self._answer_dead(busy[1]))
        if held_up:
            threading.Thread(target=guarded(self._serve, self._device.failed), name="r4l-pci-dead", daemon=True).start()

    def running(self) -> tuple[float, int] | None:
        """Return the start and the thread of the model's method that has the lock; None if none runs."""
        if running := self._device.running:
            return running
        busy = self._busy
        return (busy[0], busy[2]) if busy else None

    def _answer_dead(self, message: Message) -> bytes:
        """Return the answer of a dead device: all ones for reads, without a call of the model."""
        if message.command in ABOUT:
            return self._handlers[message.command](message) or b""
        if message.command == Command.REGION_READ:
            offset, region, count = payload_values(REGION_ACCESS, message)
            if count > MAX_TRANSFER:
                raise Refused(errno.E2BIG, f"a read of {count} bytes")
            return REGION_ACCESS.pack(offset, region, count) + b"\xff" * count
        if message.command == Command.REGION_WRITE:
            return message.payload[: REGION_ACCESS.size]
        return message.payload if message.command == Command.DMA_UNMAP else b""

    # -- memory by messages (`r4l.pci.dma.Messages`) ----------------------------------------------------------------

    def dma_read(self, address: int, count: int) -> bytes:
        """Return bytes of the guest's memory, from QEMU."""
        data = self._ask(Command.DMA_READ, DMA_ACCESS.pack(address, count))[DMA_ACCESS.size :]
        if len(data) != count:
            raise DmaFault(f"QEMU gave {len(data)} of {count} bytes at {address:#x}")
        return data

    def dma_write(self, address: int, data: bytes) -> None:
        """Have QEMU change bytes of the guest's memory."""
        self._ask(Command.DMA_WRITE, DMA_ACCESS.pack(address, len(data)) + data)

    def _ask(self, command: Command, payload: bytes) -> bytes:
        """Send a request and wait for the answer; other requests are done meanwhile.

        Raises:
            DmaFault: QEMU refuses, is gone, or waits for this device at this moment.
        """
        mine = threading.get_ident() == self._owner
        if mine and self._waited:
            raise DmaFault(
                "memory that is reached by messages only, while the guest's CPU waits for this device: QEMU would wait "
                "for us and we for it. Do it later: `self.after(0, …)`"
            )
        number = self._next_id = (self._next_id + 1) & 0xFFFF
        self._asked[number] = None
        try:
            self._channel.send(number, command, payload, flags=0)
            until = time.monotonic() + ANSWER
            while (answer := self._asked[number]) is None:
                if mine:
                    message = self._channel.receive()
                    if message is None:
                        raise DmaFault("QEMU is gone")
                    self._take(message)
                elif not self._answered.wait(until - time.monotonic()) or self._device.dma.messages is None:
                    raise DmaFault("QEMU does not answer")
        except (OSError, StreamBroken) as error:
            raise DmaFault(f"the connection to QEMU broke: {error}") from error
        finally:
            del self._asked[number]
        if answer.flags & ERROR:
            raise DmaFault(f"QEMU refuses {command.name}: {os.strerror(answer.error)}")
        return answer.payload

    def _take_answer(self, message: Message) -> None:
        if self._dead or self._asked.get(message.id, message) is not None:
            self._device.trace.add("refused", text=f"an answer to no request of ours ({message.id})")
            return
        with self._device.lock:
            self._asked[message.id] = message
            self._answered.notify_all()

    # -- commands, by the numbers of their messages ---------------------------------------------------------------

    def _access(self, message: Message) -> tuple[int, int, int]:
        """Return offset, region and bytes of an access, which is inside a region and of a size that a CPU uses.

        Raises:
            Refused: it is not.
        """
        if len(message.payload) < ACCESS:
            raise Refused(errno.EINVAL, f"{Command(message.command).name} of {len(message.payload)} bytes")
        offset, region, count = REGION_ACCESS.unpack_from(message.payload)
        size = self._sizes.get(region, 0)
        if not size or offset + count > size or (region != CONFIG and count not in SIZES):
            raise Refused(
                errno.EINVAL, f"an access of {count} bytes at {offset:#x} of region {region}, which has {size:#x}"
            )
        return offset, region, count

    def _version(self, message: Message) -> bytes:
        answer = self._description.version(message)
        self._agreed = True
        return answer

    def _set_irqs(self, message: Message) -> bytes:
        _, flags, index, start, count = payload_values(IRQ_SET, message)
        if index not in IRQ_FLAGS:
            raise Refused(errno.EINVAL, f"interrupts of the type {index}")
        self._device.interrupts.set(index, flags, start, count, message.payload[IRQ_SET.size :], message.fds)
        return b""

    def _dma_map(self, message: Message) -> bytes:
        _, flags, offset, address, size = payload_values(DMA_MAP, message)
        self._device.dma.map(address, size, flags, offset, message.fds)
        return b""

    def _dma_unmap(self, message: Message) -> bytes:
        _, flags, address, size = payload_values(DMA_UNMAP, message)
        if flags & UNMAP_ALL:
            self._device.dma.unmap_all()
        else:
            self._device.dma.unmap(address, size)
        return message.payload[: DMA_UNMAP.size]

    def _reset(self, _message: Message) -> bytes:
        self._device._guarded(self._device.reset, Reset.BUS, default=None)
        return b""

    def _region_read(self, message: Message) -> bytes:
        offset, region, count = self._access(message)
        if region == CONFIG:
            data = self._device.config_read(offset, count)
        else:
            data = self._device.bar_read(region, offset, count).to_bytes(count, "little")
        return message.payload[:ACCESS] + data

    def _region_write(self, message: Message) -> None:
        offset, region, count = self._access(message)
        data = message.payload[ACCESS:]
        if len(data) != count:
            raise Refused(errno.EINVAL, f"a write of {count} bytes with {len(data)}")
        if self._waited:
            self._acknowledge(message)
        if region == CONFIG:
            self._device.config_write(offset, data)
        else:
            self._device.bar_write(region, offset, count, int.from_bytes(data, "little"))
