# SPDX-License-Identifier: MIT
"""A network card and its back end, as data for QEMU's command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.net.backends import BackEnd, back_ends

Backend = str
"""The name of a back end."""

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
FIRST_MAC = "52:54:00:12:34:56"
"""Address of a machine's first card, as QEMU gives it; the others follow."""


def mac_address(text: str) -> str:
    """Return a MAC address in small letters.

    Raises:
        UsageError: the text is none.
    """
    if not MAC.fullmatch(text.lower()):
        raise UsageError(f"{text!r} is not a MAC address", f"write it like {FIRST_MAC}")
    return text.lower()


@dataclass(frozen=True)
class Nic:
    """A network card of a VM.

    Attributes:
        model: QEMU's name of the device: `e1000` is an Intel 82540EM, 8086:100e. Or a model in Python
            (docs/devices.md): `python:e1000`, or `FILE.py:CLASS`; these are on the bus after QEMU's own.
        backend: `user`, `hub`, `socket`, `tap` or `none`; each is described in a file of `r4l.net.backends`. With
            `options` some of them connect to a resource of the user's own.
        mac: the card's address; None for 52:54:00:12:34:56 and up, by the card's position.
        capture: write a pcap of all packets into the VM's work folder.
        hub: number of the hub.
        options: further settings of the back end, as in its QAPI type of QEMU.
        device: further settings of the card, such as `{"addr": "0x10"}`.
    """

    model: str = "e1000"
    backend: Backend = "user"
    mac: str | None = None
    capture: bool = True
    hub: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mac is not None:
            mac_address(self.mac)
        if self.backend not in back_ends():
            *names, last = back_ends()
            raise UsageError(f"unknown network back end {self.backend!r}", f"use {', '.join(names)} or {last}")
        if fault := self.back_end.fault(self.options):
            raise fault

    def address(self, index: int) -> str:
        """Return the MAC address as card number `index` of the VM."""
        if self.mac:
            return mac_address(self.mac)
        return f"{FIRST_MAC[:-2]}{int(FIRST_MAC[-2:], 16) + index & 0xFF:02x}"

    @property
    def back_end(self) -> BackEnd:
        """The back end of the card."""
        return back_ends()[self.backend]

    @property
    def needs_network(self) -> bool:
        """True if QEMU needs the host's network for the card."""
        return self.back_end.needs_network(self.options)

    @property
    def host_devices(self) -> tuple[Path, ...]:
        """Nodes in the host's /dev that QEMU opens for the card."""
        return self.back_end.devices(self.options)

    @property
    def has_cable(self) -> bool:
        """True if a run of the VM makes a `Cable` for the card: QEMU then gets an open descriptor."""
        return self.back_end.has_cable and not self.options

    def netdev(self, index: int, descriptor: int | None = None) -> dict[str, Any] | None:
        """Return the back end as an argument of `-netdev`; None for a card without cable.

        Args:
            index: position of the card.
            descriptor: QEMU's end of the cable, if the card has one.
        """
        settings = self.back_end.netdev(self.options, hub=self.hub, descriptor=descriptor)
        return None if settings is None else {"id": f"net{index}", **settings}

    def qemu_device(self, index: int) -> dict[str, Any]:
        """Return the card as an argument of `-device`. Its id is `nic0`, `nic1` and so on."""
        settings: dict[str, Any] = {"driver": self.model, "id": f"nic{index}", "mac": self.address(index)}
        if self.netdev(index) is not None:
            settings["netdev"] = f"net{index}"
        # No VM boots from the card, so its option ROM is not loaded.
        settings["romfile"] = ""
        return {**settings, **self.device}
