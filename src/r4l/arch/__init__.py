# SPDX-License-Identifier: MIT
"""The guests' architectures, a TOML file each; nothing outside this folder names one, but for `DEFAULT`.

riscv64 is not here: Debian builds its kernels for it without CONFIG_RUST (linux-headers-7.2.11+deb13-riscv64, .config).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from r4l import resources
from r4l.errors import UsageError

DEFAULT = "x86_64"
"""The guest's architecture where none is named; also the toolchain's own, and that of the disk images."""


@dataclass(frozen=True)
class Architecture:
    """An architecture, as its file says it.

    Attributes:
        name: of the file, and of `--arch`.
        uname: `uname -m` in the guest.
        debian: Debian's name, in package names.
        gnu: the triple in the names of GNU programs, and the target that scripts/Makefile.clang names.
        extras: of the toolchain, which modules and guests of it need (`[extras.*]` in toolchain/debian.toml).
        kbuild: `ARCH=` of the kernel's Makefile.
        option: of the configuration, set in each of its kernels.
        built: the image that a build from source makes, in the build folder.
        image: the same in Debian's package, where `kernel.stock` puts it.
        direct: how QEMU starts a kernel: `pvh`, the ELF inside the image, or `image`, the image itself.
        target_file: rustc reads the kernel's target from scripts/target.json (arch/*/Makefile).
        vermagic: MODULE_ARCH_VERMAGIC (arch/*/include/asm/vermagic.h).
        elf: e_machine of its modules (include/uapi/linux/elf-em.h).
        rustc: options by which the toolchain's rustc makes programs for the guest.
        busybox: the guest's, in the toolchain's tree.
        qemu: the program.
        machine: QEMU's `-machine`.
        cpu: QEMU's `-cpu`, by accelerator.
        console: the kernel's name of the serial port.
        first_argument: the register with a function's first argument.
    """

    name: str
    uname: str
    debian: str
    gnu: str
    extras: tuple[str, ...]
    kbuild: str
    option: str
    built: str
    image: str
    direct: str
    target_file: bool
    vermagic: str
    elf: str
    rustc: tuple[str, ...]
    busybox: str
    qemu: str
    machine: str
    cpu: Mapping[str, str]
    console: str
    first_argument: str

    @classmethod
    def of(cls, name: str, entry: Mapping[str, Any]) -> Architecture:
        """The architecture of a file.

        Raises:
            ValueError: a key is missing, or one is unknown.
        """
        wanted = {field.name for field in fields(cls)} - {"name"}
        if entry.keys() != wanted:
            raise ValueError(f"arch/{name}.toml: missing or unknown: {', '.join(sorted(entry.keys() ^ wanted))}")
        lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
        return cls(name=name, **{**entry, **lists})


@cache
def architectures() -> dict[str, Architecture]:
    """All architectures by name, the default first."""
    files = importlib.resources.files(__package__).iterdir()
    names = sorted(
        (file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")),
        key=lambda name: (name != DEFAULT, name),
    )
    return {name: Architecture.of(name, resources.table(__package__, f"{name}.toml")) for name in names}


def architecture(name: str) -> Architecture:
    """The architecture of a name: ours, `uname -m`'s or Debian's.

    Raises:
        UsageError: it is not known.
    """
    for entry in architectures().values():
        if name in (entry.name, entry.uname, entry.debian):
            return entry
    raise UsageError(f"unknown architecture {name}", f"use one of {', '.join(architectures())}")
