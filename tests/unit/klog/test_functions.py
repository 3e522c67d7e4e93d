# SPDX-License-Identifier: MIT
"""Sizes of functions as the kernel prints them, read from a .ko file."""

from __future__ import annotations

import struct
from pathlib import Path

from r4l.klog import functions
from r4l.klog.functions import CodeSymbol

FUNC, NOTYPE, OBJECT, SECTION = 2, 0, 1, 3
TEXT, COLD, DATA = 1, 2, 3
CODE = functions.SHF_ALLOC | functions.SHF_EXECINSTR


def module(path: Path, *symbols: tuple[str, int, int, int, int]) -> Path:
    """Write an ELF file with two sections of code and one of data, and symbols as name, kind, section, value, size."""
    texts, entries = b"\0", bytes(24)
    for name, kind, section, value, size in symbols:
        entries += struct.pack("<IBBHQQ", len(texts) if name else 0, kind, 0, section, value, size)
        texts += name.encode() + b"\0" if name else b""
    names = b"\0.text\0.text.unlikely\0.data\0.symtab\0.strtab\0"
    body = entries + texts + names
    rows = [
        (names.index(b".text\0"), 1, CODE, 0, 0, 0),
        (names.index(b".text.unlikely\0"), 1, CODE, 0, 0, 0),
        (names.index(b".data\0"), 1, functions.SHF_ALLOC, 0, 0, 0),
        (names.index(b".symtab\0"), 2, 0, 64, len(entries), 5),
        (names.index(b".strtab\0"), 3, 0, 64 + len(entries), len(texts), 0),
        (names.index(b".strtab\0"), 3, 0, 64 + len(entries) + len(texts), len(names), 0),
    ]
    table = bytes(64) + b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, at, size, link, 0, 1, 0)
        for name, kind, flags, at, size, link in rows
    )
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 1, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(rows) + 1, 6
    )
    path.write_bytes(head + body + table)
    return path


def test_a_size_reaches_to_the_next_symbol_of_the_section(tmp_path: Path) -> None:
    ko = module(
        tmp_path / "mm.ko",
        ("", SECTION, TEXT, 0, 0),
        ("second", FUNC, TEXT, 0x40, 0x16),
        ("first", FUNC, TEXT, 0x10, 0x1B),
        ("__pfx_second", NOTYPE, TEXT, 0x30, 0x10),
        ("$x", NOTYPE, TEXT, 0x18, 0),
        (".Lhere", NOTYPE, TEXT, 0x1C, 0),
        ("alias", FUNC, TEXT, 0x10, 0x1B),
        ("second.cold", FUNC, COLD, 0x0, 0x9),
        ("value", OBJECT, DATA, 0x50, 4),
        ("undefined", NOTYPE, 0, 0, 0),
    )
    assert functions.of_module(ko) == {
        "second": [CodeSymbol(0x16, None)],
        "first": [CodeSymbol(0x1B, 0x20)],
        "alias": [CodeSymbol(0x1B, 0x20)],
        "__pfx_second": [CodeSymbol(0x10, 0x10, is_code=False)],
        "second.cold": [CodeSymbol(0x9, None)],
    }


def test_no_module(tmp_path: Path) -> None:
    (tmp_path / "x.ko").write_bytes(b"words, not a module" * 9)
    assert functions.of_module(tmp_path / "x.ko") == functions.of_module(tmp_path / "none.ko") == {}
