# SPDX-License-Identifier: MIT
"""Complaints in other people's logs: prefixes and marks around each line, several machines, clocks, mails."""

from __future__ import annotations

import pytest
from tests.unit.klog.logs import OOPS, WARNING, read, symbols

from r4l.klog.prefixes import PREFIXES

KERNELS = [entry for entry in PREFIXES if entry.get("kernel") is not False]
SHAPES = [example.removesuffix("BUG: x") for entry in KERNELS for example in entry["examples"]]


@pytest.mark.parametrize("before", SHAPES)
def test_a_complaint_is_found_behind_every_prefix(before: str) -> None:
    lines = [before + text for text in ["widget: loaded", *OOPS, "widget: after"]]
    (splat,) = read(*lines)
    assert (splat.splat_kind, splat.killed) == ("oops", "task")
    assert (splat.first, splat.last) == (2, 14)
    assert symbols([splat]) == ["widget_read"]
    assert [frame.symbol for frame in splat.trace if frame.certain] == ["vfs_read", "do_syscall_64"]
    assert splat.task == ("prog:123", 1)


UNKNOWN = [
    "console.log:",
    "logs/console.log:123:",
    "   123\t",
    "[vm-test] ",
    "[pod/vm-0/console] ",
    "guest    | ",
    "INFO     console:vm.py:33 ",
    "2026-11-28 10:00:00,123 - console - DEBUG - ",
    "E       ",
    "AB> ",
    "Nov 28 10:00:00 ",
    "\tbox kernel: ",
    "&gt; ",
    "<p>",
]


@pytest.mark.parametrize("before", UNKNOWN)
def test_a_prefix_that_no_table_lists_is_no_line_of_the_complaint(before: str) -> None:
    lines = [f"{before}[   12.{number:06}] {text}" for number, text in enumerate([*OOPS, "widget: after"])]
    (splat,) = read(*lines)
    assert splat.lines == OOPS
    assert (splat.first, splat.last) == (1, len(OOPS))


HEADS = [
    "[vm-test] ",
    "guest | ",
    "logs/console.log:",
    "console.log:{number}:",
    "INFO     vm.py:33 ",
    "stdout>  ",
    "vm\t",
    "{number:6}\t",
    "{number:4}  ",
    "{number} ",
]


@pytest.mark.parametrize("head", HEADS)
def test_a_prefix_that_no_table_lists_in_a_log_without_stamps(head: str) -> None:
    texts = ["widget: before", *OOPS, "", "widget: after"]
    # So that the numbers get another digit within the complaint.
    lines = [(head.format(number=number) + text).rstrip() for number, text in enumerate(texts, 7)]
    (splat,) = read(*lines)
    assert splat.lines[: len(OOPS)] == OOPS
    assert (splat.first, splat.killed) == (2, "task")
    assert symbols([splat]) == ["widget_read"]
    assert read(*lines[:2]) == [], "a single line may be anything"


MARKS = [
    ('        "', '",'),
    ('"host","', '"'),
    ("", "<br>"),
    ("<p>", "</p>"),
    ("", "^M"),
    ("", "#015"),
    ("", '"}'),
    ("", "\\r\\n"),
    ("b'", "\\n'"),
    ("[0;31m", "[0m"),
    ("^[[1;31m", "^[[0m"),
    ("#033[31m", "#033[0m"),
    ("", "\0\0"),
    ("", "\ufffd\ufffd"),
]


@pytest.mark.parametrize(("before", "after"), MARKS)
def test_marks_around_each_line(before: str, after: str) -> None:
    (splat,) = read(*(f"{before}[   12.{number:06}] {text}{after}" for number, text in enumerate(OOPS)))
    assert splat.lines == OOPS


def test_what_programs_print_between_the_kernels_lines_is_left_out() -> None:
    lines = [line for number, text in enumerate(OOPS) for line in (f"[   12.{number:06}] {text}", "hello", "ok 1 a")]
    (splat,) = read(*lines, "[   12.900000] widget: after")
    assert splat.lines == OOPS


@pytest.mark.parametrize("indent", ["    ", "\t"])
def test_a_log_that_is_indented(indent: str) -> None:
    (splat,) = read(*(indent + text for text in ["widget: before", *OOPS, "widget: after"]))
    assert (splat.first, splat.last) == (2, 1 + len(OOPS))


@pytest.mark.parametrize(
    "machines",
    [("Nov 28 10:00:00 {} kernel: ", "web1", "web2"), ("{}  | [   12.345678] ", "guest-1", "guest-2")],
)
def test_complaints_of_several_machines_in_one_log(machines: tuple[str, str, str]) -> None:
    shape, first, second = machines
    lines = [line for text in OOPS for line in (shape.format(first) + text, shape.format(second) + text)]
    assert [splat.lines for splat in read(*lines)] == [OOPS, OOPS]


def test_a_guest_whose_console_is_in_its_hosts_journal() -> None:
    host = [f"Nov 28 10:00:00 host kernel: {text}" for text in WARNING]
    guest = [f"Nov 28 10:00:00 host qemu[7]: [   12.{number:06}] {text}" for number, text in enumerate(OOPS)]
    mixed = [line for pair in zip(host, guest, strict=False) for line in pair] + guest[len(host) :]
    assert [splat.lines for splat in sorted(read(*mixed), key=lambda splat: splat.first)] == [WARNING, OOPS]


