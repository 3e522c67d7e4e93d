# SPDX-License-Identifier: MIT
"""A network card written in Python: a device with a cable."""

from __future__ import annotations

from collections.abc import Sequence

from r4l.net import Cable, Wire
from r4l.net.nic import FIRST_MAC, mac_address
from r4l.pci.buffers import as_bytes
from r4l.pci.device import Device
from r4l.pci.line import Line

TRACED = 128
"""Number of bytes of a frame that the trace keeps: the headers."""


class NetworkCard(Device):
    """A network card. Subclasses are models, whose `receive` gets the frames of the cable.

    A model that defines `__init__` takes the same arguments, and passes them on.

    Args:
        mac: address of the card.
        cable: the cable in its socket; None: a `Wire` of its own, as `wire`, which answers ARP and ping.

    Attributes:
        mac: the address, six bytes.
        wire: the test's end of the card's own cable; None if another was given, or before the card is plugged in.

    Raises:
        UsageError: the address is none.
    """

    def __init__(self, mac: str = FIRST_MAC, *, cable: Cable | None = None) -> None:
        self.mac = bytes.fromhex(mac_address(mac).replace(":", ""))
        self.wire: Wire | None = None
        self._cable = cable
        self._line: Line | None = None

    # -- for tests ------------------------------------------------------------------------------------------------

    def set_cable(self, connected: bool) -> None:
        """Connect the cable at the card, or pull it out."""
        raise NotImplementedError

    def connect(self, cable: Cable) -> None:
        """Put a cable into the card's socket, before the card is plugged into a machine."""
        self._cable = cable

    # -- for models -------------------------------------------------------------------------------------------------

    def receive(self, frame: bytes) -> None:
        """React to a frame from the cable; called with the device's lock held.

        Args:
            frame: from the destination address on, at least 60 bytes, without FCS.
        """
        raise NotImplementedError

    def arrive(self, frame: bytes) -> None:
        """Receive a frame from the cable; a model that can damage it on its way does so here."""
        self.receive(frame)

    def on_line_free(self) -> None:
        """Go on sending; called when the cable takes frames again after it was full."""

    def send_frame(self, frame: bytes) -> None:
        """Give a frame, without FCS, to the cable. Before the card is plugged in it is lost.

        Raises:
            TypeError: the frame is no bytes.
        """
        if type(frame) is not bytes:
            frame = as_bytes(frame, "a frame is bytes", "`bytes` makes them")
        self.trace.add("frame-sent", size=len(frame), value=frame[:TRACED])
        if self._line:
            self._line.send(frame)

    @property
    def line_is_full(self) -> bool:
        """True if so many frames wait for the cable that the card has to stop sending; `on_line_free` follows."""
        return self._line is not None and self._line.full

    def make_cable(self) -> Cable | None:
        """Return the cable of a card that was given none, when it is plugged in; None: it has no cable."""
        return Wire()

    # -- implementation -----------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        """Take the cable's end, or make a cable."""
        cable = self._cable
        if cable is None:
            cable = self.make_cable()
            self.wire = cable if isinstance(cable, Wire) else None
        if cable is not None:
            self._line = Line(cable.plug(), self._take_frames, lambda: self.call(self.on_line_free), self.failed)

    def _disconnected(self) -> None:
        """Let the cable go."""
        line, self._line = self._line, None
        if line:
            line.close()
        if self.wire:
            self.wire.close()

    def _take_frames(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.call(self._take, frame)

    def _take(self, frame: bytes) -> None:
        self.trace.add("frame-received", size=len(frame), value=frame[:TRACED])
        self.arrive(frame)
