# SPDX-License-Identifier: MIT
"""`tap`: a tap in a network namespace of the VM's own, a `Tap`.

With options it is the user's own existing tap, by the key `ifname`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r4l.net.backends import BackEnd, Options
from r4l.net.tap import Tap


class TapDevice(BackEnd):
    """A tap of the host's kernel."""

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        """Return settings of QEMU's type NetdevTapOptions."""
        if descriptor is not None:
            return {"type": "tap", "fd": str(descriptor)}
        # QEMU's own scripts would need root and a bridge.
        return {"type": "tap", "script": "no", "downscript": "no", **options}

    def lay(self, capture: Path | None) -> Tap:
        """Make a tap in a new network namespace."""
        return Tap()


BACK_END = TapDevice()
