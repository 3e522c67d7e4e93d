# SPDX-License-Identifier: MIT
"""What a kernel is to everybody else, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.kernel.config import read_config
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain


@dataclass(frozen=True)
class Kernel:
    """A kernel, whole and ready.

    Attributes:
        name: what `--kernel` calls it: `stock`, a profile's name, a name of the user's, a path.
        release: what `uname -r` says in the guest.
        version: the distribution's package version, or what it was built from.
        arch: `x86_64` or `arm64`.
        build: the build folder, which modules know as KDIR.
        source: its source tree.
        image: the file that boots on any machine (bzImage, Image).
        vmlinux: what QEMU starts directly: an ELF with a PVH entry, or the Image.
        modules: the folder with `kernel/` and modules.dep.
        toolchain: what it was built with, and what builds modules for it.
        manifest: everything known about it: the proof's counts, Rust symbols, sources.
        make_arguments: what every `make -C KDIR` needs for it, such as `LLVM=1`.
    """

    release: str
    version: str
    arch: str
    build: Path
    source: Path
    image: Path
    vmlinux: Path
    modules: Path
    toolchain: Toolchain
    manifest: dict[str, Any]
    make_arguments: tuple[str, ...] = ()
    name: str = "stock"

    @cached_property
    def config(self) -> dict[str, str]:
        """The kernel's configuration, `CONFIG_…` to value; what is not set is absent."""
        return read_config(self.build / ".config")

    @property
    def vermagic(self) -> str:
        """The version magic that a module must have: the release and VERMAGIC_STRING of include/linux/vermagic.h."""
        flags = {
            "CONFIG_SMP": "SMP",
            "CONFIG_PREEMPT_BUILD": "preempt",
            "CONFIG_PREEMPT_RT": "preempt_rt",
            "CONFIG_MODULE_UNLOAD": "mod_unload",
            "CONFIG_MODVERSIONS": "modversions",
        }
        set_flags = [flag for option, flag in flags.items() if self.config.get(option) == "y"]
        if "preempt_rt" in set_flags and "preempt" in set_flags:
            set_flags.remove("preempt")
        return " ".join([self.release, *set_flags, *architecture(self.arch).vermagic.split()])

    @property
    def key(self) -> str:
        """Names this kernel in cache keys."""
        return home.content_key(self.name, self.release, self.version, self.arch, self.toolchain.identity)

    @classmethod
    def stock(
        cls, release: str | None = None, *, arch: str = DEFAULT, say: Say = quiet, update: bool = False
    ) -> Kernel:
        """Debian's kernel; made ready first where it is not yet. See `r4l.kernel.stock.get`."""
        from r4l.kernel import stock

        return stock.get(release, arch=arch, say=say, update=update)

    @classmethod
    def ready(cls, release: str | None = None, arch: str = DEFAULT) -> Kernel | None:
        """Debian's kernel where it is ready already. See `r4l.kernel.stock.ready`."""
        from r4l.kernel import stock

        return stock.ready(release, arch)

    @classmethod
    def find(cls, name: str | Path = "stock", *, arch: str = DEFAULT, say: Say = quiet) -> Kernel:
        """The kernel of that name, made ready first where it is not yet. See `r4l.kernel.find.find`."""
        from r4l.kernel.find import find

        return find(str(name), arch=arch, say=say)
