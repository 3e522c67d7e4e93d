# SPDX-License-Identifier: MIT
"""The machines of a sweep: which lives share one, and its number of processors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from r4l.pci.models.edu import Edu
from r4l.sweep import machines
from r4l.sweep.life import Life, PhaseOutcome
from r4l.sweep.machines import Machines


def test_after_a_breakpoint_that_qemu_may_have_kept_one_processor_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a driver that printed `Oops: int3:` was never judged."""
    made: list[int | None] = []
    lives = iter(["", "Oops: int3", "", "", ""])

    def machine(_ready: object, cpus: int | None = None) -> Any:
        made.append(cpus)
        vm = SimpleNamespace(pid=1, devices=[Edu()], close=lambda: None, unplug=lambda _: None, plug=lambda _: None)
        vm.start = lambda: vm
        return vm

    def live(_vm: object, _device: object, _leaks: object, _ready: object, _cell: object, life: Life, **_: Any) -> None:
        life.stray = life.fault = next(lives)
        life.again = [PhaseOutcome("probe", 0, 0.1, "")]

    monkeypatch.setattr(machines, "machine", machine)
    monkeypatch.setattr(machines, "live", live)
    monkeypatch.setattr(machines, "Leaks", lambda _: None)
    ready: Any = SimpleNamespace(modules=[SimpleNamespace(name="mine")], model=Edu)
    with Machines(ready, 12) as several:
        seen = [bool(several.live(None, limits={}).stray) for _ in range(5)]
    assert seen == [False, True, False, False, False]
    assert made == [None, 1, None], "two lives in the first, one alone, and two in the last"
