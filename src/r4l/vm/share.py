# SPDX-License-Identifier: MIT
"""Folders of the host in a guest, by QEMU's 9p server: without daemon or root, read-only by default."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.paths import require_folder
from r4l.vm.live import LiveVM

MODULES = {"9p": "CONFIG_9P_FS", "9pnet_virtio": "CONFIG_NET_9P_VIRTIO"}
"""The guest's half: modules of the kernel, each with its option."""
OPTIONS = "trans=virtio,version=9p2000.L,msize=131072,cache=readahead"
"""Mount options in the guest (Documentation/filesystems/9p.rst).

Without a cache each read(2) of a few bytes costs a message of `msize` bytes, which Debian's kernel clears
(INIT_ON_ALLOC): 2 MB took 1 to 6 s under TCG, and 0.2 s with this cache. Changes by the host are still visible when a
file is opened.
"""


@dataclass(frozen=True)
class Share:
    """A folder of the host, mounted in a guest.

    Attributes:
        host: the folder; neither the guest nor QEMU sees any file beside it.
        guest: absolute path of the mount point in the guest, created if missing.
        writable: True if the guest may change the folder. Files that it creates belong to the user who runs QEMU.
    """

    host: Path
    guest: str
    writable: bool = False

    def __post_init__(self) -> None:
        require_folder(self.host, "name a folder of this computer to share with the guest")
        if not self.guest.startswith("/"):
            raise UsageError(f"{self.guest!r} is not an absolute path in the guest", "write one such as /mnt")
        object.__setattr__(self, "host", self.host.resolve())

    @classmethod
    def parse(cls, text: str) -> Share:
        """Parse `HOST:GUEST`, `HOST:GUEST:ro` or `HOST:GUEST:rw`.

        Raises:
            UsageError: the text has none of these forms, or the folder does not exist.
        """
        places, _, mode = text.rpartition(":")
        if mode not in ("ro", "rw"):
            places, mode = text, "ro"
        host, _, guest = places.rpartition(":")
        if not host or not guest.startswith("/"):
            raise UsageError(f"{text!r} is not of the form HOST:GUEST", "write HOST:GUEST, with GUEST an absolute path")
        return cls(Path(host), guest, mode == "rw")


def arguments(index: int, share: Share) -> list[str]:
    """Return QEMU's arguments for a share. `security_model=none` does no chown, for which QEMU has no permission."""
    mode = "off" if share.writable else "on"
    server = f"local,id=share{index},path={place(index)},security_model=none,readonly={mode},multidevs=remap"
    return ["-fsdev", server, "-device", f"virtio-9p-pci,fsdev=share{index},mount_tag={tag(index)}"]


def place(index: int) -> Path:
    """Return the path of share number `index` for QEMU; the host's own path may also exist in the toolchain."""
    return Path(f"/share{index}")


def tag(index: int) -> str:
    """Return the name by which the guest mounts share number `index`."""
    return f"share{index}"


def modules_for(kernel: Kernel, shares: Sequence[Share]) -> tuple[str, ...]:
    """Return the kernel's own modules that a guest with these shares needs in its initramfs.

    Raises:
        EnvironmentFault: the kernel was built without 9p.
    """
    if not shares:
        return ()
    missing = [option for option in MODULES.values() if kernel.config.get(option) not in ("y", "m")]
    if missing:
        raise EnvironmentFault(
            f"the kernel {kernel.release} cannot mount the host's folders: it was built without {', '.join(missing)}",
            "use Debian's kernel (--kernel stock), or copy files with --put",
        )
    return tuple(name for name, option in MODULES.items() if kernel.config.get(option) == "m")


def mount(vm: LiveVM, shares: Sequence[Share]) -> None:
    """Mount the shares in a booted guest.

    Raises:
        CommandFailed: the guest cannot mount them.
    """
    names = modules_for(vm.kernel, shares)
    for name in names:
        vm.run(["modprobe", name], check=True)
    for index, share in enumerate(shares):
        where = shlex.quote(share.guest)
        options = f"{OPTIONS},{'rw' if share.writable else 'ro'}"
        vm.run(f"mkdir -p {where} && mount -t 9p -o {options} {tag(index)} {where}", check=True)
