# SPDX-License-Identifier: MIT
"""Validity in time of a trial's result for KVM. The trial itself is in tests/vm/test_vm_faults.py."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l import home
from r4l.vm import accel
from r4l.vm.accel import Choice

KERNEL: Any = SimpleNamespace(
    arch="arm64" if platform.machine() == "aarch64" else "x86_64", toolchain=SimpleNamespace(key="a toolchain")
)
DEAD = Choice("tcg", "a guest stood still")
ALIVE = Choice("kvm", "a guest booted under it")


class Host:
    """A host with a KVM whose trials end as set.

    Attributes:
        found: result of the next trial.
        trials: number of trials so far.
    """

    def __init__(self) -> None:
        self.found = DEAD
        self.trials = 0
        self.load = 0.0
        self.now = time.time()

    def trial(self, _kernel: object) -> Choice:
        self.trials += 1
        return self.found


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    made = Host()
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    monkeypatch.delenv(accel.ENVIRONMENT, raising=False)
    monkeypatch.setattr(accel, "_unusable", lambda: None)
    monkeypatch.setattr(accel, "trial", made.trial)
    monkeypatch.setattr(os, "getloadavg", lambda: (made.load * (os.cpu_count() or 1), 0.0, 0.0))
    monkeypatch.setattr(time, "time", lambda: made.now)
    return made


def test_what_failed_under_load_is_tried_again_when_the_load_is_gone(host: Host) -> None:
    host.load = 3.0
    assert accel.choose(KERNEL) == DEAD
    host.found = ALIVE
    host.now += accel.PAUSE
    assert accel.choose(KERNEL) == DEAD, "the host is as busy as it was"
    host.load = 0.2
    assert accel.choose(KERNEL) == ALIVE
    host.found, host.load = DEAD, 5.0
    host.now += 10 * accel.OLDEST
    assert accel.choose(KERNEL) == ALIVE, "what works is not tried again until the host reboots"
    assert host.trials == 2


def test_trials_do_not_follow_each_other_at_once(host: Host) -> None:
    host.load = 3.0
    accel.choose(KERNEL)
    host.load = 0.0
    host.now += accel.PAUSE / 2
    accel.choose(KERNEL)
    assert host.trials == 1


def test_load_that_comes_during_the_trial_counts(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(_kernel: object) -> Choice:
        host.load = 3.0
        return DEAD

    monkeypatch.setattr(accel, "trial", trial)
    accel.choose(KERNEL)
    host.load = 0.0
    host.now += accel.PAUSE
    monkeypatch.setattr(accel, "trial", lambda _kernel: ALIVE)
    assert accel.choose(KERNEL) == ALIVE


def test_what_failed_on_a_quiet_host_holds_for_a_day(host: Host) -> None:
    accel.choose(KERNEL)
    host.now += accel.OLDEST - 1
    accel.choose(KERNEL)
    assert host.trials == 1
    host.now += 2
    accel.choose(KERNEL)
    assert host.trials == 2
    host.now -= 1000
    accel.choose(KERNEL)
    assert host.trials == 3, "a clock that was set back says nothing of an age"


def test_asked_afresh_it_is_tried_at_once(host: Host) -> None:
    accel.choose(KERNEL)
    host.found = ALIVE
    assert accel.choose(KERNEL) == DEAD
    assert accel.choose(KERNEL, afresh=True) == ALIVE
    assert accel.choose(KERNEL) == ALIVE, "and what that found is kept"


@pytest.mark.parametrize("kept", [json.dumps({"name": "tcg", "reason": "of an earlier r4l"}), "cut sh"])
def test_what_has_no_time_is_not_believed(host: Host, kept: str) -> None:
    accel.choose(KERNEL)
    (file,) = home.room("accel").glob("*.json")
    file.write_text(kept, encoding="utf-8")
    accel.choose(KERNEL)
    assert host.trials == 2


TRIAL = accel.trial


class Slow:
    """QEMU that a cold disk delays; its guest says at once that it has booted, or never."""

    def __init__(self, *_: object, on_line: Any, boots: bool, **__: object) -> None:
        self.console = SimpleNamespace(last_output=time.monotonic())
        self.monitor = self
        self.say = (lambda: on_line(accel.REACHED)) if boots else (lambda: None)

    def execute(self, command: str, timeout: float) -> dict[str, str]:
        time.sleep(0.5)
        self.say()
        return {"status": "running"}

    def output(self) -> str:
        return ""

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("boots", "name"), [(True, "kvm"), (False, "tcg")])
def test_a_qemu_that_starts_slowly_is_no_guest_that_stands_still(
    boots: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the clock ran from the start of QEMU's program."""
    monkeypatch.setattr(accel, "Qemu", lambda *words, **named: Slow(*words, boots=boots, **named))
    monkeypatch.setattr("r4l.rootfs.Rootfs.build", lambda _: SimpleNamespace(path=Path("/i")))
    monkeypatch.setattr(accel, "SILENCE", 0.2)
    kernel: Any = SimpleNamespace(arch="x86_64", vmlinux=Path("/k"), toolchain=None)
    assert TRIAL(kernel).name == name
