# SPDX-License-Identifier: MIT
"""Logs that begin or end in the middle of a report."""

from __future__ import annotations

import pytest
from tests.unit.klog.logs import OOPS, read, symbols

PANIC = "Kernel panic - not syncing: Fatal exception"
KASAN = """\
BUG: KASAN: slab-use-after-free in widget_read+0x12/0x40
Read of size 8 at addr ffff888101234500 by task prog/123
CPU: 1 UID: 0 PID: 123 Comm: prog Not tainted 7.3.4 #1
Hardware name: QEMU
Call Trace:
 <TASK>
 dump_stack_lvl+0x1/0x2
 kasan_report+0x1/0x2
 widget_read+0x12/0x40
 vfs_read+0xb5/0x320
 </TASK>
The buggy address belongs to the object at ffff888101234500
Memory state around the buggy address:""".splitlines()


@pytest.mark.parametrize("before", ["", "[   12.345678] ", "Nov 28 10:00:00 host kernel: ", "> "])
@pytest.mark.parametrize(("report", "lost"), [*((OOPS, lost) for lost in (3, 4, 6, 7)), *((KASAN, n) for n in (2, 5))])
def test_a_log_that_begins_in_the_middle_of_a_report(before: str, report: list[str], lost: int) -> None:
    (splat,) = read(*(before + text for text in [*report[lost:], "widget: after"]))
    assert (splat.splat_kind, splat.first) == ("torn", 1)
    assert "vfs_read" in [frame.symbol for frame in splat.trace]


def test_a_panic_whose_cause_the_log_does_not_hold_any_more() -> None:
    (splat,) = read(*(f"[   12.345678] {text}" for text in [*OOPS[4:], PANIC, "Kernel Offset: disabled"]))
    assert (splat.splat_kind, splat.headline, splat.killed) == ("panic", PANIC, "machine")
    assert symbols([splat]) == ["widget_read"]


@pytest.mark.parametrize(
    "texts",
    [
        # What SysRq and fault injection print, and tasks that somebody lists.
        ["CPU: 1 PID: 7 Comm: prog Not tainted 7.3.4 #1", "Call Trace:", " <TASK>", " dump_stack+0x1/0x2", " </TASK>"],
        ["Call Trace:", " schedule+0x1/0x2", " widget_wait+0x1/0x2", "task:prog state:S stack:0 pid:8 ppid:1"],
        ["RIP: 0010:default_idle+0x1/0x2", "Code: 00 <0f> 00", "NMI backtrace for cpu 1"],
        [
            "FAULT_INJECTION: forcing a failure.",
            *OOPS[3:5],
            "Call Trace:",
            " should_fail+0x1/0x2",
            " panic_later+0x1/0x2",
        ],
    ],
)
def test_a_trace_at_the_begin_is_not_always_a_complaint(texts: list[str]) -> None:
    assert read(*(f"[   12.345678] {text}" for text in texts)) == []


@pytest.mark.parametrize("kept", range(2, len(OOPS)))
def test_a_log_that_ends_in_the_middle_of_a_report(kept: int) -> None:
    (splat,) = read(*(f"[   12.345678] {text}" for text in OOPS[:kept]))
    assert (splat.splat_kind, splat.last) == ("oops", kept)
    assert symbols([splat]) == (["widget_read"] if kept > 4 else [None])
