# SPDX-License-Identifier: MIT
"""The type of a kernel, independent of its origin."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.kernel.config import read_config
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain


@dataclass(frozen=True)
class Kernel:
    """A complete kernel, ready to boot and to build modules against.

    Attributes:
        name: name for `--kernel`: `stock`, a profile, the user's own name, or a path.
        release: `uname -r` in the guest.
        version: the distribution's package version, or a description of the source.
        arch: name of the architecture, as in `r4l.arch`.
        build: the build folder, KDIR for modules.
        source: its source tree.
        image: file that boots on any machine (bzImage, Image).
        vmlinux: file that QEMU starts directly: an ELF with a PVH entry, or the Image.
        modules: folder with `kernel/` and modules.dep.
        toolchain: toolchain that built it and that builds modules for it.
        manifest: further facts: counts of the proof, Rust symbols, sources.
        make_arguments: arguments of every `make -C KDIR` for it, such as `LLVM=1`.
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
    origins: ClassVar[Origins]

    @cached_property
    def config(self) -> dict[str, str]:
        """The kernel's configuration, `CONFIG_…` to value; unset options are absent."""
        return read_config(self.build / ".config")

    @property
    def vermagic(self) -> str:
        """Version magic that a module needs: the release and VERMAGIC_STRING of include/linux/vermagic.h."""
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
        """Key of this kernel for caches."""
        return home.content_key(self.name, self.release, self.version, self.arch, self.toolchain.identity)

    @classmethod
    def stock(
        cls, release: str | None = None, *, arch: str = DEFAULT, say: Say = quiet, update: bool = False
    ) -> Kernel:
        """Return Debian's kernel, making it ready first if needed. See `r4l.kernel.stock.get`."""
        return cls.origins.stock(release, arch=arch, say=say, update=update)

    @classmethod
    def ready(cls, release: str | None = None, arch: str = DEFAULT) -> Kernel | None:
        """Return Debian's kernel if it is ready, else None. See `r4l.kernel.stock.ready`."""
        return cls.origins.ready(release, arch)

    @classmethod
    def get(cls, name: str | Path = "stock", *, arch: str = DEFAULT, say: Say = quiet) -> Kernel:
        """Return the kernel of that name, making it ready first if needed. See `r4l.kernel.named.get`."""
        return cls.origins.named(str(name), arch=arch, say=say)

    @classmethod
    def find(cls, name: str | Path = "stock", *, arch: str = DEFAULT, say: Say = quiet) -> Kernel:
        """Old name of `get`."""
        warnings.warn("Kernel.find is now Kernel.get", DeprecationWarning, stacklevel=2)
        return cls.get(name, arch=arch, say=say)


class GetStock(Protocol):
    """Signature of `r4l.kernel.stock.get`."""

    def __call__(self, release: str | None = None, *, arch: str, say: Say, update: bool) -> Kernel: ...


class GetByName(Protocol):
    """Signature of `r4l.kernel.named.get`."""

    def __call__(self, name: str, *, arch: str, say: Say) -> Kernel: ...


@dataclass(frozen=True)
class Origins:
    """The functions that make kernels ready. They need the type, so the package hands them to it."""

    stock: GetStock
    ready: Callable[[str | None, str], Kernel | None]
    named: GetByName
