# SPDX-License-Identifier: MIT
"""Prefixes of other people's logs: every example of prefixes.toml, and mixtures."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.klog.logs import OOPS, read

from r4l.klog import Record
from r4l.klog.prefixes import PREFIXES, parse_any_line

EXAMPLES = [(entry, example) for entry in PREFIXES for example in entry["examples"]]
TEXTS = [
    "BUG: x",
    " <TASK>",
    "  f+0x1/0x2",
    "[ INFO: possible recursive locking detected ]",
    "[<ffffffff81000000>] f+0x1/0x2",
    "    [<ffffffff81000000>] f+0x1/0x2",
    "  hex dump (first 32 bytes):",
]


def one(line: str) -> Record:
    (record,) = parse_any_line(line)
    return record


@pytest.mark.parametrize(("entry", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_each_shape_is_taken_off(entry: dict[str, object], example: str) -> None:
    record = one(example)
    assert record.text == "BUG: x"
    if "kernel" in entry:
        assert record.kernel is entry["kernel"]
    if "[   12.345678" in example or "12345678,-" in example:
        assert record.time == 12.345678
    if "T123" in example or "123:" in example.partition("BUG")[0] or " 123]" in example:
        assert record.caller in ("T123", None if record.kernel is False else "T123")


def test_there_are_more_than_thirty_shapes() -> None:
    assert len(EXAMPLES) >= 34


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[   12.345678] ", ""),
        ("[   12.345678][  T123] ", ""),
        ("[   12.345678] [    T123] ", ""),
        ("<4>[   12.345678] ", "\r"),
        ("Nov 28 10:00:00 host kernel: ", ""),
        ("Nov 28 10:00:00 host kernel: [   12.345678] ", ""),
        ("[Sat Nov 28 10:00:00 2026] ", ""),
        ("4,339,12345678,-;", ""),
        ("kern  :warn  : ", ""),
        ("> [   12.345678][  T123] ", ""),
        ("> ", ""),
        (">> ", ""),
        ("> 2026-11-28T10:00:00.1234567Z [   12.345678] ", ""),
        ("2026-11-28T10:00:00.123Z Nov 28 10:00:00 host kernel: [   12.345678] [  T123] ", ""),
        ("guest-1  | <4>[   12.345678] ", "\r\n"),
        ("\x1b[33m[   12.345678]\x1b[0m ", ""),
        ("", ""),
    ],
)
def test_the_kernels_words_keep_their_blanks_and_brackets(before: str, text: str, after: str) -> None:
    assert one(before + text + after).text == text


@pytest.mark.parametrize(
    ("line", "time_", "level", "caller"),
    [
        ("<12>[   12.345678][    C3] x", 12.345678, 4, "C3"),
        ("kern  :err   : [   12.345678] [    T7] x", 12.345678, 3, "T7"),
        ("4,339,12345678,-,caller=T7;x", 12.345678, 4, "T7"),
        ("[   12.345678] host kernel: x", 12.345678, None, None),
        ("[   12.345678]  [1:  prog:  77] x", 12.345678, None, "T77"),
        ("Nov 28 10:00:00 host kern.crit kernel: [   12.345678] x", 12.345678, 2, None),
        ("Sat Nov 28 10:00:00 2026 kern.alert kernel: [   12.345678] x", 12.345678, 1, None),
        ("2026-11-28T10:00:00.123456Z ERR kernel: [   12.345678] [    T7] x", 12.345678, 3, "T7"),
    ],
)
def test_what_prefixes_say_is_read(line: str, time_: float, level: int | None, caller: str | None) -> None:
    record = one(line)
    assert (record.text, record.time, record.level, record.caller) == ("x", time_, level, caller)


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("BUG: unable to handle[   12.345678] device up", ["BUG: unable to handle", "device up"]),
        ("[   12.345678] BUG: a[   12.345679][  T1] b", ["BUG: a", "b"]),
        ("/ # <4>[   12.345678] a", ["a"]),
        (" f+0x1/0x2[   12.345678] a", [" f+0x1/0x2", "a"]),
        ("[   12.345678] widget: a[   12.345679] b", ["widget: a", "b"]),
        ("[   12.345678] [ INFO: a ]", ["[ INFO: a ]"]),
        ("Nov 28 10:00:00 host kernel: a#012b", ["a", "b"]),
    ],
)
def test_lines_that_two_writers_tore(line: str, texts: list[str]) -> None:
    assert [record.text for record in parse_any_line(line)] == texts


@pytest.mark.parametrize(
    "line", ["kernel", "[12", "<>", "login:", "1.2.3 [inline]", "[mem 0x0-0xff] x", "[m0] x", "11:22", "a | b"]
)
def test_what_is_no_prefix_stays(line: str) -> None:
    assert one(line).text == line.rstrip()


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    for record in parse_any_line(text):
        assert isinstance(record.text, str)


@given(
    st.sampled_from(["> ", "[", "[ ", "<4>", "1", "-", "Nov 28 ", "[T1] ", "a ", "|", "_", "* ", "[1.2] "]),
    st.integers(1, 4000),
)
def test_no_line_takes_long(piece: str, times: int) -> None:
    begin = time.process_time()
    parse_any_line((piece * times)[:8192])
    assert time.process_time() - begin < 0.5


LEVEL_WORDS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"]


@pytest.mark.parametrize(
    "head",
    [
        "Sat Nov 28 10:00:00 2026 kern.{0} kernel: ",
        "2026-11-28T10:00:00.123456Z {1} kernel: ",
        "Nov 28 10:00:00 user.{0} kernel: ",
        "kern.{0} kernel: ",
    ],
)
def test_a_level_is_no_host(head: str) -> None:
    lines = [
        f"{head.format(word, 'WARNING' if word == 'warn' else word.upper())}[   12.{number:06}] {text}"
        for number, (text, word) in enumerate(zip(OOPS, LEVEL_WORDS * len(OOPS), strict=False))
    ]
    others = [f"Sat Nov 28 10:00:00 2026 daemon.info prog[{number}]: busy" for number in range(len(OOPS))]
    for mixed in (lines, [line for pair in zip(lines, others, strict=True) for line in pair]):
        (splat,) = read(*mixed)
        assert len(splat.records) >= len(OOPS) - 1
        assert splat.culprit
    assert {record.machine for line in lines for record in parse_any_line(line)} == {""}


def test_a_host_beside_a_level_is_one() -> None:
    for line in ("Nov 28 10:00:00 box kern.alert kernel: x", "Nov 28 10:00:00 kern.alert box kernel: x"):
        assert (one(line).machine, one(line).level, one(line).kernel) == ("box", 1, True)
