# SPDX-License-Identifier: MIT
"""A kernel's symbols as an ELF file."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from r4l.debug import symbols
from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel

LISTING = b"""\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff8147cdb0 t do_init_module
ffffffff82a00000 D jiffies
ffffffff821b8d0f W pv_native_safe_halt
ffffffffc0400010 t init\t[hello]
"""
KERNEL = cast(Kernel, SimpleNamespace(arch="x86_64"))


def test_functions_of_the_kernel_and_nothing_else(tmp_path: Path) -> None:
    data = symbols.elf(LISTING, KERNEL)
    elf = ELFFile(io.BytesIO(data))
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    found = {symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name}
    assert found == {
        "_stext": 0xFFFFFFFF81000000,
        "do_init_module": 0xFFFFFFFF8147CDB0,
        "pv_native_safe_halt": 0xFFFFFFFF821B8D0F,
    }
    text = elf.get_section_by_name(".text")
    assert text is not None
    assert all(text["sh_addr"] <= place < text["sh_addr"] + text["sh_size"] for place in found.values())
    assert elf["e_machine"] == "EM_X86_64"
    file = tmp_path / "symbols"
    file.write_bytes(data)
    assert symbols.has_symbols(file)
    assert symbols.address(file, "do_init_module") == 0xFFFFFFFF8147CDB0
    with pytest.raises(EnvironmentFault, match="no symbol nothing"):
        symbols.address(file, "nothing")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", symbols.elf(LISTING, KERNEL)[:-100], b"text"])
def test_a_vmlinux_that_is_none(data: bytes, tmp_path: Path) -> None:
    """Regression: after a link that was cut off, `r4l debug` ended with a bug."""
    (tmp_path / "vmlinux").write_bytes(data)
    assert not symbols.has_symbols(tmp_path / "vmlinux")


def test_a_kernel_that_hides_its_addresses() -> None:
    with pytest.raises(EnvironmentFault, match="has no addresses"):
        symbols.elf(b"0000000000000000 T _stext\n0000000000000000 t do_init_module\n", KERNEL)
