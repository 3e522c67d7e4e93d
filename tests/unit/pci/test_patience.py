# SPDX-License-Identifier: MIT
"""Models whose methods do not return: the device is dead, and QEMU has its answer."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from pathlib import Path

import pytest
from tests.unit.pci.client import Client
from tests.unit.pci.conftest import Serve
from tests.unit.pci.models import Broken, Model

from r4l import shortage
from r4l.pci import Device, ModelError, Reset, Server, happened
from r4l.pci.protocol import DEVICE_INFO, REGION_ACCESS, Command


@pytest.fixture
def device() -> Model:
    return Model()


@pytest.mark.parametrize("command", [Command.REGION_READ, Command.REGION_WRITE])
def test_a_qemu_that_reads_no_answers_makes_no_model_late(serve: Serve, command: Command) -> None:
    """Its socket is full, and the server waits; the model's method does not."""

    class Quick(Model):
        patience: float | None = 0.3

    device = Quick()
    client = serve(device)
    client.socket.settimeout(0.5)
    data = b"1234" if command == Command.REGION_WRITE else b""
    payload = REGION_ACCESS.pack(0x10 if data else 0, 0, 4) + data
    with pytest.raises(TimeoutError):
        collections.deque((client.send(command, payload) for _ in itertools.count()), maxlen=0)
    # Longer than the patience, and two looks at it.
    time.sleep(2.5)
    assert device.errors == []
    client.close()
    device.trace.expect(happened("unplugged"))
    assert (device.ID, device.dead) == (0xCAFE0001, False)


@pytest.mark.parametrize("reset", ["bus", "function", "power"])
def test_a_reset_that_does_not_return(serve: Serve, reset: str) -> None:
    device = Stuck()
    client = serve(device)
    device.where = "reset"
    power, _, express, _ = device.config.places
    if reset == "bus":
        client.call(Command.DEVICE_RESET)
    elif reset == "function":
        client.set_config(express + 8, 0x8000)
    else:
        client.set_config(power + 4, 3)
        client.set_config(power + 4, 0)
    assert client.read(0) == 0xFFFFFFFF
    no_longer_serving(device)
    device.released.set()


def test_a_qemu_that_is_killed_while_a_method_runs(serve: Serve, tmp_path: Path) -> None:
    """The method ends in peace, and the next machine has a device that answers."""
    device = Stuck()
    device.patience = 20
    client = serve(device)
    device.after(0, device.wait)
    assert device.begun.wait(10)
    client.send(Command.REGION_READ, REGION_ACCESS.pack(0, 0, 4))
    client.close()
    device.released.set()
    device.trace.expect(happened("unplugged"))
    again = Client(next(tmp_path.glob("*.sock")))
    again.agree()
    assert again.read(0) == 0xCAFE0001
    assert device.errors == []
    again.close()


@pytest.mark.parametrize("how", ["read", "write", "posted"])
def test_a_method_that_does_not_return_makes_the_device_dead_and_no_one_waits(serve: Serve, how: str) -> None:
    device = Broken()
    client = serve(device)
    begun = time.monotonic()
    if how == "read":
        client.write(4, 0x40)
        assert client.read(0, 1, region=1) == 0xFF
    else:
        client.write(4, 0x30, posted=how == "posted")
    assert client.read(0) == 0xFFFFFFFF
    client.write(0x10, 1, 8)
    client.call(Command.DEVICE_RESET)
    assert time.monotonic() - begun < 10
    (error,) = device.errors
    assert "has not returned for 0.3 s" in error.cause
    assert "self.released.wait(20)" in error.detail, "where it is"
    device.released.set()
    with device.lock:
        assert client.read(0) == 0xFFFFFFFF, "and its late answer is nobody's"


@pytest.mark.parametrize(("grows", "starved"), [(0.0, False), (100.0, True)])
def test_only_waits_since_the_method_began_make_the_machine_too_busy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, grows: float, starved: bool
) -> None:
    """Regression: a thread that had waited for a processor in its life excused every model that hung."""
    device = Broken()
    waited = 100.0
    monkeypatch.setattr(shortage, "tasks", lambda pid: [(Path("/proc/1/task/1"), 1.0, waited)])
    # Its first look.
    device.waits = shortage.OwnWaits()
    client = serve(device)
    waited += grows
    client.write(4, 0x30)
    assert client.read(0) == 0xFFFFFFFF
    device.released.set()
    (error,) = device.errors
    assert bool(error.starved) == starved


@pytest.mark.parametrize(
    ("patience", "ran", "wanted"),
    [(3.0, None, 3.0), (60.0, None, 5.0), (None, None, 5.0), (None, 9.0, 5.0), (3.0, 2.0, 1.0), (3.0, 4.0, 0.05)],
)
def test_nobody_looks_after_a_model_before_it_can_be_late(
    patience: float | None, ran: float | None, wanted: float, device: Model, tmp_path: Path
) -> None:
    """An idle device takes no time of the processor, and a late one is given up as soon as it is late."""
    server = Server(device, tmp_path / "socket")
    device.patience = patience
    device.running = (time.monotonic() - ran, 0) if ran else None
    assert server._until_look() == pytest.approx(wanted, abs=0.5)
    device.running = None
    server.close()


