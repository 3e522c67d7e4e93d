# SPDX-License-Identifier: MIT
"""The end of a person's session with a guest: the kernel's complaints, a line each, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r4l.cli import session
from r4l.errors import R4LError, UsageError
from r4l.guest import GuestGone
from r4l.klog import KernelLog
from r4l.vm.errors import MachineReset

WARN = ["<4>[    1.000000] WARNING: at here", "<4>[    1.000000] ---[ end trace 0 ]---"]
OTHER = ["<4>[   20.000000] BUG: KASAN: slab-use-after-free in it_probe+0x1/0x2 [it]"]


class Machine:
    """A machine with the kernel log of some lines, and another problem."""

    def __init__(self, lines: list[str], problem: R4LError | None = None) -> None:
        self.klog = KernelLog(Path("console.log"))
        for line in lines:
            self.klog.feed(line)
        self.problem = problem
        self.kept: list[bool] = []

    def close(self, *, keep: bool = False) -> None:
        self.kept.append(keep)

    def untold(self) -> R4LError | None:
        return self.klog.untold() or self.problem


@pytest.mark.parametrize(("code", "exit_code"), [(0, 123), (5, 5)])
def test_complaints_are_printed_a_line_each(code: int, exit_code: int, capsys: pytest.CaptureFixture[str]) -> None:
    machine: Any = Machine([*WARN, *OTHER])
    assert session.end(machine, code, None) == exit_code
    first, second, log = capsys.readouterr().err.splitlines()
    assert ("WARNING: at here" in first, "KASAN" in second, log) == (True, True, "log:    console.log")
    assert machine.kept == [False]


def test_a_session_without_a_complaint_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    machine: Any = Machine([])
    assert session.end(machine, 5, None) == 5
    assert capsys.readouterr().err == ""


def test_a_machine_that_broke_down_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    machine: Any = Machine([], MachineReset("the machine was reset without a message"))
    assert session.end(machine, 0, None) == 123
    assert "without a message" in capsys.readouterr().err


def test_the_sessions_own_error_stays(capsys: pytest.CaptureFixture[str]) -> None:
    machine: Any = Machine([])
    with pytest.raises(UsageError):
        session.end(machine, 0, UsageError("no such function"))
    machine = Machine(WARN)
    assert session.end(machine, 0, GuestGone("the guest ended its virtual machine")) == 123
    said = capsys.readouterr().err
    assert ("WARNING: at here" in said, "the guest ended" in said) == (True, True)


def test_a_complaint_that_ended_the_session_is_raised_and_not_printed_twice(capsys: pytest.CaptureFixture[str]) -> None:
    machine: Any = Machine(WARN)
    (splat,) = machine.klog.complaints(settle=True)
    with pytest.raises(type(splat)):
        session.end(machine, 0, splat)
    assert capsys.readouterr().err == ""


def test_many_complaints_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    session.tell([f"number {number}" for number in range(15)], "console.log")
    said = capsys.readouterr().err
    assert ("number 9" in said, "number 10" in said, "and 5 more" in said) == (True, False, True)
