# SPDX-License-Identifier: MIT
"""The keeper's verdict on a command in its machine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from r4l.errors import GuestTimeout
from r4l.kept.frames import FrameSocket
from r4l.kept.keeper import Keeper
from r4l.klog import KernelLog, Splat
from r4l.vm import VM

REQUEST = {"command": "insmod it.ko", "stdin": False, "terminal": None, "env": {}, "timeout": 0.1}
LINES = {
    "soft-lockup": "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [insmod:104]",
    "hard-lockup": "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0",
    "workqueue-lockup": "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 33s!",
    "hung-task": "INFO: task insmod:104 blocked for more than 120 seconds.",
}


class Hangs:
    """A command that does not end; meanwhile the kernel logs some lines."""

    title = "insmod it.ko"

    def __init__(self, klog: KernelLog, lines: list[str]) -> None:
        self.klog, self.lines = klog, lines

    def wait_done(self, timeout: float) -> None:
        for line in self.lines:
            self.klog.feed(f"<4>[   30.000000] {line}")

    def kill(self) -> None:
        pass


@pytest.fixture
def run() -> Iterator[Any]:
    """Runs a command that hangs, while the kernel logs the lines, in a keeper's machine."""
    ours, theirs = socket.socketpair()

    def run_it(*lines: str) -> dict[str, Any]:
        klog = KernelLog()
        klog.feed("<4>[    1.000000] WARNING: at an older place")
        vm: Any = SimpleNamespace(
            klog=klog,
            popen=lambda *_, **__: contextlib.nullcontext(Hangs(klog, list(lines))),
        )
        vm.why_it_hangs = lambda seen: VM.why_it_hangs(vm, seen)
        keeper = Keeper.__new__(Keeper)
        keeper._vm = vm
        return keeper._run(FrameSocket(ours), dict(REQUEST))

    yield run_it
    theirs.close()
    ours.close()


@pytest.mark.parametrize("kind", LINES)
def test_a_command_that_hangs_is_told_by_the_kernels_complaint(run: Any, kind: str) -> None:
    """Regression: the answer was to give the command more time."""
    with pytest.raises(Splat) as caught:
        run(LINES[kind])
    assert caught.value.splat_kind == kind
    assert isinstance(caught.value.__cause__, GuestTimeout)


def test_a_slow_command_gets_more_time(run: Any) -> None:
    with pytest.raises(GuestTimeout, match="within"):
        run("it: at work")
