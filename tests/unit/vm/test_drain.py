# SPDX-License-Identifier: MIT
"""The wait for a guest's last messages: in the guest's own time, and told if it is in vain."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l.errors import GuestTimeout, R4LError
from r4l.vm import running
from r4l.vm.machine import Machine
from r4l.vm.running import DRAIN, RunningMachine


def running_machine(folder: Path) -> Any:
    nothing: Any = SimpleNamespace()
    run: Any = RunningMachine(Machine(kernel=Path("/k"), initrd=Path("/i")), nothing, folder, nothing, [], {})
    run.qemu = SimpleNamespace(pid=1, running=True)
    run.link = SimpleNamespace(connected=True, last=7)
    return run


@pytest.mark.parametrize(
    ("times", "fails", "asked", "told"),
    [
        ([0.3, 0.9], 2, 3, False),
        ([0.3, DRAIN + 1], 9, 2, True),
        ([DRAIN + 1], 0, 1, False),
    ],
)
def test_a_guest_without_a_processor_has_more_time(
    times: list[float],
    fails: int,
    asked: int,
    told: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Regression: two seconds of the clock were enough to end it, and its last complaint was lost in silence."""
    run = running_machine(tmp_path)
    clock = iter(times)
    monkeypatch.setattr(running, "RunTime", lambda pid: SimpleNamespace(now=lambda: next(clock)))
    asks: list[float] = []

    def sync(timeout: float) -> None:
        asks.append(timeout)
        if len(asks) <= fails:
            raise GuestTimeout("no answer")

    run.klog = SimpleNamespace(sync=sync)
    run.drain()
    assert len(asks) == asked
    assert ("may be missing" in caplog.text) == told


def test_the_end_of_a_machine_is_not_told_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = running_machine(tmp_path)

    def sync(_: float) -> None:
        raise R4LError("QEMU ended")

    run.klog = SimpleNamespace(sync=sync)
    run.drain()
    assert caplog.text == ""
