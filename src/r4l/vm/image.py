# SPDX-License-Identifier: MIT
"""A machine that starts from a disk image: its disks, its first stage, and the card for ssh."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.net import Nic
from r4l.process import Say, quiet
from r4l.rootfs import Rootfs, disk
from r4l.rootfs.disk import DiskImage
from r4l.rootfs.first_stage import first_stage, modules_disk, require_fit
from r4l.vm.boot import Patience
from r4l.vm.machine import Drive

PATIENCE = Patience(silence=60.0, total=300.0)
"""Time limits of a boot. systemd prints nothing for half a minute under TCG, and longer on a loaded machine."""
SSH = 22


@dataclass(frozen=True)
class Parts:
    """Additional or different parts of a VM that starts from an image.

    Attributes:
        rootfs: the first stage.
        drives: the image, and the kernel's modules.
        management: the card for ssh; it comes last, so that the other cards keep their positions.
        append: kernel options.
        shell: command for `VM.shell`.
    """

    rootfs: Rootfs
    drives: tuple[Drive, ...]
    management: Nic
    append: str
    shell: tuple[str, ...]


def parts(kernel: Kernel, image: DiskImage, modules: Sequence[str] = (), ssh_port: int = 0, say: Say = quiet) -> Parts:
    """Return the parts for the argument `image` of `VM`.

    Args:
        modules: names of the kernel's own modules that must be available.
        ssh_port: port on loopback; 0 for any free one.

    Raises:
        EnvironmentFault: the kernel does not fit, or the disk is full.
        UsageError: the kernel has no such module, or the port is invalid.
    """
    require_fit(kernel, image.name)
    drives = [Drive(image.path, "root")]
    own = modules_disk(kernel, kernel.toolchain.extended("image", say=say), say)
    if own is not None:
        drives.append(Drive(own, "modules", "raw"))
    return Parts(
        first_stage(kernel, image, modules),
        tuple(drives),
        management_nic(ssh_port),
        " ".join(image.recipe["append"]),
        tuple(image.recipe["shell"]),
    )


def writes_failed(workdir: Path) -> EnvironmentFault:
    """Return the error for a guest whose writes fail for lack of space on the host."""
    return EnvironmentFault(
        f"the disk of {workdir} is full: the guest cannot write to its disk",
        "free some space, set R4L_HOME to a folder on a larger disk, or write less in the guest",
    )


def management_nic(ssh_port: int = 0) -> Nic:
    """Return the card whose port 22 QEMU forwards to, from 127.0.0.1 only.

    Raises:
        EnvironmentFault: the port is taken.
        UsageError: the port is invalid.
    """
    _require_free(ssh_port)
    entry = disk.table()["management"]
    network = {"net": entry["network"], "host": entry["host"], "dns": entry["dns"], "dhcpstart": entry["address"]}
    forward = f"tcp:127.0.0.1:{ssh_port}-{entry['address']}:{SSH}"
    options = {**network, "ipv6": False, "hostfwd": [{"str": forward}]}
    return Nic(entry["model"], mac=entry["mac"], capture=False, options=options)


def _require_free(port: int) -> None:
    """Check a port in advance: QEMU's error would name neither cause nor remedy."""
    if not 0 <= port <= 65535:
        raise UsageError(f"{port} is not a port", "give 1 to 65535, or 0 for a free one")
    with socket.socket() as probe:
        # The same option as in QEMU: a recently closed connection does not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise EnvironmentFault(
                f"cannot use port {port} on 127.0.0.1 for ssh: {error.strerror}",
                "name another port, or none for any free one",
            ) from error
