# SPDX-License-Identifier: MIT
"""A guest can be put to sleep, and its agent answers when it is awake again."""

from __future__ import annotations

import pytest

from r4l.vm import VM

pytestmark = pytest.mark.vm

FREEZE = "echo devices > /sys/power/pm_test && echo freeze > /sys/power/state"
"""Suspends all devices and resumes them (Documentation/power/basic-pm-debugging.rst)."""


@pytest.fixture
def sleepy(vm: VM) -> VM:
    """A machine that sleeps for no time at all between suspend and resume, instead of five seconds."""
    vm.run("echo 0 > /sys/module/suspend/parameters/pm_test_delay", check=True)
    return vm


def test_the_agent_answers_after_each_resume(sleepy: VM) -> None:
    for times in range(1, 3):
        sleepy.run(FREEZE, timeout=60, check=True)
        assert sleepy.run("cat /sys/power/suspend_stats/success", check=True).stdout.strip() == str(times)
    sleepy.klog.wait_for("PM: suspend exit")


def test_a_command_runs_on_across_a_suspend(sleepy: VM) -> None:
    sleeps = f"if [ $i = 1000 ]; then {FREEZE}; fi"
    done = sleepy.run(f"for i in $(seq 2000); do echo line $i; {sleeps}; done", timeout=90, check=True)
    assert done.stdout.splitlines() == [f"line {i}" for i in range(1, 2001)]


def test_files_arrive_after_a_resume(sleepy: VM) -> None:
    sleepy.run(FREEZE, timeout=60, check=True)
    data = bytes(range(256)) * 4096
    sleepy.put(data, "/tmp/data")
    assert sleepy.guest.read("/tmp/data") == data