class Stuck(Model):
    """Its methods for other causes than an access of the guest do not return."""

    patience: float | None = 0.3

    def __init__(self, where: str = "") -> None:
        self.released, self.begun, self.where = threading.Event(), threading.Event(), where

    def wait(self) -> None:
        self.begun.set()
        self.released.wait(20)

    def on_plug(self) -> None:
        if self.where == "plug":
            self.wait()

    def on_reset(self, reason: Reset) -> None:
        if self.where == "reset":
            self.wait()


def no_longer_serving(device: Device) -> ModelError:
    """Wait until the model is given up; the error that says so."""
    until = time.monotonic() + 10
    while not device.errors and time.monotonic() < until:
        time.sleep(0.01)
    (error,) = device.errors
    assert "has not returned for 0.3 s" in error.cause
    assert "self.released.wait(20)" in error.detail, "the model's line, not that of the access which waits for it"
    return error


@pytest.mark.parametrize("accessed", [True, False])
@pytest.mark.parametrize("cause", ["timer", "frame"])
def test_a_method_for_another_cause_that_does_not_return(serve: Serve, cause: str, accessed: bool) -> None:
    device = Stuck()
    client = serve(device)
    if cause == "timer":
        device.after(0, device.wait)
    else:
        threading.Thread(target=device.call, args=(device.wait,), daemon=True).start()
    assert device.begun.wait(10)
    if accessed:
        assert client.read(0) == 0xFFFFFFFF
    no_longer_serving(device)
    client.write(0x10, 1, 8)
    client.call(Command.DEVICE_RESET)
    assert client.read(0) == 0xFFFFFFFF
    device.released.set()
    with device.lock:
        assert client.read(0) == 0xFFFFFFFF
    assert len(device.errors) == 1


@pytest.mark.parametrize("where", ["reset", "own"])
def test_a_method_that_a_test_has_called(serve: Serve, where: str) -> None:
    """The access that waits for it is no part of the error."""
    device = Stuck()
    client = serve(device)
    client.read(0)
    device.where = where

    def call() -> None:
        with device.held:
            if where == "reset":
                device.reset()
            else:
                device.wait()

    threading.Thread(target=call, daemon=True).start()
    assert device.begun.wait(10)
    assert client.read(0) == 0xFFFFFFFF
    no_longer_serving(device)
    device.released.set()


@pytest.mark.parametrize("where", ["plug", "reset"])
def test_a_method_that_does_not_return_while_the_device_is_plugged_in(serve: Serve, where: str) -> None:
    """QEMU gets a description of the device, and the guest one that does not answer."""
    device = Stuck(where)
    client = serve(device)
    no_longer_serving(device)
    assert DEVICE_INFO.unpack(client.call(Command.DEVICE_GET_INFO, DEVICE_INFO.pack(16, 0, 0, 0)))[2:] == (9, 5)
    assert client.read(0) == 0xFFFFFFFF
    device.released.set()
    with device.lock:
        assert client.read(0) == 0xFFFFFFFF, "and the thread that has plugged it in does not answer, too"


def test_a_method_that_has_not_returned_when_the_machine_ends(tmp_path: Path) -> None:
    device = Stuck()
    server = Server(device, tmp_path / "socket")
    client = Client(tmp_path / "socket")
    client.agree()
    device.after(0, device.wait)
    assert device.begun.wait(10)
    client.close()
    server.close()
    no_longer_serving(device)
    device.released.set()


def test_an_answer_for_which_qemu_has_not_waited(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ten minutes in a debugger."""
    monkeypatch.setattr("r4l.pci.connection.QEMU_WAITS", 0.2)
    device = Broken()
    device.patience = None
    client = serve(device)
    client.write(4, 0x10)
    client.read(0)
    assert len(device.errors) == 1, "one that raises at once is not late"
    client.write(4, 0x30, posted=True)
    time.sleep(0.3)
    device.released.set()
    assert client.read(0) == 0xCAFE0001
    late = device.errors[1]
    assert "has returned after 0 s" in late.cause
    assert "QEMU never speaks to it again" in late.cause


def test_a_dead_device_takes_no_other_machine(serve: Serve, tmp_path: Path) -> None:
    device = Broken()
    client = serve(device)
    client.write(4, 0x30)
    assert client.read(0) == 0xFFFFFFFF
    client.close()
    with pytest.raises((EOFError, ConnectionError)):
        Client(next(tmp_path.glob("*.sock"))).agree()
    assert not device.released.is_set(), "and the model's method still has not returned"
    device.released.set()
