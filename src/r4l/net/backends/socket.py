# SPDX-License-Identifier: MIT
"""`socket`: this process has the other end, as a `Wire`, or another VM has it (`crossover`).

With options it is the user's own: a stream or dgram socket, by the key `type`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.net.backends import BackEnd, Options
from r4l.net.wire import Wire


class Socket(BackEnd):
    """A socket, one datagram for each frame."""

    takes_wire = True

    def fault(self, options: Options) -> UsageError | None:
        """The error of options without a type."""
        if not options or options.get("type") in ("stream", "dgram"):
            return None
        return UsageError(
            "a socket of your own needs to have a type", "options={'type': 'stream' or 'dgram', …}, or no options"
        )

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        """As QEMU's NetdevDgramOptions or NetdevStreamOptions."""
        if descriptor is None:
            return {**options}
        return {"type": "dgram", "local": {"type": "fd", "str": str(descriptor)}}

    def lay(self, capture: Path | None) -> Wire:
        """A wire whose other end is this process."""
        return Wire(capture)


BACK_END = Socket()
