# SPDX-License-Identifier: MIT
"""Sections and symbols of an ELF file that a stranger may have made, in bounded time and memory.

Nothing is read before its size was compared with a bound, so no file, however large, takes more than some MiB. The
structures are those of elf(5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MOST_SECTIONS = 100_000
"""Sections of a file: a whole kernel compiled with a section for each function has fewer."""
MOST_SYMBOLS = 500_000
"""Symbols of a file: a whole kernel has fewer."""
LONGEST = 4096
"""Bytes of a name; the kernel takes 512 (KSYM_NAME_LEN in include/linux/kallsyms.h)."""
LARGEST_NOTES = 1 << 20
"""Bytes of a section of notes; a kernel's has some hundred."""
NAMES = 32 << 20
"""Bytes of all names that are read: many may be parts of one text."""

CLASS_64, BIG_ENDIAN = 2, 2
SHN_UNDEF, SHN_XINDEX, SHT_SYMTAB, SHT_NOTE, SHT_NOBITS, STT_FUNC = 0, 0xFFFF, 2, 7, 8, 2
IDENTIFICATION = 16
HEADERS = {False: "HHIIIIIHHHHHH", True: "HHIQQQIHHHHHH"}
"""struct of the header after e_ident, by whether the file is one of 64 bits."""
SECTIONS = {False: "IIIIIIIIII", True: "IIQQQQIIQQ"}
SYMBOLS = {False: "IIIBBH", True: "IBBHQQ"}


class UnfitElf(Exception):
    """The file is no ELF file, or a damaged one."""


class BoundlessElf(UnfitElf):
    """The file has more than any honest one."""


@dataclass(frozen=True)
class ElfSection:
    """A section.

    Attributes:
        name: its name.
        kind, flags: sh_type and sh_flags.
        at, size: place in the file, bytes.
        link: number of the section that it refers to.
    """

    name: str
    kind: int
    flags: int
    at: int
    size: int
    link: int


@dataclass(frozen=True)
class ElfSymbol:
    """A symbol.

    Attributes:
        name: its name.
        kind: the type in st_info (STT_*).
        section: number of its section (st_shndx).
        value, size: st_value and st_size.
    """

    name: str
    kind: int
    section: int
    value: int
    size: int


class BoundedElf:
    """An open ELF file.

    Args:
        file: the file, open for as long as this is used.

    Attributes:
        machine: number of the machine (e_machine).
        entry: address of the first instruction (e_entry).
        sections: all sections, in the file's order.

    Raises:
        UnfitElf: the file is none.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names = NAMES
        self._size = file.seek(0, 2)
        identification = self._read(0, IDENTIFICATION)
        if identification[:4] != b"\x7fELF":
            raise UnfitElf("it is no ELF file")
        self._wide = identification[4] == CLASS_64
        self._order = ">" if identification[5] == BIG_ENDIAN else "<"
        header = self._struct(HEADERS)
        fields = header.unpack(self._read(IDENTIFICATION, header.size))
        self.machine: int = fields[1]
        self.entry: int = fields[3]
        self.sections = self._sections(at=fields[5], size=fields[10], count=fields[11], names=fields[12])

    def section(self, name: str) -> ElfSection | None:
        """Return the first section of that name, or None."""
        return next((section for section in self.sections if section.name == name), None)

    def data(self, section: ElfSection, most: int) -> bytes:
        """Return the content of a section.

        Raises:
            UnfitElf: it has more than `most` bytes, or lies outside of the file.
        """
        if section.kind == SHT_NOBITS:
            return b""
        if section.size > most:
            raise BoundlessElf(f"its section {section.name} has {section.size} bytes, and {most} is the most")
        return self._read(section.at, section.size)

    def notes(self) -> Iterator[tuple[str, int]]:
        """Yield name and type of each note, in the file's order.

        Raises:
            UnfitElf: there are too many, or they lie outside of the file.
        """
        header = struct.Struct(self._order + "III")
        for section in self.sections:
            data = self.data(section, LARGEST_NOTES) if section.kind == SHT_NOTE else b""
            at = 0
            while at + header.size <= len(data):
                name, content, kind = header.unpack_from(data, at)
                begin = at + header.size
                yield data[begin : begin + name].rstrip(b"\0").decode(errors="replace"), kind
                # Both parts end at a multiple of 4 bytes.
                at = begin + (name + 3 & ~3) + (content + 3 & ~3)

    def symbol_count(self) -> int:
        """Return the number of symbols of `.symtab`; 0 without one."""
        table = self.section(".symtab")
        return table.size // self._struct(SYMBOLS).size if table and table.kind == SHT_SYMTAB else 0

    def symbols(self, *, undefined: bool = False) -> Iterator[ElfSymbol]:
        """Yield the symbols of `.symtab`, in the file's order.

        Args:
            undefined: only those that another file has to define.

        Raises:
            UnfitElf: there are too many, or one has no name in the file.
        """
        table = self.section(".symtab")
        if table is None or table.kind != SHT_SYMTAB:
            return
        form = self._struct(SYMBOLS)
        entries = self.data(table, MOST_SYMBOLS * form.size)
        if table.link >= len(self.sections):
            raise UnfitElf("its symbols have no names")
        names = self.data(self.sections[table.link], NAMES)
        for fields in form.iter_unpack(entries[: len(entries) // form.size * form.size]):
            if self._wide:
                name, info, _, section, value, size = fields
            else:
                name, value, size, info, _, section = fields
            if not undefined or section == SHN_UNDEF:
                yield ElfSymbol(self._name(names, name), info & 0xF, section, value, size)

    def _sections(self, at: int, size: int, count: int, names: int) -> list[ElfSection]:
        form = self._struct(SECTIONS)
        if not at:
            return []
        if size != form.size:
            raise UnfitElf("its sections have another size")
        first = form.unpack(self._read(at, form.size))
        # Larger numbers stand in the first section.
        count, names = count or first[5], first[6] if names == SHN_XINDEX else names
        if count > MOST_SECTIONS:
            raise BoundlessElf(f"it has {count} sections, and {MOST_SECTIONS} is the most")
        all_fields = list(form.iter_unpack(self._read(at, count * form.size)))
        if names >= count:
            raise UnfitElf("its sections have no names")
        texts = self._read(all_fields[names][4], min(all_fields[names][5], NAMES))
        return [
            ElfSection(self._name(texts, name), kind, flags, place, length, link)
            for name, kind, flags, _, place, length, link, *_ in all_fields
        ]

    def _name(self, texts: bytes, at: int) -> str:
        end = texts.find(b"\0", at, at + LONGEST + 1)
        if end < 0:
            raise BoundlessElf("a name in it has no end")
        self._names -= end - at
        if self._names < 0:
            raise BoundlessElf(f"its names have more than {NAMES >> 20} MiB")
        return texts[at:end].decode(errors="replace")

    def _struct(self, forms: dict[bool, str]) -> struct.Struct:
        return struct.Struct(self._order + forms[self._wide])

    def _read(self, at: int, size: int) -> bytes:
        if at + size > self._size:
            raise UnfitElf("it ends too early")
        self._file.seek(at)
        return self._file.read(size)
