# SPDX-License-Identifier: MIT
"""ELF files that no compiler makes take neither memory nor time."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l.elf import BoundedElf, UnfitElf
from r4l.errors import BuildError, UsageError
from r4l.module import modinfo
from r4l.module.modinfo import BuiltModule

HEADER, SECTION, SYMBOL = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
INFO = b"vermagic=7.3.4 SMP\0license=GPL\0"
NAMES = b"\0.modinfo\0.symtab\0.strtab\0.shstrtab\0"
X86 = 62


def elf(
    *,
    info: bytes | int = INFO,
    symbols: bytes | int = SYMBOL.pack(1, 0x10, 0, 0, 0, 0),
    texts: bytes | int = b"\0printk\0",
    names: bytes | int = NAMES,
    count: int = 0,
    cut: int = 0,
) -> Callable[[Path], None]:
    """Return a function that writes an ELF file; a number in the place of a content is the size of a hole."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.seek(HEADER.size)
            places = []
            for content in (info, symbols, texts, names):
                places.append(file.tell())
                file.seek(content, os.SEEK_CUR) if isinstance(content, int) else file.write(content)
            sizes = [content if isinstance(content, int) else len(content) for content in (info, symbols, texts, names)]
            at = file.tell()
            file.write(bytes(32) + struct.pack("<Q", count) + bytes(SECTION.size - 40))
            for number, (name, kind) in enumerate(((1, 1), (10, 2), (18, 3), (26, 3))):
                file.write(SECTION.pack(name, kind, 0, 0, places[number], sizes[number], 3, 0, 1, 0))
            file.seek(0)
            identification = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
            file.write(HEADER.pack(identification, 1, X86, 1, 0, 0, at, 0, 64, 0, 0, 64, 0 if count else 5, 4))
        if cut:
            os.truncate(path, path.stat().st_size - cut)
        if count:
            os.truncate(path, at + count * SECTION.size)

    return write


def test_a_module(tmp_path: Path) -> None:
    elf()(tmp_path / "x.ko")
    module = BuiltModule(tmp_path / "x.ko")
    assert (module.machine, module.undefined) == ("EM_X86_64", ["printk"])
    assert module.modinfo == {"vermagic": ["7.3.4 SMP"], "license": ["GPL"]}


BOUNDLESS: dict[str, Callable[[Path], None]] = {
    "modinfo of 240 MB": elf(info=240 << 20),
    "modinfo of a tebibyte": elf(info=1 << 40),
    "symbols of a gibibyte": elf(symbols=SYMBOL.size << 25),
    "many sections": elf(count=1 << 22),
    "a name without end": elf(texts=b"\0" + b"a" * 10_000),
    "names that are parts of one": elf(
        symbols=b"".join(SYMBOL.pack(1 + n % 900, 0x10, 0, 0, 0, 0) for n in range(20_000)),
        texts=b"\0" + b"a" * 4_000 + b"\0",
    ),
    "a section's name without end": elf(names=NAMES + bytes(26) + b"a" * 10_000),
}


@pytest.mark.parametrize("what", BOUNDLESS)
def test_a_module_that_no_compiler_makes(tmp_path: Path, what: str) -> None:
    """Regression: four lines in a student's source took 4 GiB of the process that graded, for a minute."""
    BOUNDLESS[what](tmp_path / "x.ko")
    if what.startswith("a section's"):
        # Its own name is behind the others.
        data = bytearray((tmp_path / "x.ko").read_bytes())
        data[-SECTION.size : -SECTION.size + 4] = struct.pack("<I", len(NAMES) + 26)
        (tmp_path / "x.ko").write_bytes(data)
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from r4l.errors import BuildError\n"
        "from r4l.module.modinfo import BuiltModule\n"
        "module = BuiltModule(Path(sys.argv[1]))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    module.modinfo, module.undefined\n"
        "except BuildError as error:\n"
        "    print(error.cause)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x.ko")], capture_output=True, check=True)
    cause, taken = done.stdout.decode().splitlines()
    assert "x.ko is no module that a compiler makes" in cause
    assert int(taken) < 200 << 10
    assert time.monotonic() - begun < 20


DAMAGED: dict[str, Callable[[Path], object]] = {
    "empty": Path.touch,
    "no ELF": lambda path: path.write_bytes(b"\x1f\x8b" + bytes(100)),
    "a header only": lambda path: path.write_bytes(b"\x7fELF\x02\x01\x01".ljust(16, b"\0")),
    "cut": elf(cut=SECTION.size),
    "without sections": lambda path: path.write_bytes(HEADER.pack(b"\x7fELF\x02".ljust(16, b"\0"), *([0] * 13))),
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_no_module(tmp_path: Path, what: str) -> None:
    DAMAGED[what](tmp_path / "x.ko")
    with pytest.raises(UsageError, match="is not a kernel module"):
        _ = BuiltModule(tmp_path / "x.ko").modinfo


@pytest.mark.parametrize("part", range(0, 400, 7))
def test_each_damaged_byte_is_an_error_of_the_file(tmp_path: Path, part: int) -> None:
    elf()(tmp_path / "x")
    data = bytearray((tmp_path / "x").read_bytes())
    data[part % len(data)] ^= 0xFF
    (tmp_path / "x").write_bytes(data)
    try:
        with (tmp_path / "x").open("rb") as file:
            read = BoundedElf(file)
            list(read.symbols())
            [read.data(section, 1 << 20) for section in read.sections]
    except UnfitElf:
        pass


def test_a_module_is_not_larger_than_a_build_may_write(tmp_path: Path) -> None:
    elf()(tmp_path / "x.ko")
    os.truncate(tmp_path / "x.ko", modinfo.LARGEST + 1)
    with pytest.raises(BuildError, match="it has 512 MiB, and 512 is the most"):
        _ = BuiltModule(tmp_path / "x.ko").modinfo
