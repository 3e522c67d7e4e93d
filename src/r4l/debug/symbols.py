# SPDX-License-Identifier: MIT
"""Symbols for a stripped kernel: an ELF file made from the guest's /proc/kallsyms.

Debian's kernel is stripped, and its debug package takes 1 GB. Without KASLR (`VM(fast=True)`) the addresses of one
kernel are always the same, so the file is made once per kernel.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_E_MACHINE
from elftools.elf.sections import SymbolTableSection

from r4l import home
from r4l.arch import architecture
from r4l.elf import BoundedElf, UnfitElf
from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel
from r4l.vm import VM

LINE = re.compile(rb"^([0-9a-f]+) ([tTwW]) (\S+)$", re.MULTILINE)
"""A function of the kernel itself; lines of modules have a fourth word."""

HEADER, SECTION, SYMBOL = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
EXEC, STT_FUNC, TEXT = 2, 2, 1
SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS = 2, 3, 8
ALLOC_EXEC = 0x2 | 0x4


def of(vm: VM) -> Path:
    """Return the file with the kernel's symbols: its vmlinux, or one made from the guest's /proc/kallsyms.

    Raises:
        EnvironmentFault: /proc/kallsyms has no addresses.
    """
    own = vm.kernel.build / "vmlinux"
    if own.is_file() and has_symbols(own):
        return own
    final = home.room("debug") / f"{vm.kernel.key}.symbols"
    with home.lock(f"debug-{final.stem}"):
        if not final.exists():
            listing = vm.run("cat /proc/kallsyms", check=True, limit=1 << 26).stdout_bytes
            partial = home.temporary(final)
            partial.write_bytes(elf(listing, vm.kernel))
            home.publish(partial, final)
    return final


def has_symbols(path: Path) -> bool:
    """True if a file is an ELF file with a symbol table; a damaged one has none."""
    try:
        with path.open("rb") as file:
            return BoundedElf(file).symbol_count() > 0
    except UnfitElf:
        return False


def address(path: Path, name: str) -> int:
    """Return a symbol's address.

    Raises:
        EnvironmentFault: the file has no symbol of that name.
    """
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        for symbol in table.get_symbol_by_name(name) or []:
            return int(symbol["st_value"])
    raise EnvironmentFault(f"the kernel has no symbol {name}", "use a kernel with CONFIG_KALLSYMS")


def elf(listing: bytes, kernel: Kernel) -> bytes:
    """Make an ELF file from the text of /proc/kallsyms: one section over all code, and a symbol table.

    Raises:
        EnvironmentFault: the text has no addresses.
    """
    found = [(int(place, 16), name) for place, _, name in LINE.findall(listing)]
    found = [(place, name) for place, name in found if place >= 1 << 63]
    if not found:
        raise EnvironmentFault(
            "/proc/kallsyms of the guest has no addresses",
            "use a kernel with CONFIG_KALLSYMS, and leave kernel.kptr_restrict at 0",
        )
    names, symbols = bytearray(b"\0"), bytearray(SYMBOL.size)
    for place, name in found:
        # Binding 0 (STB_LOCAL): global symbols would have to follow the local ones.
        symbols += SYMBOL.pack(len(names), STT_FUNC, 0, TEXT, place, 0)
        names += name + b"\0"
    titles = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    low, high = min(place for place, _ in found), max(place for place, _ in found)
    at = HEADER.size
    sections = [bytes(SECTION.size)]
    sections.append(SECTION.pack(1, SHT_NOBITS, ALLOC_EXEC, low, at, high + 0x1000 - low, 0, 0, 16, 0))
    sections.append(SECTION.pack(7, SHT_SYMTAB, 0, 0, at, len(symbols), 3, len(symbols) // SYMBOL.size, 8, SYMBOL.size))
    sections.append(SECTION.pack(15, SHT_STRTAB, 0, 0, at + len(symbols), len(names), 0, 0, 1, 0))
    body = bytes(symbols + names)
    sections.append(SECTION.pack(23, SHT_STRTAB, 0, 0, at + len(body), len(titles), 0, 0, 1, 0))
    body += titles
    identification = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    machine = ENUM_E_MACHINE[architecture(kernel.arch).elf]
    header = HEADER.pack(
        identification, EXEC, machine, 1, 0, 0, at + len(body), 0, HEADER.size, 0, 0, SECTION.size, len(sections), 4
    )
    return header + body + b"".join(sections)
