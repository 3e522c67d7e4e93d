# SPDX-License-Identifier: MIT
"""Extract the ELF in a bzImage. QEMU boots it directly (PVH), without firmware and without decompression in the guest.

Layout of a bzImage: Documentation/arch/x86/boot.rst, fields setup_sects, payload_offset and payload_length. PVH entry:
ELF note XEN_ELFNOTE_PHYS32_ENTRY (18), include/xen/interface/elfnote.h.

`arch/` has which architectures are booted so (`direct`); the format is here, as that of any other file.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

from r4l.elf import BoundedElf, UnfitElf
from r4l.errors import EnvironmentFault
from r4l.toolchain import Grant, Toolchain

DECOMPRESSORS = {
    b"\xfd7zXZ\x00": ["xz", "-dc"],
    b"\x28\xb5\x2f\xfd": ["zstd", "-dc"],
    b"\x1f\x8b": ["gzip", "-dc"],
    b"\x02\x21\x4c\x18": ["lz4", "-dc"],
}
HEADER_END = 0x250
"""End of payload_length, bytes."""
XEN_ELFNOTE_PHYS32_ENTRY = 18


def payload_at(head: bytes) -> tuple[int, int]:
    """Return the place of the compressed kernel inside a bzImage, and its length, in bytes.

    Args:
        head: the image, or its first 1024 bytes.

    Raises:
        EnvironmentFault: the image is no bzImage of boot protocol 2.08 or newer.
    """
    if head[0x202:0x206] != b"HdrS" or len(head) < HEADER_END or struct.unpack_from("<H", head, 0x206)[0] < 0x208:
        raise EnvironmentFault("the kernel image is not a bzImage", "use a Debian kernel")
    setup_sectors = head[0x1F1] or 4
    offset, length = struct.unpack_from("<II", head, 0x248)
    return (setup_sectors + 1) * 512 + offset, length


def payload(image: bytes) -> bytes:
    """Return the compressed kernel inside a bzImage.

    Raises:
        EnvironmentFault: as for `payload_at`.
    """
    start, length = payload_at(image)
    return image[start : start + length]


def extract_vmlinux(bzimage: Path, toolchain: Toolchain) -> bytes:
    """Return the PVH-bootable ELF of a bzImage.

    Raises:
        EnvironmentFault: the compression is unknown, or the kernel has no PVH entry (CONFIG_PVH).
    """
    packed = payload(bzimage.read_bytes())
    for magic, command in DECOMPRESSORS.items():
        if packed.startswith(magic):
            # The kernel's build appends the unpacked size (4 bytes), which decompressors reject as trailing garbage.
            body = packed if command[0] == "gzip" else packed[:-4]
            vmlinux = toolchain.run(command, Grant("kernel: vmlinux unpacked"), input=body).stdout
            break
    else:
        raise EnvironmentFault(f"unknown compression of {bzimage.name}: {packed[:6].hex()}", "use a Debian kernel")
    if not has_pvh_entry(vmlinux):
        raise EnvironmentFault("the kernel has no PVH entry", "set CONFIG_PVH=y")
    return vmlinux


def has_pvh_entry(elf: bytes) -> bool:
    """True if QEMU's `-kernel` can start the ELF directly."""
    try:
        return note_in(BoundedElf(io.BytesIO(elf)))
    except UnfitElf:
        return False


def note_in(elf: BoundedElf) -> bool:
    """True if an ELF has the note that names its PVH entry.

    Raises:
        UnfitElf: the file is damaged.
    """
    return ("Xen", XEN_ELFNOTE_PHYS32_ENTRY) in elf.notes()
