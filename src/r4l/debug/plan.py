# SPDX-License-Identifier: MIT
"""Input of the part inside gdb, as JSON: gdb's Python has the standard library and no package of r4l."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from elftools.elf.constants import SH_FLAGS

from r4l.arch import architecture
from r4l.elf import BoundedElf
from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.module import BuiltModule


def plan(
    modules: Sequence[BuiltModule], symbols: Path, load_address: int, arch: str, breaks: Sequence[str], socket: str
) -> str:
    """Return the plan as JSON text.

    Args:
        symbols: the ELF file with the kernel's symbols.
        load_address: address of the kernel's do_init_module.
        breaks: arguments for gdb's `break`.
        socket: path of QEMU's gdb stub.
    """
    return json.dumps(
        {
            "socket": socket,
            "symbols": str(symbols),
            "load_address": load_address,
            "argument": f"${architecture(arch).first_argument}",
            "breaks": list(breaks),
            "modules": {module.name: {"path": str(module.path), "sections": sections(module)} for module in modules},
        }
    )


def require_debuggable(kernel: Kernel) -> None:
    """Refuse a kernel whose modules have no types, only the lines that r4l has compilers note (`module.make_setup`).

    Raises:
        BuildError: the kernel is configured without debug information.
    """
    if kernel.config.get("CONFIG_DEBUG_INFO") != "y":
        raise BuildError(
            f"modules for the kernel {kernel.name} have no debug information: it is configured without",
            "use a kernel with CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y, such as stock or debug",
        )


def require_debug_information(module: Path) -> None:
    """Refuse a module that gdb cannot show.

    Raises:
        BuildError: the file has no debug information.
    """
    with module.open("rb") as file:
        if not BoundedElf(file).section(".debug_info"):
            raise BuildError(
                f"{module.name} has no debug information",
                "leave it to the kernel's flags: take -g0, -Cdebuginfo=0 and strip out of its Makefile",
            )


def sections(module: BuiltModule) -> dict[str, tuple[int, int]]:
    """Return for each loaded section of a module one symbol in it: its index and its value in the file.

    The kernel adds the section's address to the value of each symbol (simplify_symbols in kernel/module/main.c) and
    keeps the table, in the file's order, until the module's init has run (add_kallsyms). gdb reads the addresses there.

    Raises:
        BuildError: the module has no debug information.
    """
    require_debug_information(module.path)
    found: dict[str, tuple[int, int]] = {}
    with module.path.open("rb") as file:
        elf = BoundedElf(file)
        loaded = {
            number: section.name
            for number, section in enumerate(elf.sections)
            if section.flags & SH_FLAGS.SHF_ALLOC and section.size and ".percpu" not in section.name
        }
        for index, symbol in enumerate(elf.symbols()):
            name = loaded.get(symbol.section)
            if name:
                found.setdefault(name, (index, symbol.value))
    return found
