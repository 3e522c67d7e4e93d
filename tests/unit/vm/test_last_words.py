# SPDX-License-Identifier: MIT
"""The last words of a kernel: the machine ends after them, or what waits for its guest is told."""

from __future__ import annotations

import threading
import time

import pytest
from tests.unit.unhandled import unhandled

from r4l.guest import GuestGone
from r4l.klog.records import parse_line
from r4l.vm import last_words
from r4l.vm.last_words import LastWords


class Told:
    """Lines, and the times at which they are told."""

    def __init__(self, clock: float = 1e9) -> None:
        self.errors: list[GuestGone] = []
        self.came = threading.Event()
        self.clock = clock
        self.words = LastWords(self._tell, lambda: lambda: self.clock, unhandled)

    def _tell(self, error: GuestGone) -> None:
        self.errors.append(error)
        self.came.set()

    def hear(self, line: str) -> None:
        for record in parse_line(line):
            self.words.feed(record)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("reboot: System halted", ""),
        ("reboot: Power off not available: System halted instead", "powers the machine off"),
        ("Reboot failed -- System halted", "restarts the machine"),
    ],
)
def test_a_kernel_that_halts_is_told_at_once(words: str, remedy: str) -> None:
    told = Told()
    told.hear(f"<0>[   12.345678] {words}")
    (error,) = told.errors
    assert (words in error.cause, remedy in error.remedy, bool(remedy) == bool(error.remedy)) == (True, True, True)
    told.hear(f"<0>[   12.345679] {words}")
    assert len(told.errors) == 1


@pytest.mark.parametrize(
    "words", ["reboot: Power down", "reboot: Restarting system", "reboot: Restarting system with command 'bootloader'"]
)
def test_a_machine_that_goes_on_after_its_kernel_is_told(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "PATIENCE", 0.01)
    told = Told()
    told.hear(f"<0>[   12.345678] {words}")
    assert told.came.wait(10)
    assert words in told.errors[0].cause


def test_a_machine_that_ends_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "PATIENCE", 0.05)
    told = Told()
    told.hear("<0>[   12.345678] reboot: Power down")
    told.words.close()
    assert not told.came.wait(0.3)


def test_a_machine_without_a_processor_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "PATIENCE", 0.05)
    told = Told(clock=0.0)
    told.hear("<0>[   12.345678] reboot: Power down")
    time.sleep(0.2)
    assert not told.errors
    told.clock = 1.0
    assert told.came.wait(10)


@pytest.mark.parametrize(
    "line",
    [
        "reboot: System halted",
        "<6>[   12.345678] it: reboot: System halted",
        "<0>[   12.345678] reboot: System halted?",
        "<0>[   12.345678] Restarting system",
    ],
)
def test_other_lines_are_no_last_words(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "PATIENCE", 0.01)
    told = Told()
    told.hear(line)
    assert not told.came.wait(0.1)
