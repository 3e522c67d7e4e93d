# SPDX-License-Identifier: MIT
"""Consoles for tables and warnings."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterable
from typing import IO, TextIO

from rich.text import Text

from r4l.terminal import Console, only_colours

UNSHOWN = "r4l-unshown"
"""Name of the error handler (codecs.register_error) for characters that the user's terminal lacks."""


def show_what_can_be_shown() -> None:
    """Have stdout and stderr never fail for a character: one that their encoding lacks becomes `?`.

    Bytes of file names that were not text (PEP 383) are written unchanged.
    """
    codecs.register_error(UNSHOWN, _unshown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=UNSHOWN)


def _unshown(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    codes = [ord(character) for character in error.object[error.start : error.end]]
    return b"".join(bytes([code - 0xDC00]) if 0xDC80 <= code <= 0xDCFF else b"?" for code in codes), error.end


WIDE = 200
"""Characters of a line if the output is no terminal: a file, a pipe, a CI's log have no edge to cut or wrap at."""


def screen(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or `WIDE` without one."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def show_warnings(texts: Iterable[str]) -> None:
    """Print the compilers' warnings of successful builds, each once, to stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for text in dict.fromkeys(filter(None, texts)):
        console.print(Text.from_ansi(only_colours(text)))


def input_of_command() -> IO[bytes] | None:
    """Return the piped input; None if stdin is a terminal, which stays the user's own."""
    return None if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer


def emit(stream: TextIO | None, data: bytes) -> None:
    """Write bytes unchanged: the guest's output may not be text.

    Args:
        stream: stdout or stderr; None if the user closed it.
        data: the bytes.

    Raises:
        OSError: the reader is gone, or the disk is full.
    """
    if stream is None:
        return
    stream.flush()
    # Not through the stream's buffer: Python would try a failed write once more at exit.
    while data:
        data = data[os.write(stream.fileno(), data) :]
