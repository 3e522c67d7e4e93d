# SPDX-License-Identifier: MIT
"""`hub`: all cards with the same number `hub` in a VM share a wire."""

from __future__ import annotations

from typing import Any

from r4l.net.backends import BackEnd, Options


class Hub(BackEnd):
    """QEMU's hub."""

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        """Return settings of QEMU's type NetdevHubPortOptions."""
        return {"type": "hubport", **options, "hubid": hub}


BACK_END = Hub()
