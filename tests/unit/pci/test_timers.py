# SPDX-License-Identifier: MIT
"""A model's time: the guest's, or one that a test moves."""

from __future__ import annotations

import threading
import time

import pytest

from r4l.pci import Device, Reset, RunningTime, SteppedTime


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
