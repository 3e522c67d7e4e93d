# SPDX-License-Identifier: MIT
"""`user`: QEMU's own router and DHCP server on 10.0.2.0/24 (gateway 10.0.2.2); needs no root."""

from __future__ import annotations

from typing import Any

from r4l.net.backends import BackEnd, Options


class User(BackEnd):
    """QEMU's user network (libslirp)."""

    takes_wire = True

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        """Return settings of QEMU's type NetdevUserOptions."""
        return {"type": "user", **options}

    def isolated(self, options: Options) -> Options:
        """Return options with `restrict`, which cut off the host and its networks.

        QEMU's router still answers DHCP and a ping of 10.0.2.2 (`restrict` in qemu-system(1), -netdev user). A port
        forwarded to the guest, such as ssh's, stays open.
        """
        return {"restrict": True, **options}

    def needs_network(self, options: Options) -> bool:
        """True unless the router is restricted and forwards no port."""
        return not (options.get("restrict") and not {"hostfwd", "guestfwd"} & options.keys())


BACK_END = User()
