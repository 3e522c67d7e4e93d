# SPDX-License-Identifier: MIT
"""Faults as data: their kinds, and one of them with its place, time and numbers.

Fault("lost-interrupt", nth=2)
Fault.parse("flipped-bit@STATUS#3 bits=0x80")
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from r4l.errors import UsageError

Trigger = Literal["read", "write", "access", "interrupt", "dma-read", "dma-write"]
"""Events at which a fault can occur. `access` is a read or a write."""


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        trigger: event at which it occurs.
        text: effect.
        needs: its arguments beside place and time.
    """

    trigger: Trigger
    text: str
    needs: tuple[str, ...] = ()


FAULT_KINDS: dict[str, FaultKind] = {
    "all-ones": FaultKind("read", "a read returns all ones, as from a card that is gone"),
    "flipped-bit": FaultKind("read", "a read returns some bits inverted", ("bits",)),
    "stuck-at-one": FaultKind("read", "a read returns some bits as ones", ("bits",)),
    "stuck-at-zero": FaultKind("read", "a read returns some bits as zeros", ("bits",)),
    "lost-write": FaultKind("write", "a write has no effect"),
    "flipped-write": FaultKind("write", "a write arrives with some bits inverted", ("bits",)),
    "late-write": FaultKind(
        "write", "a write takes effect some seconds later, and accesses after it do not wait for it", ("seconds",)
    ),
    "lost-interrupt": FaultKind("interrupt", "an interrupt does not reach the guest"),
    "late-interrupt": FaultKind("interrupt", "an interrupt reaches the guest some seconds later", ("seconds",)),
    "doubled-interrupt": FaultKind("interrupt", "an interrupt comes a second time, some seconds later", ("seconds",)),
    "spurious-interrupt": FaultKind("access", "an interrupt without a reason comes at an access"),
    "lost-dma": FaultKind("dma-write", "a write to the guest's memory does not arrive"),
    "late-dma": FaultKind("dma-write", "a write to the guest's memory arrives some seconds later", ("seconds",)),
    "short-dma": FaultKind("dma-write", "a write to the guest's memory arrives with its first half only"),
    "misplaced-dma": FaultKind("dma-write", "a write to the guest's memory arrives some bytes further on", ("bytes",)),
    "swapped-dma": FaultKind(
        "dma-write", "a write to the guest's memory arrives after the next one: status before data"
    ),
    "garbled-dma": FaultKind("dma-read", "a read from the guest's memory returns all bits inverted"),
    "reset": FaultKind("access", "the device resets itself just before an access"),
    "unplug": FaultKind("access", "the card is gone from just before an access on"),
}
"""Kinds of faults that all devices have. A model's own are in its `actions`."""


@dataclass(frozen=True)
class Fault:
    """One fault as data that can be printed, parsed, kept in a table.

    Args:
        kind: one of `FAULT_KINDS`, or of the model's `actions`.
        place: name of the register, such as `CTRL` or `RAL[3]`; `config.COMMAND` for one of the configuration space
            (`r4l.pci.config.ConfigSpace.registers`), `config` for all of it; vector of the interrupt as the trace has
            it, 0 for INTx; for transfers of DMA the name of the ring with the descriptor (`receive`), its buffers
            ("receive.buffer"), or "data" for all memory outside of the device's `rings`. Empty for any but the
            configuration space.
        nth: number of the event at that place, from 1, at which the fault begins.
        times: number of occurrences from there on; 0: without end.
        chance: probability at each event, instead of `nth`.
        seed: seed of the random numbers for `chance`.
        bits: bits of the register that are flipped or stuck; without a place, of the access.
        seconds: delay by the model's clock.
        bytes: offset of a misplaced write.

    Raises:
        UsageError: the values are not a fault.
    """

    kind: str
    place: str = ""
    nth: int = 1
    times: int = 1
    chance: float = 0.0
    seed: int = 0
    bits: int = 1
    seconds: float = 0.01
    bytes: int = 64

    def __post_init__(self) -> None:
        for name, number in NUMBERS.items():
            value = getattr(self, name)
            # Not the other way round: all comparisons with nan are false.
            if not isinstance(value, number.type) or not number.least <= value <= number.most:
                raise UsageError(f"the fault {self.kind} has {name}={value!r}", f"give {name} {number.text}")
        if not self.bytes:
            raise UsageError(f"the fault {self.kind} has bytes=0, an offset without an effect", "give another number")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault for the text that `str` gives: `KIND[@PLACE][#NTH] [NAME=VALUE…]`.

        Args:
            text: the fault.

        Raises:
            UsageError: the text is not a fault.
        """
        head, *rest = text.split() or [""]
        name, _, nth = head.partition("#")
        kind, _, place = name.partition("@")
        values: dict[str, Any] = {"nth": nth} if nth else {}
        try:
            values |= dict(word.split("=", 1) for word in rest)
            types = {field.name: field.type for field in fields(cls)}
            for word, value in values.items():
                values[word] = float(value) if types[word] == "float" else int(value, 0)
            return cls(kind, place, **values)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{text!r} is not a fault", "write KIND@PLACE#NTH, such as lost-write@CTRL#3") from error

    def __str__(self) -> str:
        head = f"{self.kind}{'@' + self.place if self.place else ''}{'' if self.chance else f'#{self.nth}'}"
        rest = [
            f"{field.name}={value:#x}" if field.name == "bits" else f"{field.name}={value}"
            for field in fields(self)[3:]
            if (value := getattr(self, field.name)) != field.default
        ]
        return " ".join([head, *rest])


class Number(NamedTuple):
    """Values that one of a fault's numbers can have: type, bounds, and these as a text."""

    type: Any
    least: float
    most: float
    text: str


NUMBERS = {
    "nth": Number(int, 1, math.inf, "from 1"),
    "times": Number(int, 0, math.inf, "from 0"),
    "chance": Number(int | float, 0, 1, "from 0 to 1"),
    "seed": Number(int, -math.inf, math.inf, "as an integer"),
    "bits": Number(int, -math.inf, math.inf, "as an integer"),
    # Delays of several faults at one event add up, and no thread can wait for longer than `threading.TIMEOUT_MAX`.
    "seconds": Number(int | float, 0, 1e6, "from 0 to 1000000"),
    "bytes": Number(int, -(1 << 63), 1 << 63, "as an integer of 64 bits"),
}
"""Numbers of a `Fault`. Bits are compared with the register by `Faults.require`."""
