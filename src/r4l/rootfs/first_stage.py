# SPDX-License-Identifier: MIT
"""Start a kernel from a disk image: an initramfs that mounts the image, and the kernel's modules as a second disk.

A stock kernel has neither ext4 nor the disk's driver built in, and an image is independent of kernels. So the first
stage contains the drivers, and the modules come on a disk of their own, made once per kernel.
"""

from __future__ import annotations

import importlib.resources
import ipaddress
import shlex
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r4l import home, inuse
from r4l.arch import DEFAULT
from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel
from r4l.kernel.modules import ModuleTree
from r4l.process import Say, quiet
from r4l.rootfs import File, Rootfs, Source, seal
from r4l.rootfs.disk import DiskImage, table
from r4l.rootfs.ext4 import make_ext4
from r4l.toolchain import Toolchain

LEFT_OUT = {"build", "source", "vmlinuz", "System.map", "config"}
"""Files that Debian's packages keep beside the modules: links to the host's folders, the kernel itself."""


def require_fit(kernel: Kernel, name: str) -> None:
    """Refuse a kernel on which the image of that name cannot start.

    Raises:
        EnvironmentFault: an option that systemd or the disk needs is not set, or the architecture differs.
    """
    if kernel.arch != DEFAULT:
        raise EnvironmentFault(f"the {name} image is for {DEFAULT}, the kernel for {kernel.arch}", "leave out --image")
    missing = [option for option in table()[name]["options"] if kernel.config.get(f"CONFIG_{option}") not in ("y", "m")]
    if missing:
        raise EnvironmentFault(
            f"the kernel {kernel.release} lacks options of the {name} image: CONFIG_{', CONFIG_'.join(missing)}",
            "use Debian's stock kernel, or set these options in your kernel's configuration",
        )


def first_stage(kernel: Kernel, image: DiskImage, modules: Sequence[str] = ()) -> Rootfs:
    """Return the initramfs that mounts the image's disks and starts its systemd; the agent is included.

    Args:
        modules: names of the kernel's own modules that the user needs; the modules' disk contains them.

    Raises:
        UsageError: the kernel has no such module.
    """
    ModuleTree(kernel.modules, kernel.toolchain).resolve(modules)
    init = importlib.resources.files(__package__) / "images/stage1/init"
    settings = _settings(image.recipe).encode()
    files: dict[str, Source] = {"/init": File(init.read_bytes(), 0o755), "/etc/stage1": settings}
    drivers = [name for name in image.recipe["drivers"] if not _built_in(kernel, name)]
    return Rootfs.build(kernel, modules=drivers, files=files)


def _built_in(kernel: Kernel, driver: str) -> bool:
    """True if a driver is built into the kernel.

    The configuration is asked, since a kernel without modules may lack modules.builtin.
    """
    return (
        kernel.config.get(f"CONFIG_{driver.upper()}") == "y" or kernel.config.get(f"CONFIG_{driver.upper()}_FS") == "y"
    )


def _settings(recipe: dict[str, Any]) -> str:
    """Return the first stage's settings as shell variables."""
    management = table()["management"]
    prefix = ipaddress.ip_network(management["network"]).prefixlen
    settings = {
        "DRIVERS": " ".join(recipe["drivers"]),
        "INTERFACE": management["interface"],
        "MAC": management["mac"],
        "ADDRESS": f"{management['address']}/{prefix}",
        "HOST": management["host"],
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def modules_disk(kernel: Kernel, toolchain: Toolchain, say: Say = quiet) -> Path | None:
    """Return the kernel's modules as a raw ext4 disk, making it first if needed; None if the kernel has no modules.

    Args:
        toolchain: with the extra `image`.

    Raises:
        EnvironmentFault: the disk is full.
    """
    if not (kernel.modules / "modules.dep").exists():
        return None
    members = sorted(path for path in kernel.modules.rglob("*") if _wanted(path, kernel.modules))
    # Keyed by size and time: hashing the content would read a hundred megabytes at each boot.
    listing = "".join(f"{path} {_stamp(path)}\n" for path in members)
    final = home.room("images") / f"modules-{home.content_key(kernel.key, listing)}.ext4"
    with home.lock(f"modules-{final.stem}"):
        if not seal.is_whole(final):
            size = sum(path.stat().st_size for path in members if path.is_file()) // 2**20
            home.require_space(final.parent, 2 * size + 64, "a disk of the kernel's modules")
            say("packing the kernel's modules")
            _make(kernel.modules, members, final, size, toolchain)
        inuse.hold(final)
    return final


def _make(folder: Path, members: Sequence[Path], final: Path, size: int, toolchain: Toolchain) -> None:
    work = home.temporary(final)
    work.mkdir()
    try:
        tar, disk = work / "modules.tar", work / "modules.ext4"
        with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
            for path in members:
                archive.add(path, str(path.relative_to(folder)), recursive=False, filter=_owned_by_root)
        # Leave room for metadata, and for files of a user's `modules_install`.
        make_ext4(tar, disk, 2 * size + 256, "r4l-modules", toolchain)
        disk.chmod(0o444)
        seal.publish_sealed(disk, final)
    finally:
        home.remove(work)


def _wanted(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).parts[0] not in LEFT_OUT


def _stamp(path: Path) -> str:
    status = path.lstat()
    return "folder" if path.is_dir() else f"{status.st_size} {status.st_mtime_ns}"


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
