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
from typing import BinaryIO

from r4l.elf import BoundedElf, UnfitElf
from r4l.errors import EnvironmentFault
from r4l.kernel import pvh

SETUP = 65 * 512
"""Bytes of the largest real-mode setup, with the boot sector."""
FLAT = (b"ARM\x64", b"RSC\x05")
"""Magic numbers at 0x38 of an uncompressed image, whose headers have offset and size at the same places."""


@dataclass(frozen=True)
class Image:
    """A file that contains a kernel.

    Attributes:
        kind: `vmlinux`, `bzImage`, `Image`, or `unknown`.
        size: bytes.
        about: content of its header, in words; for a damaged file, what is wrong with it.
    """

    path: Path
    kind: str
    size: int
    about: str


def identify(path: Path) -> Image:
    """Read the header of a kernel's file. Damage is described, not raised."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(SETUP)
        try:
            if head.startswith(b"\x7fELF"):
                return Image(path, "vmlinux", size, _elf(BoundedElf(stream)))
            if head[0x202:0x206] == b"HdrS":
                return Image(path, "bzImage", size, _bzimage(head, stream))
        except UnfitElf as error:
            return Image(path, "unknown", size, f"a damaged ELF file: {error}")
        except EnvironmentFault as error:
            return Image(path, "unknown", size, f"a damaged bzImage: {error.cause}")
    if head[0x38:0x3C] in FLAT:
        text_offset, image_size = struct.unpack_from("<QQ", head, 8)
        about = f"not compressed, no ELF: the bytes as they lie in memory, {_mib(image_size)} with .bss"
        return Image(path, "Image", size, about + (f", at offset {text_offset:#x}" if text_offset else ""))
    return Image(path, "unknown", size, "")


def _elf(elf: BoundedElf) -> str:
    debug = elf.section(".debug_info") or elf.section(".zdebug_info")
    symbols = elf.symbol_count()
    words = [f"ELF, entry {elf.entry:#x}"]
    words.append(f"{symbols} symbols" if symbols else "no symbols")
    words.append(f"debug information {_mib(debug.size)}" if debug else "no debug information")
    if pvh.note_in(elf):
        words.append("a PVH note: QEMU starts it without firmware")
    return ", ".join(words)


def _bzimage(head: bytes, stream: BinaryIO) -> str:
    start, length = pvh.payload_at(head)
    if start + length > stream.seek(0, 2):
        raise EnvironmentFault("it ends too early")
    major, minor = head[0x207], head[0x206]
    # kernel_version counts from 0x200.
    offset = struct.unpack_from("<H", head, 0x20E)[0] + 0x200
    version = head[offset:].partition(b"\0")[0].decode("ascii", "replace").partition(" ")[0]
    stream.seek(start)
    packed = stream.read(8)
    how = next((command[0] for magic, command in pvh.DECOMPRESSORS.items() if packed.startswith(magic)), "unknown")
    return (
        f"boot protocol {major}.{minor:02}, version {version}: a real-mode setup, a decompressor, "
        f"and vmlinux packed with {how} ({_mib(length)})"
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
