# SPDX-License-Identifier: MIT
"""Describe the files that a kernel's build makes: vmlinux, and the image for boot loaders.

bzImage: Documentation/arch/x86/boot.rst. Image of arm64: Documentation/arch/arm64/booting.rst, section 4. Image of
RISC-V: Documentation/arch/riscv/boot-image-header.rst.

The formats are here and not in `arch/`, since a file is recognised by its content, whatever made it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from r4l.kernel import pvh

FLAT = (b"ARM\x64", b"RSC\x05")
"""Magic numbers at 0x38 of an uncompressed image, whose headers have offset and size at the same places."""


@dataclass(frozen=True)
class Image:
    """A file that contains a kernel.

    Attributes:
        kind: `vmlinux`, `bzImage`, `Image`, or `unknown`.
        size: bytes.
        about: content of its header, in words.
    """

    path: Path
    kind: str
    size: int
    about: str


def identify(path: Path) -> Image:
    """Read the header of a kernel's file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(4096)
        if head.startswith(b"\x7fELF"):
            return Image(path, "vmlinux", size, _elf(ELFFile(stream)))
    if head[0x202:0x206] == b"HdrS":
        return Image(path, "bzImage", size, _bzimage(path.read_bytes()))
    if head[0x38:0x3C] in FLAT:
        text_offset, image_size = struct.unpack_from("<QQ", head, 8)
        about = f"not compressed, no ELF: the bytes as they lie in memory, {_mib(image_size)} with .bss"
        return Image(path, "Image", size, about + (f", at offset {text_offset:#x}" if text_offset else ""))
    return Image(path, "unknown", size, "")


def _elf(elf: ELFFile) -> str:
    debug = elf.get_section_by_name(".debug_info") or elf.get_section_by_name(".zdebug_info")
    symbols = cast("SymbolTableSection | None", elf.get_section_by_name(".symtab"))
    words = [f"ELF, entry {elf['e_entry']:#x}"]
    words.append(f"{symbols.num_symbols()} symbols" if symbols else "no symbols")
    words.append(f"debug information {_mib(debug['sh_size'])}" if debug else "no debug information")
    if pvh.note_in(elf):
        words.append("a PVH note: QEMU starts it without firmware")
    return ", ".join(words)


def _bzimage(image: bytes) -> str:
    major, minor = image[0x207], image[0x206]
    # kernel_version counts from 0x200.
    offset = struct.unpack_from("<H", image, 0x20E)[0] + 0x200
    version = image[offset : image.index(b"\0", offset)].decode("ascii", "replace").split()[0]
    packed = pvh.payload(image)
    how = next((command[0] for magic, command in pvh.DECOMPRESSORS.items() if packed.startswith(magic)), "unknown")
    return (
        f"boot protocol {major}.{minor:02}, version {version}: a real-mode setup, a decompressor, "
        f"and vmlinux packed with {how} ({_mib(len(packed))})"
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
