# SPDX-License-Identifier: MIT
"""A model's time: the guest's, or one that a test moves."""

from __future__ import annotations

import threading
import time

import pytest

from r4l.pci import Device, ModelError, Reset, RunningTime, SteppedTime, timers

MOST = 1000
"""Limit of actions at one moment in these tests."""


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "MOST_AT_ONCE", MOST)


class Stepped(Device):
    vendor_id = 1
    clock = SteppedTime

    def __init__(self) -> None:
        self.done: list[tuple[str, float]] = []

    def mark(self, name: str, *, more: bool = False) -> None:
        self.done.append((name, self._timers.clock.now()))
        if more:
            self.after(0.5, lambda: self.mark("between"))


def test_stepped_time_does_all_that_is_due_in_its_order() -> None:
    device = Stepped()
    device.after(2, lambda: device.mark("second"))
    device.after(1, lambda: device.mark("first", more=True))
    device.after(5, lambda: device.mark("last"))
    device.advance(0.9)
    assert device.done == []
    device.advance(3)
    assert device.done == [("first", 1), ("between", 1.5), ("second", 2)]


def test_a_reset_and_cancel_forget_timers() -> None:
    device = Stepped()
    device.after(1, lambda: device.mark("reset"))
    device.reset(Reset.BUS)
    device.after(1, lambda: device.mark("cancelled")).cancel()
    device.after(1, lambda: device.mark("kept"))
    device.advance(2)
    assert [name for name, _ in device.done] == ["kept"]


@pytest.mark.parametrize("seconds", [0, 1e-300, 1e-20], ids=["at once", "no time at all", "too little to pass"])
def test_actions_that_schedule_each_other_without_end_are_told(seconds: float) -> None:
    device, count = Stepped(), 0

    def again() -> None:
        nonlocal count
        count += 1
        device.after(seconds, again)

    device.advance(1)
    device.after(0.5, again)
    line = again.__code__.co_firstlineno
    with pytest.raises(ModelError, match=rf"at 1.5 s for the same moment, .* is at test_timers.py:{line}"):
        device.advance(1)
    assert count == MOST + 1
    assert device.now == 1.5


def test_many_actions_at_one_moment_and_short_times_are_no_chain() -> None:
    device = Stepped()
    many = MOST // 2
    for _ in range(many):
        device.after(1, lambda: device.after(0, lambda: device.after(0, device.done.clear)))
        device.after(1, lambda: None)
        device.after(1, lambda: None)
    device.advance(1)
    left = iter(range(MOST + 10))

    def tick() -> None:
        if next(left, None) is not None:
            device.after(1e-6, tick)

    device.after(0, tick)
    device.advance(1)
    assert next(left, None) is None


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_time_goes_forward(seconds: float) -> None:
    with pytest.raises(ValueError, match="advance takes seconds from 0 on"):
        Stepped().advance(seconds)


class Running(Device):
    vendor_id = 1


@pytest.mark.parametrize("end", ["reset", "pull", "unplugged", "replugged"])
@pytest.mark.parametrize("model", [Running, Stepped])
def test_a_timer_that_waits_for_the_lock_is_forgotten_too(model: type[Device], end: str) -> None:
    device, done = model(), threading.Event()
    with device.lock:
        device.after(0, done.set)
        if model is Stepped:
            threading.Thread(target=device.advance, args=(1,)).start()
        while device._timers._heap:
            time.sleep(0.001)
        if end == "replugged":
            device.unplugged()
            device.plugged()
        else:
            getattr(device, end)()
        again = threading.Event()
        device.after(0, again.set)
    if model is Stepped:
        device.advance(1)
    assert end == "pull" or again.wait(10)
    assert not done.wait(0.05)
    device.unplugged()


def test_running_time_stands_while_the_machine_is_paused() -> None:
    device, done = Running(), threading.Event()
    device.pause(True)
    device.after(0, done.set)
    assert not done.wait(0.2)
    device.pause(False)
    assert done.wait(10)
    device.unplugged()


def test_what_a_timer_raises_is_the_model_s_error() -> None:
    device, done = Running(), threading.Event()
    device.after(0, lambda: 1 / 0)
    device.after(0.01, done.set)
    assert done.wait(10)
    assert "ZeroDivisionError" in device.errors[0].cause
    with pytest.raises(TypeError, match="goes by itself"):
        device.advance(1)
    device.unplugged()


def test_the_time_of_a_pause_does_not_count() -> None:
    clock = RunningTime()
    begin = clock.now()
    clock.pause()
    time.sleep(0.05)
    clock.resume()
    assert clock.now() - begin < 0.05


def test_the_thread_ends_with_the_machine_and_comes_again_with_another() -> None:
    device = Running()
    for _ in range(3):
        done = threading.Event()
        device.after(0, done.set)
        assert done.wait(10)
        thread = device._timers._thread
        assert thread is not None
        device.unplugged()
        thread.join(10)
        assert not thread.is_alive()
