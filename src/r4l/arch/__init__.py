# SPDX-License-Identifier: MIT
"""The guests' architectures, one TOML file each; code outside this folder names none of them but `DEFAULT`."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from r4l import resources
from r4l.errors import UsageError

DEFAULT = "x86_64"
"""The guest's architecture if none is named; also that of the toolchain and of the disk images."""


@dataclass(frozen=True)
class Architecture:
    """An architecture, as read from its file.

    Attributes:
        name: name of the file, and value of `--arch`.
        uname: `uname -m` in the guest.
        debian: Debian's name, in package names.
        gnu: the triple in the names of GNU programs, and the target in scripts/Makefile.clang.
        loader: dynamic loader of its GNU programs, in a Debian tree (ld.so(8)).
        extras: extras of the toolchain for its modules and guests (`[extras.*]` in toolchain/debian.toml).
        no_stock: reason why no Rust module can be built for Debian's kernels of it; empty if they have Rust.
        kbuild: `ARCH=` for the kernel's Makefile.
        option: configuration option that is set in each of its kernels.
        built: path in the build folder of the image that a build from source makes.
        image: path of the image in Debian's package, as unpacked by `kernel.stock`.
        direct: file that QEMU starts: `pvh` for the ELF inside the image, or `image` for the image itself.
        target_file: True if rustc reads the kernel's target from scripts/target.json (arch/*/Makefile).
        vermagic: MODULE_ARCH_VERMAGIC (arch/*/include/asm/vermagic.h).
        elf: e_machine of its modules (include/uapi/linux/elf-em.h).
        rustc: options of the toolchain's rustc for programs of the guest.
        busybox: path of the guest's busybox in the toolchain's tree.
        qemu: name of the QEMU program.
        machine: QEMU's `-machine`.
        cpu: QEMU's `-cpu`, by accelerator.
        console: the kernel's name of the serial port.
        hotplug: option that a kernel needs to take PCI devices while it runs; empty if the machine takes none.
        counter_option: option of kernels that measure the frequency of the CPU's counter; empty where hardware or
            firmware tells it.
        counter_words: options of the kernel's command line that spare it measurements under TCG.
        counter_frequency: option of the kernel's command line for the counter's frequency, with `{khz}`.
        counter_code: machine code, in hexadecimal, of a function in C's calling convention that returns the counter.
        slow_words: options of the kernel's command line for kernels whose checkers make them slow (KASAN), on machines
            that take no devices while they run and have no hardware of the caller's own.
        registers: registers of 64 bits at the beginning of gdb's answer to `g`, in order (QEMU's folder gdb-xml).
        instruction: register that holds the address of the instruction.
        stack: register that holds the address of the stack.
        first_argument: register that holds a function's first argument.
        result: register that holds a function's result.
        back: register that holds the return address at a function's begin; empty if it is on top of the stack.
        mappers: functions of the kernel that map a device's memory, the first that there is; empty where nobody has
            tried to follow accesses with QEMU's debugger.
        config_readers, config_writers: functions of the kernel that all accesses to the configuration space go
            through, with the arguments domain, bus, device and function, offset, and size; empty as `mappers`.
        arguments: registers that hold a function's arguments, from the first on; empty as `mappers`.
    """

    name: str
    uname: str
    debian: str
    gnu: str
    loader: str
    extras: tuple[str, ...]
    no_stock: str
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
    hotplug: str
    counter_option: str
    counter_words: tuple[str, ...]
    counter_frequency: str
    counter_code: str
    slow_words: tuple[str, ...]
    registers: tuple[str, ...]
    instruction: str
    stack: str
    first_argument: str
    result: str
    back: str
    mappers: tuple[str, ...]
    config_readers: tuple[str, ...]
    config_writers: tuple[str, ...]
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, name: str, entry: Mapping[str, Any]) -> Architecture:
        """Build the architecture from the content of its file."""
        lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
        return cls(name=name, **{**entry, **lists})


_CONTENTS = {"str": str, "bool": bool, "tuple[str, ...]": [str], "Mapping[str, str]": {"*": str}}
SHAPE = {field.name: _CONTENTS[str(field.type)] for field in fields(Architecture) if field.name != "name"}
"""Keys of an architecture's file: the fields with the types of their annotations."""


@cache
def architectures() -> dict[str, Architecture]:
    """Return all architectures by name, the default first."""
    files = importlib.resources.files(__package__).iterdir()
    names = sorted(
        (file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")),
        key=lambda name: (name != DEFAULT, name),
    )
    return {name: Architecture.of(name, resources.table(__package__, f"{name}.toml", SHAPE)) for name in names}


def architecture(name: str) -> Architecture:
    """Return the architecture with a name of r4l, of `uname -m` or of Debian.

    Raises:
        UsageError: the name is unknown.
    """
    for entry in architectures().values():
        if name in (entry.name, entry.uname, entry.debian):
            return entry
    raise UsageError(f"unknown architecture {name}", f"use one of {', '.join(architectures())}")
