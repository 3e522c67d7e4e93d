# SPDX-License-Identifier: MIT
"""No complaint of a machine is forgotten: beyond the limits on memory, and where the kernel itself dropped messages."""

from __future__ import annotations

import pytest

from r4l.klog import KernelLog, Splat
from r4l.klog import complaints as complaints_module
from r4l.klog.lost import LogLost

KEPT = 10
KASAN = "BUG: KASAN: slab-use-after-free in it_probe+0x1/0x2 [it]"
PANIC = "Kernel panic - not syncing: Fatal exception"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a short log exceeds."""
    monkeypatch.setattr(complaints_module, "SPLATS_KEPT", KEPT)


def warn(log: KernelLog, *numbers: int, text: str = "WARNING: at again") -> None:
    """Log a warning at each of the seconds."""
    for number in numbers:
        log.feed(f"<4>[{number * 5:12.6f}] {text}")
        log.feed(f"<4>[{number * 5:12.6f}] ---[ end trace 0 ]---")


def headlines(log: KernelLog, since: int = 0) -> list[str]:
    return [splat.headline for splat in log.complaints(since, settle=True)]


@pytest.mark.parametrize("last", [KASAN, PANIC])
def test_a_complaint_after_a_flood_of_allowed_ones_is_raised(last: str) -> None:
    log = KernelLog()
    log.allow("at again", reason="of the test's")
    warn(log, *range(1, 100))
    seen = log.splat_count
    warn(log, 100, text=last)
    assert headlines(log) == headlines(log, seen) == [last]
    assert log.allowances() == ["came (99 times): WARNING: at again — of the test's"]
    with pytest.raises(Splat, match=r"KASAN|panic"):
        log.check()


def test_a_complaint_after_a_flood_of_reported_ones_is_raised() -> None:
    log = KernelLog()
    warn(log, *range(1, KEPT + 1))
    assert len(log.splats(settle=True)) == KEPT
    warn(log, *range(20, 20 + KEPT))
    assert log.untold() is not None
    log.splats(settle=True)
    warn(log, 100, text=KASAN)
    untold = log.untold()
    assert isinstance(untold, Splat)
    assert untold.headline == KASAN


def test_repetitions_go_before_other_complaints() -> None:
    log = KernelLog()
    warn(log, *range(1, 100))
    warn(log, 100, text=KASAN)
    warn(log, *range(101, 200))
    assert set(headlines(log)) == {"WARNING: at again", KASAN}
    assert len(headlines(log)) <= KEPT


def test_different_complaints_without_end_are_bounded_and_the_fatal_one_is_kept() -> None:
    log = KernelLog()
    for number in range(1, 100):
        warn(log, number, text=f"WARNING: at place {number}")
    warn(log, 100, text=PANIC)
    for number in range(101, 200):
        warn(log, number, text=f"WARNING: at place {number}")
    found = headlines(log)
    assert (found[0], len(found) <= KEPT + 1, PANIC in found) == ("WARNING: at place 1", True, True)
    assert any(splat.fatal for splat in log.complaints())


def test_complaints_that_were_not_kept_are_no_clean_log_even_if_all_others_are_allowed_later() -> None:
    log = KernelLog()
    for number in range(1, 100):
        warn(log, number, text=f"WARNING: at place {number}")
    log.allow("at place", reason="of the test's")
    with pytest.raises(LogLost, match=r"\d+ complaints .* not kept"):
        log.check()


@pytest.mark.parametrize(
    "line",
    [
        "** 12 printk messages dropped **",
        "** 12 printk messages dropped ** <4>[   12.345678] of an older kernel",
        "prompt# ** 12 printk messages dropped **",
    ],
)
def test_messages_that_the_kernel_dropped_are_no_clean_log(line: str) -> None:
    log = KernelLog()
    log.feed("<6>[   12.000000] it: starts")
    log.feed(line)
    log.feed("<6>[   13.000000] it: ends")
    with pytest.raises(LogLost, match="dropped 12 messages") as caught:
        log.check()
    assert (caught.value.exit_code, caught.value.splat_kind, log.dropped) == (123, "lost", 12)
    assert log.untold() is None, "it was told"


def test_a_complaint_comes_before_the_messages_that_were_dropped() -> None:
    log = KernelLog()
    log.feed("** 12 printk messages dropped **")
    warn(log, 1)
    assert [type(one) for one in log.complaints(settle=True)] == [Splat, LogLost]


def test_dropped_messages_can_be_allowed() -> None:
    log = KernelLog()
    log.feed("** 12 printk messages dropped **")
    log.allow("printk messages dropped", reason="the test floods the log")
    log.check()
    assert log.allowances() == ["came: ** 12 printk messages dropped ** — the test floods the log"]


@pytest.mark.parametrize("caller", ["", "[  T104] "])
def test_a_kernel_that_prints_no_time_is_heard(caller: str) -> None:
    """With `printk.time=0`, lines have no more than their level before them."""
    log = KernelLog()
    for line in ("------------[ cut here ]------------", "WARNING: at here", "---[ end trace 0 ]---", "it: goes on"):
        log.feed(f"<4>{caller}{line}")
    assert headlines(log) == ["WARNING: at here"]
    assert log.records()[-1].text == "it: goes on"


def test_the_same_words_of_a_driver_are_no_loss() -> None:
    log = KernelLog()
    log.feed("<6>[   12.000000] it: ** 12 printk messages dropped **")
    log.check()
    assert log.dropped == 0
