# SPDX-License-Identifier: MIT
"""Fatal complaints: their own lines show that the kernel killed a task or stopped (fatal.toml)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from r4l.klog import KernelLog, Splat

CASES = tomllib.loads((Path(__file__).parent / "fatal.toml").read_text(encoding="utf-8"))
FATAL, NOT_FATAL, USER_SPACE = CASES["fatal"], CASES["not-fatal"], CASES["user-space"]
TRACE = """\
CPU: 0 UID: 0 PID: 104 Comm: prog Not tainted 7.3.4 #1
Call Trace:
 <TASK>
 f+0x1/0x2
 </TASK>"""
OLD_TRACE = """\
CPU: 0 PID: 104 Comm: prog Not tainted 4.9.1 #1
Call Trace:
 [<ffffffff81000000>] f+0x1/0x2"""
MARKS = {"cut": "------------[ cut here ]------------", "end": "---[ end trace 0000000000000000 ]---"}


def lines(text: str, trace: str = TRACE) -> list[str]:
    texts = text.format(trace=trace, **MARKS).splitlines()
    return [f"<4>[    1.{number:06}] {line}" for number, line in enumerate(texts)]


def splats(text: str, trace: str = TRACE) -> list[Splat]:
    return KernelLog.of(lines(text, trace)).splats()


@pytest.mark.parametrize("trace", [TRACE, OLD_TRACE], ids=["7.3", "4.9"])
@pytest.mark.parametrize("name", NOT_FATAL)
def test_complaints_after_which_the_task_goes_on(name: str, trace: str) -> None:
    (splat,) = splats(NOT_FATAL[name], trace)
    assert (splat.fatal, splat.killed) == (False, "")


@pytest.mark.parametrize("trace", [TRACE, OLD_TRACE], ids=["7.3", "4.9"])
@pytest.mark.parametrize("name", FATAL)
def test_complaints_that_show_a_death(name: str, trace: str) -> None:
    (splat,) = splats(FATAL[name], trace)
    assert splat.fatal
    assert splat.killed == ("machine" if "panic" in name else "task")


@pytest.mark.parametrize("name", USER_SPACE)
def test_a_fault_of_a_program_is_no_complaint_of_the_kernel(name: str) -> None:
    assert splats(USER_SPACE[name] + "\nCode: 00 00 <48> 8b\nCPU: 0 UID: 0 PID: 104 Comm: prog Not tainted 7.3.4") == []


@pytest.mark.parametrize("name", FATAL)
def test_a_death_shows_before_the_complaint_is_complete(name: str) -> None:
    log = KernelLog()
    dying = []
    for line in lines(FATAL[name]):
        log.feed(line)
        dying.append(log.dying)
    assert any(dying), "nobody who waits would have been told"


@pytest.mark.parametrize("name", NOT_FATAL)
def test_nobody_is_told_of_a_death_that_is_none(name: str) -> None:
    log = KernelLog()
    for line in lines(NOT_FATAL[name] + USER_SPACE["x86 gpf"]):
        log.feed(line)
        assert not log.dying
