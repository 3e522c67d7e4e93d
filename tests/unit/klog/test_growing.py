# SPDX-License-Identifier: MIT
"""A log that grows: when a complaint is over if no further line comes."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from tests.unit.klog.logs import OOPS, WARNING

from r4l.klog.cutter import LONG_GAP, QUIET, SplatCutter
from r4l.klog.packed import opened
from r4l.klog.prefixes import parse_any_line
from r4l.klog.reader import growing, grows

STALL = [
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu: 	0-....: (5249 ticks this GP) idle=0 softirq=1/1 fqs=2624",
    "CPU: 0 UID: 0 PID: 77 Comm: other Not tainted 7.3.4 #1",
    "Call Trace:",
    " <TASK>",
    " widget_spin+0x1/0x40",
]


def cutter(lines: list[str], caller: str = "") -> SplatCutter:
    """A cutter that was fed lines of a caller at the time 100."""
    made = SplatCutter(only_kernel=False)
    made.now = 100.0
    for number, text in enumerate(lines):
        for record in parse_any_line(f"[   12.{number:06}]{caller} {text}", number):
            assert not made.feed(record)
    return made


def seconds(lines: list[str]) -> float:
    """Return the seconds after which the complaint in these lines is over if no more come."""
    made = cutter(lines)
    for tenth in range(400):
        made.now = 100 + tenth / 10
        if made.settle():
            assert not made.open
            return tenth / 10
    raise AssertionError("never")


def test_what_has_ended_or_has_its_trace_is_over_soon() -> None:
    assert seconds(WARNING) == seconds(OOPS) == QUIET
    assert seconds(OOPS[:-2]) == QUIET


def test_what_has_no_trace_yet_is_waited_for() -> None:
    assert seconds(OOPS[:4]) == LONG_GAP
    assert seconds(WARNING[:2]) == LONG_GAP


def test_other_cpus_of_a_stall_are_waited_for() -> None:
    assert seconds(STALL) == LONG_GAP


def test_a_line_of_its_own_is_over_soon() -> None:
    assert seconds(["unregister_netdevice: waiting for eth0 to become free. Usage count = 2"]) == QUIET


def test_lines_of_others_do_not_keep_it_open() -> None:
    made = cutter(OOPS, "[  T123]")
    made.now = 101.0
    for record in parse_any_line("[   13.000000][   T77] something else", 99):
        assert not made.feed(record)
    made.now = 100 + QUIET
    (splat,) = made.settle()
    assert splat.splat_kind == "oops"


def test_lines_that_come_keep_it_open() -> None:
    made = cutter(OOPS[:-2])
    made.now = 101.5
    for record in parse_any_line(f"[   12.900000] {OOPS[-2]}", 90):
        assert not made.feed(record)
    made.now = 100 + QUIET
    assert not made.settle()
    made.now = 101.5 + QUIET
    assert made.settle()


def test_a_pipe_grows_and_a_file_does_not(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x\n" * 100)
    with opened(tmp_path / "log") as stream:
        assert not grows(stream)
    for data in (b"x\n" * 100, gzip.compress(b"x\n" * 100)):
        reading, writing = os.pipe()
        os.write(writing, data)
        with opened(Path(f"/proc/self/fd/{reading}")) as stream:
            assert grows(stream) is data.startswith(b"x")
        os.close(writing)
        os.close(reading)


def test_a_pipe_that_ends_gives_what_a_file_gives() -> None:
    reading, writing = os.pipe()
    os.write(writing, "\n".join([*WARNING, *OOPS]).encode())
    os.close(writing)
    with opened(Path(f"/proc/self/fd/{reading}")) as stream:
        os.close(reading)
        assert [splat and splat.splat_kind for splat in growing(stream)] == ["warning", "oops"]