def test_syslogds_broadcasts_have_empty_lines_between() -> None:
    (splat,) = read(
        *(line for text in OOPS for line in ("Message from syslogd@host at Nov 28 ...", f" kernel:{text}", ""))
    )
    assert [line.strip() for line in splat.lines] == [text.strip() for text in OOPS]


def test_a_log_of_more_machines_than_are_told_apart() -> None:
    lines = [f"Nov 28 10:00:00 web{number} kernel: {text}" for number in range(100) for text in OOPS]
    assert len(read(*lines)) == 100


def test_a_log_without_stamps() -> None:
    (splat,) = read("widget: loaded", *OOPS, "widget: after")
    assert (splat.first, splat.last) == (2, 14)


def test_a_second_blank_before_each_text() -> None:
    (splat,) = read(*(f"[   12.{number:06}][    C0]  {text}" for number, text in enumerate(WARNING)))
    assert (splat.splat_kind, splat.first, splat.last) == ("warning", 1, len(WARNING))
    assert symbols([splat]) == ["widget_open"]


def test_a_headline_that_a_mail_program_has_wrapped() -> None:
    texts = [
        "INFO: task kworker/u16:9:7088",
        "blocked for more than 120 seconds.",
        "Call Trace:",
        "widget_wait+0x1/0x2",
    ]
    (splat,) = read(*(f"Nov 28 10:00:00 host kernel: {text}" for text in texts))
    assert (splat.splat_kind, symbols([splat]), splat.task[0]) == ("hung-task", ["widget_wait"], "kworker/u16:9:7088")


def test_a_trace_in_a_mail_ends_before_the_prose() -> None:
    prose = ["", "To fix the issue, take the lock.", "", "Signed-off-by: a <b@c>", "---", " widget.c | 3 +++"]
    (splat,) = read(*(f" {text}" for text in OOPS[:-2]), *prose)
    assert splat.last == len(OOPS) - 1


def test_the_clock_of_a_log_without_the_kernels_times_parts_a_complaint_from_later_lines() -> None:
    lines = [f"Nov 28 10:00:00 host kernel: {text}" for text in OOPS[:8]]
    for later in ("Nov 28 11:00:00 host kernel:  indented", "Nov 28 10:00:20 host kernel: R10: 0000000000000000"):
        (splat,) = read(*lines, later)
        assert splat.last == len(lines)
    (splat,) = read(*lines, "Nov 28 10:00:05 host kernel:  vfs_read+0x1/0x2")
    assert splat.last == len(lines) + 1


def test_a_log_of_several_boots() -> None:
    texts = OOPS[:8]
    lines = [f"[  900.{number:06}] {text}" for number, text in enumerate(texts)]
    (splat,) = read(*lines, *(f"[    0.{number:06}] boot" for number in range(9)))
    assert splat.last == len(texts)


def test_records_of_several_lines_as_dmesg_shows_them() -> None:
    lines = [
        "[   41.1] [    T817] WARNING: possible circular locking dependency detected",
        "[   41.2] [    T817] prog/817 is trying to acquire lock:",
        "[   41.3] [    T817] ffff93a2c80ae9f0 (&q->lock){+.+.}-{4:4}, at: widget_store+0xe1/0x260",
        "[   41.4] [    T817] ",
        "                     but task is already holding lock:",
        "[   41.5] [    T817] ffff93a2c80ae460 (&q->io){++++}-{0:0}, at: widget_freeze+0x11/0x20",
    ]
    (splat,) = read(*lines)
    assert (splat.splat_kind, splat.last, splat.task[0]) == ("lockdep", 6, "prog:817")
    assert symbols([splat]) == ["widget_store"]


GPF = "Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP NOPTI"


@pytest.mark.parametrize("headline", [GPF, "Oops: divide error: 0000 [#1] SMP"])
def test_a_headline_without_a_stamp_stays_with_the_stamped_lines(headline: str) -> None:
    for stamp in ("[    1.{:06}] ", "<4>[    1.{:06}] ", "Nov 28 10:00:00 kernel: [    1.{:06}] "):
        rest = [stamp.format(number) + text for number, text in enumerate(OOPS[3:])]
        (splat,) = read(headline, *rest)
        assert (splat.first, splat.last) == (1, len(rest) + 1)
        assert splat.culprit


def test_a_line_that_is_held_back_comes_before_the_next() -> None:
    lines = ["[vm-test] BUG: unable to handle page fault", *(f"[    1.{number:06}] fine" for number in range(50))]
    assert all(splat.first <= splat.last for splat in read(*lines, *OOPS))


@pytest.mark.parametrize("length", [8_191, 8_192, 8_193, 20_000, 300_000, 600_000])
def test_a_long_line_is_one_line(length: int) -> None:
    (splat,) = read("x" * length, "y" * length, *OOPS)
    assert (splat.first, splat.last) == (3, 2 + len(OOPS))
