# SPDX-License-Identifier: MIT
"""The host's end of a card's cable: what QEMU gets of it is one open descriptor."""

from __future__ import annotations

import os
import socket
from typing import ClassVar

from r4l.errors import UsageError

SOCKET_BUFFER = 1 << 20
"""Bytes; room for the largest frame many times over."""


class Cable:
    """A cable for one card in one run of one VM.

    Args:
        descriptor: QEMU's end; it is this object's to close.
    """

    backend: ClassVar[str] = "socket"
    """Of the cards that it fits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def plug(self) -> int:
        """The descriptor for QEMU to inherit.

        Raises:
            UsageError: a VM has had it.
        """
        if self._descriptor is None:
            raise UsageError("this cable was plugged into a VM before", "make a new one for each VM")
        return self._descriptor

    def plugged(self) -> None:
        """QEMU has its end: it stays open there, and nowhere else."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def close(self) -> None:
        """Give everything back."""
        self.plugged()


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a cable for the back end `socket`: one datagram is one frame, and none is lost or cut."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    return ends


def crossover() -> tuple[Cable, Cable]:
    """A cable from one VM to another: an end for each, for cards with the back end `socket`.

    Give the cards different addresses (`Nic(mac=…)`): each VM counts its own from the same one.
    """
    left, right = socket_pair()
    return Cable(left.detach()), Cable(right.detach())
