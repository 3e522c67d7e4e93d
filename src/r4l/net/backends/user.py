# SPDX-License-Identifier: MIT
"""`user`: QEMU's own router and DHCP server on 10.0.2.0/24 (gateway 10.0.2.2); needs no root."""

from __future__ import annotations

from typing import Any

from r4l.net.backends import BackEnd, Options


class User(BackEnd):
    """QEMU's user network (libslirp)."""

    takes_wire = True

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        """As QEMU's NetdevUserOptions."""
        return {"type": "user", **options}

    def isolated(self, options: Options) -> Options:
        """QEMU's router still answers DHCP and a ping of 10.0.2.2 (`restrict` in qemu-system(1), -netdev user); a port
        that is forwarded to the guest, as ssh's is, stays open.
        """
        return {"restrict": True, **options}

    def needs_network(self, options: Options) -> bool:
        """The router does, unless it is cut off and forwards nothing."""
        return not (options.get("restrict") and not {"hostfwd", "guestfwd"} & options.keys())


BACK_END = User()
