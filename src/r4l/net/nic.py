# SPDX-License-Identifier: MIT
"""A network card and its back end, as data that QEMU's command line is made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from r4l.errors import UsageError
from r4l.net.backends import BackEnd, back_ends

Backend = str
"""The name of a back end."""

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


@dataclass(frozen=True)
class Nic:
    """A network card of a VM.

    Attributes:
        model: QEMU's name of the device: `e1000` is an Intel 82540EM, 8086:100e.
        backend: what it is wired to: `user`, `hub`, `socket`, `tap` or `none`, a file each in `r4l.net.backends`, which
            say more. With `options` some of them are of the user's own making.
        mac: its address; 52:54:00:12:34:56 and up, by the card's place, where None.
        capture: write a pcap of all its packets into the VM's work folder.
        hub: number of the hub.
        options: more settings of the back end, as in QEMU's QAPI type for it.
        device: more settings of the card, such as `{"addr": "0x10"}`.
    """

    model: str = "e1000"
    backend: Backend = "user"
    mac: str | None = None
    capture: bool = True
    hub: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    device: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mac is not None and not MAC.fullmatch(self.mac.lower()):
            raise UsageError(f"{self.mac!r} is no MAC address", "write it like 52:54:00:12:34:56")
        if self.backend not in back_ends():
            *names, last = back_ends()
            raise UsageError(f"unknown network back end {self.backend!r}", f"use {', '.join(names)} or {last}")
        if fault := self.back_end.fault(self.options):
            raise fault

    def address(self, index: int) -> str:
        """Its MAC address as the VM's card number `index`."""
        return self.mac.lower() if self.mac else f"52:54:00:12:34:{0x56 + index & 0xFF:02x}"

    @property
    def back_end(self) -> BackEnd:
        """The back end of that name."""
        return back_ends()[self.backend]

    @property
    def needs_network(self) -> bool:
        """Whether QEMU needs the host's network for it."""
        return self.back_end.needs_network(self.options)

    @property
    def has_cable(self) -> bool:
        """Whether a run of the VM gives it a `Cable`: QEMU gets an open descriptor instead of a name."""
        return self.back_end.has_cable and not self.options

    def netdev(self, index: int, descriptor: int | None = None) -> dict[str, Any] | None:
        """The back end as an argument of `-netdev`; None where there is none.

        Args:
            index: the card's place.
            descriptor: of its cable, open in QEMU, where it has one.
        """
        settings = self.back_end.netdev(self.options, hub=self.hub, descriptor=descriptor)
        return None if settings is None else {"id": f"net{index}", **settings}

    def qemu_device(self, index: int) -> dict[str, Any]:
        """The card as an argument of `-device`. Its id is `nic0` and so on."""
        settings: dict[str, Any] = {"driver": self.model, "id": f"nic{index}", "mac": self.address(index)}
        if self.netdev(index) is not None:
            settings["netdev"] = f"net{index}"
        # Nobody boots from this card: its option ROM would only be loaded.
        settings["romfile"] = ""
        return {**settings, **self.device}
