# SPDX-License-Identifier: MIT
"""`none`: a card without a cable."""

from __future__ import annotations

from r4l.net.backends import BackEnd, Options


class NoBackEnd(BackEnd):
    """Nothing."""

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> None:
        """None."""
        return


BACK_END = NoBackEnd()
