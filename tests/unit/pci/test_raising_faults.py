# SPDX-License-Identifier: MIT
"""Faults whose effect raises: the guest has one answer, and the error is the model's or the driver's."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from tests.unit.pci.client import Client

from r4l.errors import UsageError
from r4l.pci import Bar, Device, Fault, Register, Reset, happened
from r4l.pci.protocol import REGION_ACCESS, REPLY, Command, Region

Serve = Callable[[Device], Client]


class Raises(Device):
    """A model whose own reset and faults raise."""

    vendor_id = 0x1234
    bars = (Bar(0x100),)
    actions = {"flap": "flap", "end": "end", "burst": "burst"}  # noqa: RUF012

    GO = Register(0x00)

    def on_reset(self, reason: Reset) -> None:
        if reason is Reset.ITSELF:
            raise ValueError("no reset")

    def flap(self) -> None:
        raise KeyError("no link")

    def end(self) -> None:
        raise SystemExit("enough")

    def burst(self) -> None:
        self.dma.write(0x1000, b"x")


@pytest.mark.parametrize("kind", ["reset", "flap", "end", "burst"])
@pytest.mark.parametrize(("region", "place"), [(0, "GO"), (Region.CONFIG, "config.COMMAND")])
@pytest.mark.parametrize("command", [Command.REGION_READ, Command.REGION_WRITE])
def test_each_access_has_one_answer(serve: Serve, kind: str, region: int, place: str, command: Command) -> None:
    device = Raises()
    client = serve(device)
    device.faults.add(f"{kind}@{place}#1")
    offset = 4 if region == Region.CONFIG else 0
    data = (4).to_bytes(4, "little") if command is Command.REGION_WRITE else b""
    asked = [
        client.send(command, REGION_ACCESS.pack(offset, region, 4) + data),
        client.send(Command.REGION_READ, REGION_ACCESS.pack(0, 0, 4)),
    ]
    answers = [client.receive() for _ in asked]
    assert [(number, flags) for number, _, flags, *_ in answers] == [(number, REPLY) for number in asked]
    assert device.faults.came == {f"{kind}@{place}#1": 1}
    if kind == "burst":
        assert not device.errors, "a fault of the driver, which has not called pci_set_master"
        assert "pci_set_master" in device.trace.find(happened("refused"))[0].text
    else:
        (error,) = device.errors
        assert f"({__file__}:" in error.cause


def test_a_mistake_in_the_server_itself_after_the_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Raises()
    client = serve(device)
    monkeypatch.setattr(device, "bar_write", lambda *_: 1 // 0)
    client.write(0, 1)
    assert client.read(0) == 0, "and not a second answer to the write"
    assert "ZeroDivisionError" in device.errors[0].detail
    assert "ZeroDivisionError in r4l itself" in device.trace.find(happened("refused"))[0].text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seconds", value) for value in (math.nan, math.inf, -math.inf, 1e12, -1, "1")),
        *(("chance", value) for value in (math.nan, math.inf, -0.1, 1.1, "1")),
        *(("nth", value) for value in (0, -1, 1.5, math.nan, "1")),
        *(("times", value) for value in (-1, 0.5, math.inf, None)),
        *(("bytes", value) for value in (0, 1.5, 1 << 70, -(1 << 70))),
        ("bits", 1.0),
        ("seed", [1]),
    ],
)
def test_a_number_that_no_fault_can_have_is_named(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"the fault late-write has {name}=") as refused:
        Fault("late-write", "GO", **{name: value})  # type: ignore[arg-type]
    assert name in refused.value.remedy or name == "bytes"
    if isinstance(value, int | float):
        with pytest.raises(UsageError, match=name):
            Fault.parse(f"late-write@GO {name}={value}")


def test_a_delay_of_no_time_is_after_the_event_still(serve: Serve) -> None:
    device = Raises()
    serve(device)
    longest = Fault("late-write", "GO", seconds=1e6)
    device.faults.add(*[longest] * 100)
    device.bar_write(0, 0, 4, 1)
    device.faults.clear()
    device.faults.add("late-write@GO seconds=0")
    with device.lock:
        device.bar_write(0, 0, 4, 2)
        assert int(device.GO) == 0
    assert not device.errors
