# SPDX-License-Identifier: MIT
"""Network cards written in Python: made for a machine's `Nic`s, and connected to the same back ends as QEMU's own.

A card with a `Wire` or another socket cable has its end itself. Between any other back end, which is in QEMU, and the
card is a line of QEMU's: a hub with the back end at one port, and a socket to this process at the other.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from r4l.errors import UsageError
from r4l.net import Cable, Nic
from r4l.net.cable import socket_pair
from r4l.pci import NetworkCard
from r4l.pci.load import in_python, model_class

FIRST_HUB = 0x7000
"""Numbers of the hubs of these lines; those of users are smaller."""
SOCKET = "socket"
"""Back end whose cable the card can hold itself."""


def make(nics: Sequence[Nic]) -> dict[int, NetworkCard]:
    """Return the cards in Python, by their index.

    Raises:
        UsageError: a model is no network card, or has settings of QEMU's.
    """
    cards: dict[int, NetworkCard] = {}
    for index, nic in enumerate(nics):
        if not in_python(nic.model):
            continue
        model = model_class(nic.model)
        if not issubclass(model, NetworkCard):
            raise UsageError(f"{nic.model} is not a network card", "its class inherits from pci.NetworkCard")
        if nic.device:
            raise UsageError(
                f"{nic.model} takes no `device`, which has settings of QEMU's own cards",
                "make the card yourself, and give it by `devices`",
            )
        if "mac" not in inspect.signature(model.__init__).parameters:
            raise UsageError(f"{nic.model} takes no mac", "its __init__ has the arguments of pci.NetworkCard's")
        cards[index] = model(nic.address(index))
    return cards


def connect(
    cards: Mapping[int, NetworkCard], nics: Sequence[Nic], cables: Mapping[int, Cable]
) -> tuple[dict[int, Cable], list[Cable]]:
    """Connect cards before their machine starts.

    Args:
        cards: cards in Python, by their index.
        nics: all cards of the machine.
        cables: all cables of the machine, by the card's index.

    Returns:
        Lines for QEMU by the card's index; and the other ends of these, to be closed with the machine.
    """
    lines: dict[int, Cable] = {}
    ends: list[Cable] = []
    for index, card in cards.items():
        if nics[index].backend == SOCKET and index in cables:
            card.connect(cables[index])
            continue
        ours, theirs = socket_pair()
        lines[index], end = Cable(theirs.detach()), Cable(ours.detach())
        ends.append(end)
        card.connect(end)
    return lines, ends


def netdevs(index: int, backend: Mapping[str, Any] | None, descriptor: int) -> Iterator[dict[str, Any]]:
    """Yield the arguments of `-netdev` for a line.

    Args:
        index: of the card.
        backend: the card's back end as an argument of `-netdev`; None for a card without one.
        descriptor: QEMU's end of the line.
    """
    line = {"id": f"line{index}", "type": "dgram", "local": {"type": "fd", "str": str(descriptor)}}
    if backend is None:
        return
    yield line
    if backend["type"] == "hubport":
        yield {**backend, "netdev": line["id"]}
        return
    yield dict(backend)
    for netdev in (line["id"], backend["id"]):
        yield {"id": f"port-{netdev}", "type": "hubport", "hubid": FIRST_HUB + index, "netdev": netdev}
