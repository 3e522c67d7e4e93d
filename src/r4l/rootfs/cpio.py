# SPDX-License-Identifier: MIT
"""The "newc" cpio format, which the kernel unpacks as an initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel source. The writer is deterministic
(inode numbers count up, time stamps are zero, owners default to root), so equal entries give equal bytes. It needs no
privilege: device nodes are only lines in the archive.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"070701"
HEADER_SIZE = 110
TRAILER = "TRAILER!!!"
NAME_LIMIT = 4096
DATA_LIMIT = 0xFFFFFFFF


class CpioError(ValueError):
    """An archive that cannot be read, or an entry that cannot be written."""


@dataclass(frozen=True)
class Member:
    """One member of an archive.

    `mode` holds file type and permission bits as in `stat.st_mode`; `data` is a file's content or a link's target;
    `rdev` is (major, minor) of a device node. Names have no leading slash.
    """

    name: str
    mode: int
    data: bytes = b""
    rdev: tuple[int, int] = (0, 0)
    uid: int = 0
    gid: int = 0


def directory(name: str, permissions: int = 0o755) -> Member:
    """Return the entry of a folder."""
    return Member(name, stat.S_IFDIR | permissions)


def regular(name: str, data: bytes, permissions: int = 0o644) -> Member:
    """Return the entry of an ordinary file."""
    return Member(name, stat.S_IFREG | permissions, data)


def symlink(name: str, target: str) -> Member:
    """Return the entry of a symbolic link."""
    return Member(name, stat.S_IFLNK | 0o777, os.fsencode(target))


def character(name: str, major: int, minor: int, permissions: int = 0o600) -> Member:
    """Return the entry of a character device node."""
    return Member(name, stat.S_IFCHR | permissions, rdev=(major, minor))


def _header(ino: int, entry: Member, name: bytes) -> bytes:
    nlink = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        ino, entry.mode, entry.uid, entry.gid, nlink, 0, len(entry.data), 0, 0, *entry.rdev, len(name) + 1, 0,
    )  # fmt: skip
    return MAGIC + b"".join(b"%08X" % field for field in fields)


def _pad(length: int) -> bytes:
    return b"\0" * (-length % 4)


def write(entries: Iterable[Member], out: BinaryIO) -> int:
    """Write `entries` and the trailer to `out`; return the number of bytes written.

    Raises:
        CpioError: a name is absolute, contains "..", is too long or occurs twice, or the data exceed 4 GiB.
    """
    seen: set[str] = set()
    total = 0
    ino = 0
    for ino, entry in enumerate(entries, start=1):
        parts = entry.name.split("/")
        if not entry.name or entry.name.startswith("/") or ".." in parts or "\0" in entry.name:
            raise CpioError(f"not a name for an archive member: {entry.name!r}")
        if entry.name in seen:
            raise CpioError(f"member given twice: {entry.name!r}")
        seen.add(entry.name)
        if len(entry.data) > DATA_LIMIT or len(os.fsencode(entry.name)) >= NAME_LIMIT:
            raise CpioError(f"member too large: {entry.name!r}")
        total += _write_one(out, ino, entry)
    total += _write_one(out, 0, Member(TRAILER, 0))
    return total


def _write_one(out: BinaryIO, ino: int, entry: Member) -> int:
    name = os.fsencode(entry.name)
    head = _header(ino, entry, name) + name + b"\0"
    head += _pad(len(head))
    out.write(head)
    out.write(entry.data)
    tail = _pad(len(entry.data))
    out.write(tail)
    return len(head) + len(entry.data) + len(tail)


def read(archive: bytes) -> Iterator[Member]:
    """Yield the members of an archive in order, without the trailer.

    Raises:
        CpioError: the bytes are not a complete newc archive; the message names the offset.
    """
    position = 0
    while True:
        raw = archive[position : position + HEADER_SIZE]
        if len(raw) < HEADER_SIZE or raw[:6] != MAGIC:
            raise CpioError(f"no newc header at offset {position}")
        try:
            fields = [int(raw[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        except ValueError:
            raise CpioError(f"header at offset {position} is not hexadecimal") from None
        mode, uid, gid, size, name_size = fields[1], fields[2], fields[3], fields[6], fields[11]
        name_start = position + HEADER_SIZE
        data_start = name_start + name_size + (-(HEADER_SIZE + name_size) % 4)
        if not 1 < name_size <= NAME_LIMIT or data_start + size > len(archive):
            raise CpioError(f"member at offset {position} is cut short")
        name = archive[name_start : name_start + name_size - 1].decode("utf-8", "surrogateescape")
        if name == TRAILER:
            return
        yield Member(name, mode, archive[data_start : data_start + size], (fields[9], fields[10]), uid, gid)
        position = data_start + size + (-size % 4)
