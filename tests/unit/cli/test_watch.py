# SPDX-License-Identifier: MIT
"""The screen of `r4l watch`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from r4l.cli.screen import show_what_can_be_shown
from r4l.cli.watch import WatchScreen
from r4l.terminal import ColouredOutput, escaped
from r4l.watch.job import JobResult

TITLE = "\x1b]0;mine\x07"
CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x1b\\"


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_output_in_pieces(size: int) -> None:
    data = f"a\x1b[31mred\x1b[0m {TITLE}{CLIPBOARD}\x1b[2J\x9b5n ☃\n\tb".encode() + b"\xff\r\x1b"
    output = ColouredOutput()
    pieces = [output.text(data[begin : begin + size]) for begin in range(0, len(data), size)]
    assert "".join(pieces) + output.text(b"", last=True) == (
        "a\x1b[31mred\x1b[0m \\x1b]0;mine\\x07\\x1b]52;c;cm0gLXJmIH4=\\x1b\\\\x1b[2J\\x9b5n ☃\n\tb\\xff\\r\\x1b"
    )


def test_a_colour_without_an_end_is_not_kept_for_ever() -> None:
    output = ColouredOutput()
    assert output.text(b"\x1b[" + b"1;" * 500) == "\\x1b[" + "1;" * 500


def test_a_line_of_the_guest() -> None:
    assert escaped(f"a{TITLE}\x1b[31mb\tc") == "a\\x1b]0;mine\\x07\\x1b[31mb\tc"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_screen_obeys_no_output(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """Regression: a driver under watch set the terminal's title and the clipboard."""
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, encoding=encoding))
    show_what_can_be_shown()
    screen = WatchScreen()
    screen.begin(frozenset({Path("a.rs")}))
    screen.output(f"☃{TITLE}\x1b[3".encode())
    screen.output(b"1mred\x1b")
    screen.end(JobResult(), 1)
    sys.stdout.flush()
    shown = terminal.getvalue()
    assert TITLE.encode() not in shown
    assert ("☃" if encoding == "utf-8" else "?").encode() in shown
    assert b"\x1b[31mred\\x1b" in shown
