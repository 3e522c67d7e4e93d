# SPDX-License-Identifier: MIT
"""A network card and its back end, as data that QEMU's command line is made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from r4l.errors import UsageError

Backend = Literal["user", "hub", "socket", "tap", "none"]

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
NETDEV_TYPE = {"user": "user", "hub": "hubport", "tap": "tap"}


@dataclass(frozen=True)
class Nic:
    """A network card of a VM.

    Attributes:
        model: QEMU's name of the device: `e1000` is an Intel 82540EM, 8086:100e.
        backend: what it is wired to. `user`: QEMU's own router and DHCP server on 10.0.2.0/24 (gateway 10.0.2.2; no
            root needed). `hub`: all cards with the same number `hub` in this VM share a wire. `socket`: this process
            has the other end, as a `Wire`, or another VM has it (`crossover`). `tap`: a tap in a network namespace of
            the VM's own, a `Tap`. `none`: a card without a cable. With `options` the last two are of the user's own
            making: a stream or dgram socket (QEMU's `-netdev`, key `type`), a tap that exists (key `ifname`).
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
        if self.backend not in (*NETDEV_TYPE, "socket", "none"):
            raise UsageError(f"unknown network back end {self.backend!r}", "use user, hub, socket, tap or none")
        if self.backend == "socket" and self.options and self.options.get("type") not in ("stream", "dgram"):
            raise UsageError(
                "a socket of your own needs to have a type", "options={'type': 'stream' or 'dgram', …}, or no options"
            )

    def address(self, index: int) -> str:
        """Its MAC address as the VM's card number `index`."""
        return self.mac.lower() if self.mac else f"52:54:00:12:34:{0x56 + index & 0xFF:02x}"

    @property
    def needs_network(self) -> bool:
        """Whether QEMU needs the host's network for it: its router does, unless it is cut off and forwards nothing."""
        cut_off = self.options.get("restrict") and not {"hostfwd", "guestfwd"} & self.options.keys()
        return self.backend == "user" and not cut_off

    @property
    def has_cable(self) -> bool:
        """Whether a run of the VM gives it a `Cable`: QEMU gets an open descriptor instead of a name."""
        return self.backend in ("socket", "tap") and not self.options

    def netdev(self, index: int, descriptor: int | None = None) -> dict[str, Any] | None:
        """The back end as an argument of `-netdev`.

        Args:
            index: the card's place.
            descriptor: of its cable, open in QEMU, where it has one.
        """
        if self.backend == "none":
            return None
        settings: dict[str, Any] = {"id": f"net{index}", **self.options}
        settings.setdefault("type", NETDEV_TYPE.get(self.backend))
        if self.backend == "hub":
            settings["hubid"] = self.hub
        elif descriptor is not None and self.backend == "socket":
            # A datagram is a frame.
            settings |= {"type": "dgram", "local": {"type": "fd", "str": str(descriptor)}}
        elif descriptor is not None and self.backend == "tap":
            settings["fd"] = str(descriptor)
        elif self.backend == "tap":
            # QEMU's own scripts would need root and a bridge.
            settings.setdefault("script", "no")
            settings.setdefault("downscript", "no")
        return settings

    def qemu_device(self, index: int) -> dict[str, Any]:
        """The card as an argument of `-device`. Its id is `nic0` and so on."""
        settings: dict[str, Any] = {"driver": self.model, "id": f"nic{index}", "mac": self.address(index)}
        if self.backend != "none":
            settings["netdev"] = f"net{index}"
        # Nobody boots from this card: its option ROM would only be loaded.
        settings["romfile"] = ""
        return {**settings, **self.device}
