# SPDX-License-Identifier: MIT
"""Lines that sound like a complaint and are none."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest
from tests.unit.klog.logs import OOPS, WARNING, read


@pytest.mark.parametrize(
    "line",
    [
        'printk("{}");',
        "    pr_emerg('{}');",
        "- {}",
        "1. {}",
        "The kernel prints {}",
        'A line such as "{}" is meant.',
        "<code>{}</code>",
        "| {} | oops |",
        "# {}",
    ],
)
def test_what_speaks_of_complaints_has_none(line: str) -> None:
    texts = [OOPS[0], WARNING[1], "Kernel panic - not syncing: Fatal exception", "Call Trace:"]
    assert read(*(line.format(text) for text in texts)) == []


@pytest.mark.parametrize(
    "text",
    [
        "WARNING: the mand mount option has been deprecated and is ignored by this kernel.",
        "WARNING: stray words of a driver",
        "Kernel stack overflows are often hard to debug.",
        "Kernel stack overflow detection is enabled by CONFIG_VMAP_STACK",
        "DEBUG_LOCKS_WARN_ON(1);",
        "DEBUG_LOCKS_WARN_ON is a macro",
        "traps: prog[104] general protection fault ip:7feb sp:2000 error:0 in prog[7feb+1000]",
        "BUG UNIX (Not tainted): kasan: bad access detected",
        "Kernel command line: panic=-1 oops=panic",
        "kasan: CONFIG_KASAN_INLINE enabled",
    ],
)
def test_what_only_sounds_like_a_complaint(text: str) -> None:
    assert read(f"[    1.000000] {text}", "[    1.000001] widget: loaded", f"[    9.000001] {text}") == []


HEALTHY = tomllib.loads((Path(__file__).parent / "healthy.toml").read_text(encoding="utf-8"))["lines"]


@pytest.mark.parametrize("before", ["[   12.345678] ", "Nov 28 10:00:00 host kernel: ", ""])
@pytest.mark.parametrize("order", range(4))
def test_a_machine_that_runs_as_it_should_does_not_complain(before: str, order: int) -> None:
    lines = random.Random(order).sample(HEALTHY, len(HEALTHY)) if order else HEALTHY
    assert [splat.lines for splat in read(*(before + line for line in lines))] == []


def test_what_only_sounds_like_a_complaint_is_no_part_of_the_one_after_it() -> None:
    lines = ["WARNING: stray words of a driver", "widget: loaded", *OOPS]
    (splat,) = read(*(f"[    1.{number:06}] {text}" for number, text in enumerate(lines)))
    assert (splat.splat_kind, splat.first) == ("oops", 3)


def test_other_programs_words_are_not_the_kernels() -> None:
    lines = ["Nov 28 10:00:00 host kernel: up", *(f"Nov 28 10:00:00 host prog[7]: {text}" for text in OOPS)]
    assert read(*lines) == []
    assert read("[    1.000000] up", "BUG: a program's own words", "WARNING: too") == []


OTHERS = """\
WARNING: Running pip as the 'root' user can result in broken permissions
WARNING: setup.py:12: deprecated
WARNING: at least one test was skipped
BUG: the parser returned None
Oops: something went wrong
Internal error: out of cheese
INFO: task build finished
general protection faultline
divide error: by zero
UserWarning: BUG: x
Traceback (most recent call last):
  File "x.py", line 1, in f
CPU load: 1
collected 12 items
"""


@pytest.mark.parametrize("before", ["", "2026-11-28T10:00:00.1234567Z ", "10:00:00  ", "    "])
def test_logs_of_other_programs_hold_no_complaint(before: str) -> None:
    assert read(*(before + line for line in OTHERS.splitlines() * 3)) == []
