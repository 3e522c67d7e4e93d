# SPDX-License-Identifier: MIT
"""A tap in a network namespace of its own: the host's kernel is the guest's peer, isolated from its other networks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from r4l.errors import EnvironmentFault
from r4l.net.addresses import BEYOND, GATEWAY
from r4l.net.cable import Cable

HOLDER = Path(__file__).with_name("tap_holder.py")
START_SECONDS = 30.0


class Tap(Cable):
    """A tap with an address, in a network namespace that lives as long as this object or its process.

    Root can make one everywhere; others need user namespaces and access to /dev/net/tun.

    Args:
        address: of the tap, with prefix length.
        beyond: another address of the namespace, outside the tap's network and reached through the tap's address.

    Raises:
        EnvironmentFault: the host does not permit it; the message says why.
    """

    backend: ClassVar[str] = "tap"

    def __init__(self, address: str = f"{GATEWAY}/24", beyond: str = BEYOND) -> None:
        self._user = os.geteuid() != 0
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_SECONDS)
        own_user = ["--user", "--map-root-user"] if self._user else []
        try:
            self._process = subprocess.Popen(
                ["unshare", *own_user, "--net", "--", sys.executable, "-I", str(HOLDER), address, beyond],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=theirs.fileno(),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            self._control.close()
            raise EnvironmentFault("`unshare` is not installed", "install the package util-linux") from error
        finally:
            theirs.close()
        said, descriptors, *_ = socket.recv_fds(self._control, 4096, 1)
        if not descriptors:
            with self._control.makefile("rb") as rest:
                lines = (said + rest.read()).decode(errors="replace").splitlines()
            self._control.close()
            self._process.wait()
            raise EnvironmentFault(
                f"cannot make a tap on this machine: {lines[-1] if lines else 'tap_holder.py printed nothing'}",
                "run as root, or use the back end socket or user",
            )
        super().__init__(descriptors[0])

    def run(self, argv: Sequence[str], timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a program of the host in the tap's network namespace.

        Args:
            timeout: seconds.
        """
        own_user = ["--user", "--preserve-credentials"] if self._user else []
        enter = ["nsenter", "--target", str(self._process.pid), *own_user, "--net", "--"]
        return subprocess.run(
            [*enter, *argv], capture_output=True, text=True, timeout=timeout, check=False, encoding="utf-8"
        )

    def close(self) -> None:
        """End the namespace; the tap vanishes once QEMU has ended as well."""
        super().close()
        self._control.close()
        self._process.wait()
