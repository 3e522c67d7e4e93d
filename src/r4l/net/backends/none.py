# SPDX-License-Identifier: MIT
"""`none`: a card without a cable."""

from __future__ import annotations

from r4l.net.backends import BackEnd, Options


class NoBackEnd(BackEnd):
    """A card without any connection."""

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> None:
        """Return None."""
        return


BACK_END = NoBackEnd()
