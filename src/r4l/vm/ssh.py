# SPDX-License-Identifier: MIT
"""ssh into a guest with a disk image: OpenSSH over a port on loopback.

r4l itself uses its agent; this is for the user's ssh, scp, or editors that work over them. The complete configuration
is in one file, so any OpenSSH works: `ssh -F FILE guest`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.errors import BootError, GuestTimeout
from r4l.limits import UNLIMITED
from r4l.rootfs.ssh_keys import ALIAS, Keys
from r4l.toolchain import Grant, Toolchain

HOST = "guest"
"""Name of the guest on ssh's command line."""

FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\b")
"""A line of QEMU's `info usernet`: state, descriptor, source address and port, destination address and port."""

CONFIG = """\
Host {host}
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile "{identity}"
    IdentitiesOnly yes
    PasswordAuthentication no
    HostKeyAlias {alias}
    UserKnownHostsFile "{known_hosts}"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    LogLevel ERROR
"""


def forwarded_port(usernet: str) -> int:
    """Return the port on loopback that leads to the guest's sshd.

    Args:
        usernet: answer of QEMU's monitor to `info usernet`.

    Raises:
        BootError: no port is forwarded.
    """
    match = FORWARD.search(usernet)
    if match is None:
        raise BootError("QEMU forwards no port to the guest's sshd", "see qemu.log", detail=usernet)
    return int(match[1])


@dataclass(frozen=True)
class Ssh:
    """ssh access to one running guest.

    Attributes:
        port: on 127.0.0.1.
        config: file for `ssh -F`; removed with the VM's work folder.
    """

    port: int
    config: Path
    _keys: Keys
    _toolchain: Toolchain

    @classmethod
    def open(cls, port: int, keys: Keys, folder: Path, toolchain: Toolchain) -> Ssh:
        """Write the configuration into `folder`.

        Args:
            toolchain: with the extra `image`, for `run` and `scp`.
        """
        config = folder / "ssh_config"
        config.write_text(
            CONFIG.format(host=HOST, port=port, identity=keys.identity, alias=ALIAS, known_hosts=keys.known_hosts),
            encoding="utf-8",
        )
        return cls(port, config, keys, toolchain)

    @property
    def line(self) -> str:
        """Command for the user's terminal."""
        return f"ssh -F {self.config} {HOST}"

    def run(self, command: str, *, timeout: float = 60.0) -> subprocess.CompletedProcess[bytes]:
        """Run a command by the toolchain's ssh; return ssh's exit code and output (255: ssh itself failed).

        Raises:
            GuestTimeout: the command did not end within `timeout` seconds.
        """
        return self._run(["ssh", "-F", self.config, HOST, command], (), timeout)

    def scp(self, source: Path, target: str, *, timeout: float = 60.0) -> subprocess.CompletedProcess[bytes]:
        """Copy a file of the host into the guest by the toolchain's scp; errors as for `run`."""
        path = source.absolute()
        return self._run(["scp", "-q", "-F", self.config, path, f"{HOST}:{target}"], [path], timeout)

    def _run(
        self, argv: Sequence[str | Path], readable: Sequence[Path], timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        grant = Grant(
            "image: ssh",
            reads=(*readable, self.config, self._keys.folder),
            network=True,
            named=True,
            limits=UNLIMITED,
        )
        command = self._toolchain.command(argv, grant)
        try:
            return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise GuestTimeout(f"{argv[0]} did not end within {timeout:g} s") from error
