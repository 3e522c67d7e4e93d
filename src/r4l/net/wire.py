# SPDX-License-Identifier: MIT
"""A cable whose other end is this process: it sends and receives whole Ethernet frames."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r4l.errors import BootError, GuestTimeout, UsageError
from r4l.net.cable import Cable, socket_pair
from r4l.net.impaired import Impaired
from r4l.net.pcap import Packet, PcapWriter
from r4l.net.peer import Peer

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

    What = type[ScapyPacket] | Callable[[ScapyPacket], bool]

KEPT = 1 << 16
"""Frames of the guest that wait to be looked at; the oldest go first."""
BYTES_KEPT = 64 << 20
"""The same in bytes: a frame may have 64 KiB."""
QUEUE = 1024
"""Frames that wait to be sent."""
SMALLEST, LARGEST = 60, 65536
"""Bytes of a frame without FCS: the shortest of IEEE 802.3, and more than any card takes."""
BATCH = 64
"""Frames that are read in one go, so that both directions have their turn."""

Delayed = tuple[float, int, bytes]
"""When it is due, its number, the frame."""


class Wire(Cable, Impaired):
    """A peer on the guest's cable. It answers ARP and ping by itself, so long as `peer` is there.

    Loss, duplicates and delay (`loss`, `duplicate`, `delay`) are those of the line between the card and the peer: the
    capture is taken at the card, and has a frame that is lost on its way from the guest, but none that is lost on the
    way to it.

    Args:
        pcap: file for all frames, which Wireshark's tools read; none where None.
        seed: of the line's faults.

    Attributes:
        peer: what answers the guest's frames; None for silence.
        sent, received: how many frames the card was given, and gave.
    """

    def __init__(self, pcap: Path | None = None, *, seed: int = 0) -> None:
        self._ours, theirs = socket_pair()
        Cable.__init__(self, theirs.detach())
        Impaired.__init__(self, seed)
        self._ours.setblocking(False)
        self.peer: Peer | None = Peer()
        self.sent = self.received = 0
        self._pcap = pcap
        self._writer = PcapWriter(pcap) if pcap else None
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._changed = threading.Condition()
        self._unseen: deque[Packet] = deque()
        self._unseen_bytes = self._incoming_bytes = 0
        self._outgoing: list[Delayed] = []
        self._incoming: list[Delayed] = []
        self._numbers = itertools.count()
        self._open, self._closed = True, False
        self._gone = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="r4l-wire", daemon=True)
        self._thread.start()

    # -- for tests ----------------------------------------------------------------------------------------------

    def send(self, frame: ScapyPacket | bytes, timeout: float = 10.0) -> None:
        """Send a frame to the guest: a packet of scapy's from `Ether` on, or its bytes, without FCS.

        A frame of less than 60 bytes is padded with zeros, as every card does. The call comes back when the frame has
        a place in the queue; `flush` waits until the card has it.

        Raises:
            GuestTimeout: the queue is full, and the card takes nothing.
            BootError: the VM has ended.
        """
        data = bytes(frame)
        if not 14 <= len(data) <= LARGEST:
            raise UsageError(f"{len(data)} bytes make no Ethernet frame", f"send 14 to {LARGEST}, from the header on")
        with self._changed:
            self._wait(lambda: len(self._outgoing) < QUEUE, timeout)
            self._queue(data)

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until QEMU has taken all frames that were sent.

        Raises: as `send`.
        """
        with self._changed:
            self._wait(lambda: not self._outgoing, timeout)

    def expect(self, what: What | None = None, timeout: float = 10.0) -> ScapyPacket:
        """The guest's next frame that fits. It and all before it count as looked at.

        Args:
            what: a layer of scapy's (`ARP`), or a function that is true for a packet; any frame fits None.
            timeout: seconds.

        Raises:
            GuestTimeout: none came; holds a line for each frame that did.
        """
        until = time.monotonic() + timeout
        others: list[str] = []
        while True:
            packet = self._next(until)
            if packet is None:
                detail = "\n".join(others[-20:]) or "the guest sent nothing at all"
                raise GuestTimeout(f"no frame that fits came from the guest within {timeout:g} s", detail=detail)
            dissected = packet.scapy()
            if _fits(dissected, what):
                return dissected
            others.append(dissected.summary())

    def sniff(self, what: What | None = None) -> list[ScapyPacket]:
        """The guest's frames that nobody has looked at yet and that fit, without waiting for more. See `expect`."""
        dissected = [packet.scapy() for packet in self.frames()]
        return [packet for packet in dissected if _fits(packet, what)]

    def frames(self) -> list[Packet]:
        """The same as they came, not dissected."""
        with self._changed:
            frames = list(self._unseen)
            self._unseen.clear()
            self._unseen_bytes = 0
        return frames

    @property
    def pcap(self) -> Path:
        """The file with all frames of both directions until now.

        Raises:
            UsageError: there is none.
        """
        if self._pcap is None:
            raise UsageError("this wire keeps no capture", "have one: Nic(capture=True), or Wire(pcap=PATH)")
        self.save()
        return self._pcap

    @property
    def uncaptured(self) -> int:
        """How many frames the capture lacks, because it was full."""
        return self._writer.dropped if self._writer else 0

    def save(self) -> None:
        """Have all frames until now in the file, if the wire keeps one."""
        with self._changed:
            if self._writer and not self._closed:
                self._writer.flush()

    def close(self) -> None:
        """Pull the cable out for good."""
        with self._changed:
            if self._closed:
                return
            self._closed, self._open = True, False
            os.eventfd_write(self._wake, 1)
        self._thread.join()
        super().close()
        self._ours.close()
        os.close(self._wake)
        if self._writer:
            self._writer.close()

    # -- what they stand on -------------------------------------------------------------------------------------

    def _wait(self, done: Callable[[], bool], timeout: float) -> None:
        """Wait with the lock held; raise where it does not come."""
        over = self._changed.wait_for(lambda: done() or self._gone or not self._open, timeout)
        self._raise_failure()
        if self._gone or not self._open:
            raise BootError("the VM at the other end of the wire has ended")
        if not over:
            raise GuestTimeout(
                f"the card has taken no frame for {timeout:g} s",
                "is its driver loaded and its interface up?",
            )

    def _next(self, until: float) -> Packet | None:
        with self._changed:
            self._changed.wait_for(lambda: self._unseen or not self._open, max(0.0, until - time.monotonic()))
            if self._unseen:
                return self._oldest()
            self._raise_failure()
            return None

    def _raise_failure(self) -> None:
        """What the thread died of is told to whoever waits for it."""
        if self._failure:
            raise self._failure

    def _queue(self, data: bytes) -> None:
        """Put a frame on its way to the guest, with the lock held."""
        data = data.ljust(SMALLEST, b"\0")
        for _ in range(self._copies(self._to_guest)):
            heapq.heappush(self._outgoing, (time.monotonic() + self.delay, next(self._numbers), data))
        os.eventfd_write(self._wake, 1)

    # -- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 (raised in whoever waits: a peer of the test's own can raise anything)
            with self._changed:
                self._failure, self._open = error, False
                self._changed.notify_all()

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        while self._open:
            with self._changed:
                now = time.monotonic()
                due = bool(self._outgoing) and self._outgoing[0][0] <= now
                # What is due waits for the socket; the rest waits for its time.
                pending = [queue[0][0] for queue in (self._incoming, () if due else self._outgoing) if queue]
            if not self._gone:
                poll.register(self._ours, select.POLLIN | (select.POLLOUT if due else 0))
            poll.poll(max(0.0, min(pending) - now) * 1000 if pending else None)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            with self._changed:
                if not self._gone:
                    self._receive()
                self._deliver()
                self._transmit()
                if self._gone:
                    # Its end is closed: poll would report that for ever.
                    with contextlib.suppress(KeyError):
                        poll.unregister(self._ours)
                self._changed.notify_all()

    def _receive(self) -> None:
        """Read what the guest has sent."""
        for _ in range(BATCH):
            try:
                data = self._ours.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                self._gone = True
                return
            self.received += 1
            self._record(data)
            for _ in range(self._copies(self._from_guest)):
                if len(self._incoming) < KEPT and self._incoming_bytes < BYTES_KEPT:
                    self._incoming_bytes += len(data)
                    heapq.heappush(self._incoming, (time.monotonic() + self.delay, next(self._numbers), data))

    def _oldest(self) -> Packet:
        """Take the frame that has waited longest to be looked at."""
        packet = self._unseen.popleft()
        self._unseen_bytes -= len(packet.data)
        return packet

    def _deliver(self) -> None:
        """Give the peer and the test what has come all the way."""
        while self._incoming and self._incoming[0][0] <= time.monotonic():
            *_, data = heapq.heappop(self._incoming)
            self._incoming_bytes -= len(data)
            self._unseen.append(Packet(time.time(), data, len(data)))
            self._unseen_bytes += len(data)
            while len(self._unseen) > KEPT or self._unseen_bytes > BYTES_KEPT:
                self._oldest()
            for answer in self.peer.answer(data) if self.peer else ():
                # A host whose queue is full drops its answer, too.
                if len(self._outgoing) < QUEUE:
                    self._queue(answer)

    def _transmit(self) -> None:
        """Give the card what is due."""
        while self._outgoing and self._outgoing[0][0] <= time.monotonic():
            *_, data = self._outgoing[0]
            try:
                self._ours.send(data)
            except BlockingIOError:
                return
            except OSError:
                self._gone = True
                self._outgoing.clear()
                return
            heapq.heappop(self._outgoing)
            self.sent += 1
            self._record(data)

    def _record(self, data: bytes) -> None:
        if self._writer:
            self._writer.write(Packet(time.time(), data, len(data)))


def _fits(packet: Any, what: What | None) -> bool:
    if what is None:
        return True
    return what in packet if isinstance(what, type) else bool(what(packet))
