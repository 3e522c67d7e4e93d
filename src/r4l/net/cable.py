# SPDX-License-Identifier: MIT
"""The host's end of a card's cable; QEMU inherits its own end as an open descriptor."""

from __future__ import annotations

import os
import socket
from typing import ClassVar

from r4l.errors import UsageError

SOCKET_BUFFER = 1 << 20
"""Bytes; room for many of the largest frames."""


class Cable:
    """A cable for one card in one run of one VM.

    Args:
        descriptor: QEMU's end; this object closes it.
    """

    backend: ClassVar[str] = "socket"
    """Back end of the cards that the cable fits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def plug(self) -> int:
        """Return the descriptor for QEMU to inherit.

        Raises:
            UsageError: the cable was plugged into a VM before.
        """
        if self._descriptor is None:
            raise UsageError("this cable was plugged into a VM before", "make a new one for each VM")
        return self._descriptor

    def plugged(self) -> None:
        """Close the descriptor in this process after QEMU has inherited it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def close(self) -> None:
        """Release all resources."""
        self.plugged()


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a cable for the back end `socket`. One datagram is one frame; none is lost or cut."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    return ends


def crossover() -> tuple[Cable, Cable]:
    """Return the two ends of a cable between two VMs, for cards with the back end `socket`.

    Give the cards different addresses (`Nic(mac=…)`): each VM numbers its cards from the same address.
    """
    left, right = socket_pair()
    return Cable(left.detach()), Cable(right.detach())
