# SPDX-License-Identifier: MIT
"""Exceptions of a model, and of the server itself: kept, and the guest goes on."""

from __future__ import annotations

import errno
import time

import pytest
from tests.unit.pci.client import Refusal
from tests.unit.pci.conftest import Serve
from tests.unit.pci.models import Broken, Model
from tests.unit.pci.sources import HEAD, define

from r4l.pci import happened
from r4l.pci.protocol import Command, Refused, StreamBroken


@pytest.fixture
def device() -> Model:
    return Model()


def test_what_a_model_raises_is_kept_with_its_traceback(serve: Serve) -> None:
    device = Broken()
    client = serve(device)
    client.write(4, 0x10)
    client.write(4, 0x20)
    assert client.read(0) == 0xCAFE0001, "the guest goes on"
    assert client.read(0, 1, region=1) == 0xFF
    first, second, third = device.errors
    assert "raised KeyError: 'no such speed'" in first.cause
    assert "models.py" in first.cause
    assert isinstance(first.__cause__, KeyError)
    assert 'raise KeyError("no such speed")' in first.detail
    assert "SystemExit" in second.cause
    assert "port has to return what is read of PORT, and returned 'five'" in third.cause
    for _ in range(100):
        client.write(4, 0x10)
    client.read(0)
    assert len(device.errors) == 20, "as many as anybody reads"


class Untold(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


CIRCLE = ValueError("circle")
CIRCLE.__cause__ = CIRCLE


@pytest.mark.parametrize(
    "error",
    [
        Untold(),
        KeyboardInterrupt(),
        GeneratorExit(),
        MemoryError(),
        BrokenPipeError(32, "as of the connection"),
        Refused(5, "as of the server"),
        StreamBroken("as of the channel"),
        ExceptionGroup("two", [ValueError(1), Untold()]),
        CIRCLE,
        ValueError("x" * 10_000_000),
        ValueError("\udcff"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("how", ["read", "write", "timer", "frame", "reset", "plug", "unplug"])
def test_whatever_a_model_raises_the_guest_goes_on(serve: Serve, error: BaseException, how: str) -> None:
    class Raises(Model):
        armed = how == "plug"

        def fail(self, *_: object) -> int:
            if self.armed:
                raise error
            return 0

        control = fail  # type: ignore[assignment]
        port = fail  # type: ignore[assignment]
        on_plug = fail  # type: ignore[assignment]
        on_unplug = fail  # type: ignore[assignment]
        on_reset = fail  # type: ignore[assignment]

    device = Raises()
    client = serve(device)
    device.armed = True
    if how == "read":
        assert client.read(0, 1, region=1) == 0xFF
    elif how == "write":
        client.write(4, 1)
    elif how == "timer":
        device.after(0, device.fail)
        device.trace.expect(happened("note"))
    elif how == "frame":
        device.call(device.fail)
    elif how == "reset":
        client.call(Command.DEVICE_RESET)
    if how == "unplug":
        client.close()
        until = time.monotonic() + 10
        while not device.errors and time.monotonic() < until:
            time.sleep(0.01)
    else:
        assert client.read(0) == 0xCAFE0001
    problem = device.errors[0]
    assert "the model Raises raised " in problem.cause
    assert type(error).__name__ in problem.cause
    assert "raise error" in problem.detail
    assert len(problem.cause) + len(problem.detail) < 20_000
    assert problem.__cause__ is error
    assert not device.dead


def test_a_mistake_in_the_server_itself_is_answered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, device: Model
) -> None:
    """A thread that ends with an exception would have QEMU wait for ten minutes."""
    client = serve(device)
    monkeypatch.setattr(device, "config_read", lambda *_: 1 // 0)
    with pytest.raises(Refusal) as refused:
        client.config(0)
    assert refused.value.errno == errno.EIO
    assert client.read(0) == 0xCAFE0001
    assert "ZeroDivisionError" in device.errors[0].detail


CALLS = {
    "self.after(1, self.step(0, 0))": "after takes seconds and a method, not 1 and None: without parentheses",
    "self.after('1', self.reset)": "after takes seconds and a method, not '1'",
    "self.after(-1, self.reset)": "after takes seconds from 0 on, not -1",
    "self.after(float('nan'), self.reset)": "after takes seconds from 0 on, not nan",
    "self.raise_irq('0')": "raise_irq takes the number of a vector, not '0'",
    "self.raise_irq(-1)": "raise_irq takes the number of a vector, not -1: the model has vector 0 only",
    "self.raise_irq(1)": "raise_irq takes the number of a vector, not 1: the model has vector 0 only",
    "self.pulse(1)": "raise_irq takes the number of a vector, not 1: the model has vector 0 only",
    "self.dma.read('0x1000', 4)": "DMA takes an address and a number of bytes, not '0x1000' and 4",
    "self.dma.read(0x1000, None)": "DMA takes an address and a number of bytes, not 4096 and None",
    "self.dma.read(0x1000, -4)": "DMA at 0x1000 of -4 bytes",
    "self.dma.write(0x1000, 'text')": "DMA writes bytes, not 'text'",
    "self.dma.write(None, b'text')": "DMA takes an address and a number of bytes, not None and 4",
    "self.dma.write(0x1000, 4)": "DMA writes bytes, not 4",
    "self.dma.pack('<I', 0x1000, 'x')": "required argument is not an integer",
    "self.A = '5'": "A is a register",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_method_that_calls_with_wrong_arguments_is_the_model_s_error_with_its_line(call: str) -> None:
    model = define(
        f"{HEAD}    A = Register(0x00)\n    B = Register(0x04)\n    @B.on_write\n    def go(self, old, new):\n"
        f"        {call}\n    @A.on_write\n    def step(self, old, new): pass\n"
    )
    device = model()
    device.may_master = True
    device.bar_write(0, 4, 4, 1)
    (error,) = device.errors
    assert CALLS[call] in error.cause
    assert "(/somewhere/model.py:8)" in error.cause
