# SPDX-License-Identifier: MIT
"""A cable whose other end is this process, which sends and receives whole Ethernet frames."""

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
from r4l.threads import guarded

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

    What = type[ScapyPacket] | Callable[[ScapyPacket], bool]

KEPT = 1 << 16
"""Frames of the guest kept for the test; beyond that the oldest are dropped."""
BYTES_KEPT = 64 << 20
"""Bytes of these frames; a frame may have 64 KiB."""
QUEUE = 1024
"""Frames queued for sending."""
SMALLEST, LARGEST = 60, 65536
"""Bytes of a frame without FCS: the shortest of IEEE 802.3, and more than any card takes."""
BATCH = 64
"""Frames read in one go, so that both directions get their turn."""
SHOWN = 20
"""Frames that the error for a missing one lists."""

Delayed = tuple[float, int, bytes]
"""Due time (monotonic seconds), sequence number, frame."""


class Wire(Cable, Impaired):
    """A peer on the guest's cable. It answers ARP and ping by itself while `peer` is set.

    Loss, duplicates and delay (`loss`, `duplicate`, `delay`) apply between the card and the peer. The capture is taken
    at the card: it includes frames lost on their way from the guest, and excludes frames lost on their way to the
    guest.

    Args:
        pcap: file for a capture of all frames; None for no capture.
        seed: of the line's faults.

    Attributes:
        peer: answers the guest's frames; None for silence.
        sent, received: number of frames given to the card and taken from it.
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
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=guarded(self._serve, self._failed), name="r4l-wire", daemon=True)
        self._thread.start()

    # -- for tests ----------------------------------------------------------------------------------------------

    def send(self, frame: ScapyPacket | bytes, timeout: float = 10.0) -> None:
        """Send a frame to the guest: a scapy packet from `Ether` on, or its bytes, without FCS.

        A frame below 60 bytes is padded with zeros, as by every card. The call returns when the frame is queued;
        `flush` waits until the card has it.

        Raises:
            UsageError: the frame has fewer than 14 or more than 65,536 bytes.
            GuestTimeout: the queue is full and the card takes no frames.
            BootError: the VM has ended.
        """
        data = bytes(frame)
        if not 14 <= len(data) <= LARGEST:
            raise UsageError(
                f"{len(data)} bytes are not an Ethernet frame", f"send 14 to {LARGEST}, from the header on"
            )
        with self._changed:
            self._wait(lambda: len(self._outgoing) < QUEUE, timeout)
            self._queue(data)

    def flush(self, timeout: float = 10.0) -> None:
        """Wait until QEMU has taken all frames that were sent.

        Raises:
            GuestTimeout, BootError: as for `send`.
        """
        with self._changed:
            self._wait(lambda: not self._outgoing, timeout)

    def expect(self, what: What | None = None, timeout: float = 10.0) -> ScapyPacket:
        """Return the guest's next matching frame. That frame and all before it count as seen.

        Args:
            what: a scapy layer (`ARP`), or a function that is true for a packet; None matches any frame.
            timeout: seconds. Frames that came in this time count even if they are dissected later.

        Raises:
            GuestTimeout: no frame matched; the error lists the frames that came.
        """
        until = time.monotonic() + timeout
        others: deque[str] = deque(maxlen=SHOWN)
        # A guest may send frames faster than they are dissected: those that come later would be looked at for ever.
        left: int | None = None
        while left != 0:
            if left is None and time.monotonic() >= until:
                left = len(self._unseen)
            packet = self._next(until)
            if packet is None:
                break
            left = left and left - 1
            dissected = packet.scapy()
            if _fits(dissected, what):
                return dissected
            others.append(dissected.summary())
        detail = "\n".join(others) or "the guest sent no frame at all"
        raise GuestTimeout(f"no matching frame came from the guest within {timeout:g} s", detail=detail)

    def sniff(self, what: What | None = None) -> list[ScapyPacket]:
        """Return the guest's unseen frames that match, without waiting for more. See `expect`."""
        dissected = [packet.scapy() for packet in self.frames()]
        return [packet for packet in dissected if _fits(packet, what)]

    def frames(self) -> list[Packet]:
        """Return the guest's unseen frames, not dissected."""
        with self._changed:
            frames = list(self._unseen)
            self._unseen.clear()
            self._unseen_bytes = 0
        return frames

    @property
    def pcap(self) -> Path:
        """File with all frames of both directions until now.

        Raises:
            UsageError: the wire has no capture.
        """
        if self._pcap is None:
            raise UsageError("this wire has no capture", "use Nic(capture=True), or Wire(pcap=PATH)")
        self.save()
        return self._pcap

    @property
    def uncaptured(self) -> int:
        """Number of frames missing from the capture because it was full."""
        return self._writer.dropped if self._writer else 0

    def save(self) -> None:
        """Flush all frames until now to the capture, if there is one."""
        with self._changed:
            if self._writer and not self._closed:
                self._writer.flush()

    def close(self) -> None:
        """Disconnect the cable for good."""
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

    # -- internals ----------------------------------------------------------------------------------------------

    def _wait(self, done: Callable[[], bool], timeout: float) -> None:
        """Wait for a condition with the lock held; raise an error if it does not become true in time."""
        over = self._changed.wait_for(lambda: done() or self._gone or not self._open, timeout)
        self._raise_failure()
        if self._gone or not self._open:
            raise BootError("the VM at the other end of the wire has ended")
        if not over:
            raise GuestTimeout(
                f"the card has taken no frame for {timeout:g} s",
                "check that its driver is loaded and its interface is up",
            )

    def _next(self, until: float) -> Packet | None:
        with self._changed:
            self._changed.wait_for(lambda: self._unseen or not self._open, max(0.0, until - time.monotonic()))
            if self._unseen:
                return self._oldest()
            self._raise_failure()
            return None

    def _raise_failure(self) -> None:
        """Raise the exception that ended the thread, if there is one."""
        if self._failure:
            raise self._failure

    def _queue(self, data: bytes) -> None:
        """Queue a frame for the guest. The caller holds the lock."""
        data = data.ljust(SMALLEST, b"\0")
        for _ in range(self._copies(self._to_guest)):
            heapq.heappush(self._outgoing, (time.monotonic() + self.delay, next(self._numbers), data))
        os.eventfd_write(self._wake, 1)

    # -- the thread ---------------------------------------------------------------------------------------------

    def _failed(self, error: BaseException) -> None:
        # A peer of the test's own can raise anything.
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
                # Frames that are due wait for the socket; later ones wait for their time.
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
                    # The other end is closed: poll would report that forever.
                    with contextlib.suppress(KeyError):
                        poll.unregister(self._ours)
                self._changed.notify_all()

    def _receive(self) -> None:
        """Read the guest's frames from the socket."""
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
        """Remove and return the oldest unseen frame."""
        packet = self._unseen.popleft()
        self._unseen_bytes -= len(packet.data)
        return packet

    def _deliver(self) -> None:
        """Deliver frames that are due to the peer and to the test."""
        while self._incoming and self._incoming[0][0] <= time.monotonic():
            *_, data = heapq.heappop(self._incoming)
            self._incoming_bytes -= len(data)
            self._unseen.append(Packet(time.time(), data, len(data)))
            self._unseen_bytes += len(data)
            while len(self._unseen) > KEPT or self._unseen_bytes > BYTES_KEPT:
                self._oldest()
            for answer in self.peer.answer(data) if self.peer else ():
                # A real host with a full queue drops its answer too.
                if len(self._outgoing) < QUEUE:
                    self._queue(answer)

    def _transmit(self) -> None:
        """Send the frames that are due to the card."""
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
