# SPDX-License-Identifier: MIT
"""`socket`: the other end is this process, as a `Wire`, or another VM (`crossover`).

With options it is the user's own stream or dgram socket, by the key `type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.net.backends import BackEnd, Options
from r4l.net.wire import Wire


class Socket(BackEnd):
    """A socket that carries one frame in each datagram."""

    takes_wire = True

    def fault(self, options: Options) -> UsageError | None:
        """Return the error for options without a type."""
        if not options or options.get("type") in ("stream", "dgram"):
            return None
        return UsageError(
            "a socket of your own needs a type", "give options={'type': 'stream' or 'dgram', …}, or no options"
        )

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        """Return settings of QEMU's type NetdevDgramOptions or NetdevStreamOptions."""
        if descriptor is None:
            return {**options}
        return {"type": "dgram", "local": {"type": "fd", "str": str(descriptor)}}

    def isolated(self, options: Options) -> Options:
        """Return no options, for a wire, in the place of those of a socket in the host's network."""
        return {} if self.needs_network(options) else options

    def needs_network(self, options: Options) -> bool:
        """True if one end of a socket of the user's own has an address that a network's namespace holds: of the
        internet, or an abstract one (unix(7))."""
        ends = [options.get(name) for name in ("addr", "local", "remote")]
        return any(isinstance(end, Mapping) and (end.get("type") == "inet" or end.get("abstract")) for end in ends)

    def lay(self, capture: Path | None) -> Wire:
        """Make a wire whose other end is this process."""
        return Wire(capture)


BACK_END = Socket()
