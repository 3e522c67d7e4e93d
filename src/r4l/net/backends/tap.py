# SPDX-License-Identifier: MIT
"""`tap`: a tap in a network namespace of the VM's own, a `Tap`.

With options it is the user's own existing tap, by the key `ifname`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r4l.net.backends import BackEnd, Options
from r4l.net.tap import Tap

TUN = Path("/dev/net/tun")


class TapDevice(BackEnd):
    """A tap of the host's kernel."""

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        """Return settings of QEMU's type NetdevTapOptions."""
        if descriptor is not None:
            return {"type": "tap", "fd": str(descriptor)}
        # QEMU's own scripts would need root and a bridge.
        return {"type": "tap", "script": "no", "downscript": "no", **options}

    def isolated(self, options: Options) -> Options:
        """Return no options, for a tap that leads nowhere."""
        return {}

    def needs_network(self, options: Options) -> bool:
        """True for the user's own tap, which is in the host's network."""
        return bool(options)

    def devices(self, options: Options) -> tuple[Path, ...]:
        """Return the node by which QEMU finds a tap by its name."""
        return (TUN,) if options and TUN.exists() else ()

    def lay(self, capture: Path | None) -> Tap:
        """Make a tap in a new network namespace."""
        return Tap()


BACK_END = TapDevice()
