# SPDX-License-Identifier: MIT
"""Console text to records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from r4l.klog import Record, parse
from r4l.klog.records import LINE_LIMIT, LineSplitter, parse_kmsg, parse_line


def test_level_time_and_text() -> None:
    assert parse_line("<4>[   12.345678] hello: a b\r") == [Record("hello: a b", 12.345678, 4)]


def test_user_facility_counts_only_for_its_level() -> None:
    assert parse_line("<15>[    1.000000] marked")[0].level == 7


def test_caller_of_kernels_that_print_it() -> None:
    assert parse_line("[    1.000000][  T12] x")[0] == Record("x", 1.0, None, "T12")


def test_line_without_prefix_is_a_programs() -> None:
    assert parse_line("login:") == [Record("login:")]


def test_prompt_and_message_on_one_line_are_two_records() -> None:
    assert parse_line("~ # <6>[    3.000000] e1000: up") == [Record("~ # "), Record("e1000: up", 3.0, 6)]


def test_terminal_escapes_are_removed() -> None:
    assert parse_line("\x1b[1;31mred\x1b[0m") == [Record("red")]


def test_kmsg() -> None:
    assert parse_kmsg("6,339,5140900,-;NET: Registered\n") == Record("NET: Registered", 5.1409, 6)
    assert parse_kmsg(" SUBSYSTEM=acpi") is None


def test_splitter_joins_pieces_and_bounds_what_has_no_end() -> None:
    splitter = LineSplitter()
    assert list(splitter.feed(b"one\ntw")) == ["one"]
    assert splitter.rest == "tw"
    assert list(splitter.feed(b"o\n")) == ["two"]
    for end in (b"", b"\n"):
        assert list(splitter.feed(b"\0" * (LINE_LIMIT + 1) + end)) == ["\0" * LINE_LIMIT, "\0"]
        assert splitter.rest == ""
    assert list(splitter.feed(b"\n")) == [""]


@given(st.binary(max_size=400))
def test_any_bytes_can_be_parsed(noise: bytes) -> None:
    for record in parse(noise.decode("utf-8", "replace")):
        assert isinstance(record.text, str)
