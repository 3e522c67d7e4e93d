# SPDX-License-Identifier: MIT
"""Paths that others cannot take as they are (the kernel's Makefiles, sockets), and files of strangers."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import EnvironmentFault, UsageError

UNFIT = re.compile(r"[^\w./+@,=~^-]")
"""Characters that break the kernel's Makefiles, which do not quote paths."""

LARGEST = 16 << 20
"""Most bytes that are read of a file which a person wrote: a Makefile, a source."""


def require_for_make(path: Path, remedy: str) -> None:
    """Refuse a path that the kernel's Makefiles cannot handle.

    Args:
        remedy: the error's remedy.

    Raises:
        UsageError: the path contains such a character.
    """
    if found := UNFIT.search(str(path)):
        what = {" ": "a space", ":": "a colon"}.get(found[0], f"the character {found[0]!a}")
        shown = os.fsencode(path).decode(errors="replace")
        raise UsageError(f"{shown} has {what} in its path, which the kernel's Makefiles cannot handle", remedy)


def write_named(path: Path, text: str) -> None:
    """Write a text into a file that the user has named.

    A plain file is replaced, and only by a complete one. A link, a pipe or a device (`/dev/stdout`) stays, and the text
    goes where it leads.

    Args:
        path: the file.
        text: the text, in which surrogates stand for bytes that are not UTF-8 (PEP 383).

    Raises:
        OSError: the file cannot be written.
        EnvironmentFault: the reader of a pipe has gone.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        try:
            with path.open("w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        except BrokenPipeError as error:
            raise EnvironmentFault(f"the reader of {path} has gone", "name a plain file, or another reader") from error
        return
    # A name of its own: one that the file's is a part of may be too long.
    partial = path.with_name(f".r4l-{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        with partial.open("x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        if path.exists():
            partial.chmod(stat.S_IMODE(path.stat().st_mode))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yield an address of a socket at a path of any length, valid inside the `with` block.

    The kernel takes 107 bytes (unix(7)); the address goes through the descriptor of the socket's folder.

    Raises:
        OSError: the folder is missing.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def followed(path: Path) -> Path:
    """Return the path that a path leads to, as `Path.resolve`, which fails for links that lead in a circle."""
    return Path(os.path.realpath(path))


def is_below(path: Path, folder: Path) -> bool:
    """True if a path is a folder or below it, like `Path.is_relative_to`, whose time has grown with the square of the
    path's length since Python 3.12."""
    return path.parts[: len(folder.parts)] == folder.parts


def require_folder(path: Path, remedy: str) -> None:
    """Refuse a path of the user's that leads to no folder.

    Args:
        remedy: the error's remedy.

    Raises:
        UsageError: the path leads to something else, nowhere, or in a circle.
    """
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # A ValueError comes of a null character.
        pass
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UsageError(f"{path} is a link that leads in a circle", "name the folder or file itself") from error
    raise UsageError(f"{path} is not a folder", remedy)


def leads_to_file(path: Path) -> bool:
    """True if a path that a stranger's text names leads to a plain file. `Path.is_file` raises an error for a name that
    is too long and for a folder that is closed to the user."""
    try:
        return path.is_file()
    except OSError:
        return False


def leads_to_folder(path: Path) -> bool:
    """True if a path that a stranger's text names leads to a folder, like `leads_to_file`."""
    try:
        return path.is_dir()
    except OSError:
        return False


def require_bytes(path: Path, largest: int = LARGEST, *, follow: bool = True) -> bytes:
    """Return the content of a file in a stranger's folder, in bounded time and memory.

    Args:
        path: the file.
        largest: maximum bytes of it.
        follow: False to read no file behind a link.

    Raises:
        OSError: the file cannot be read, or is a link that is not followed.
        UsageError: it is a pipe or a device, which may never end, or larger than `largest`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"{path} is not a plain file", "put the file itself there")
        data = file.read(largest + 1)
    if len(data) > largest:
        raise UsageError(f"{path} is larger than {largest >> 20} MiB", "make it smaller, or move it away")
    return data


def require_text(path: Path, errors: str = "strict") -> str:
    """Return the text of a file in a stranger's folder, like `require_bytes`.

    Args:
        path: the file.
        errors: of `bytes.decode`.

    Raises:
        OSError, UsageError: as for `require_bytes`.
        UnicodeDecodeError: with `errors="strict"`, the file is not UTF-8.
    """
    # Line ends are as in text mode.
    return require_bytes(path).decode("utf-8", errors).replace("\r\n", "\n").replace("\r", "\n")


def own_bytes(path: Path) -> bytes | None:
    """Return the content of a file that a stranger's program may have written; None if there is none, or a link, pipe
    or folder in its place, or one larger than `LARGEST`."""
    try:
        return require_bytes(path, follow=False)
    except (OSError, UsageError):
        return None


def text_or_none(path: Path) -> str:
    """Return the text of a file in a stranger's folder; empty if it is none that a person wrote (`require_text`)."""
    try:
        return require_text(path, "replace")
    except (OSError, UsageError):
        return ""
