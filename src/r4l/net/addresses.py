# SPDX-License-Identifier: MIT
"""The addresses of a guest's first interface and of its peers: those of QEMU's user network (qemu-system(1), -netdev
user), which the other back ends have, too."""

from __future__ import annotations

GUEST_ADDRESS = "10.0.2.15/24"
"""Address of the guest's first interface, with prefix length: the first that QEMU's DHCP server gives away
(dhcpstart)."""
GATEWAY = "10.0.2.2"
"""Address of the router, which answers ping."""
BEYOND = "10.0.3.3"
"""Address of a host behind the router, outside of the guest's own network. QEMU's user network has none unless it is
made wider (`NETWORK` in r4l.camp.demo.rig)."""
