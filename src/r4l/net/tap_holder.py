# SPDX-License-Identifier: MIT
"""The program that `tap.Tap` starts in a new network namespace. It imports nothing of r4l.

It makes the tap, sends its descriptor over the socket that is its standard input, and keeps the namespace until the
other end of that socket is closed, even by SIGKILL.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from ipaddress import IPv4Interface

# <linux/if_tun.h>
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
# <linux/sockios.h>, <linux/if.h>
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, IFF_UP = 0x8914, 0x8916, 0x891C, 0x1
NAME = "tap0"


def flags(name: str, value: int) -> bytes:
    """Return a `struct ifreq` with flags."""
    return struct.pack("16sh22x", name.encode(), value)


def address(name: str, value: bytes) -> bytes:
    """Return a `struct ifreq` with an IPv4 address."""
    return struct.pack("16sHH4s16x", name.encode(), socket.AF_INET, 0, value)


def main(control: socket.socket, own: IPv4Interface, beyond: IPv4Interface) -> None:
    """Make the tap, send its descriptor, and wait."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, flags(NAME, IFF_TAP | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for name, interface in ((NAME, own), ("lo:1", beyond)):
            fcntl.ioctl(any_socket, SIOCSIFADDR, address(name, interface.ip.packed))
            fcntl.ioctl(any_socket, SIOCSIFNETMASK, address(name, interface.netmask.packed))
        for name in ("lo", NAME):
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, flags(name, IFF_UP))
    socket.send_fds(control, [b"t"], [tun])
    os.close(tun)
    control.recv(1)


if __name__ == "__main__":
    main(socket.socket(fileno=sys.stdin.fileno()), *map(IPv4Interface, sys.argv[1:]))
