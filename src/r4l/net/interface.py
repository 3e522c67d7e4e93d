# SPDX-License-Identifier: MIT
"""A network interface in a guest: up, down, its carrier, its counters, ping."""

from __future__ import annotations

import shlex
from typing import Protocol

from r4l.errors import VerdictError
from r4l.net.addresses import GUEST_ADDRESS

CARRIER_SECONDS = 10.0
POLL_MICROSECONDS = 50_000


class RunInGuest(Protocol):
    """Function that runs a command line in the guest and returns its stdout; raises for an exit code other than 0."""

    def __call__(self, command: str, *, timeout: float = 30.0) -> str:
        """Run the command line."""


class PacketsLost(VerdictError):
    """A ping lost answers."""

    category = "packets-lost"


class Interface:
    """An interface of the guest.

    Args:
        run: runs commands in the guest.
        name: name of the interface.
    """

    def __init__(self, run: RunInGuest, name: str = "eth0") -> None:
        self._run = run
        self.name = name

    def up(self, address: str | None = GUEST_ADDRESS) -> None:
        """Bring the interface up with an address (CIDR), and wait for the carrier.

        Raises:
            CommandFailed: the interface or its carrier does not come up; or another exception of `run`.
        """
        give = f" && ip addr add {address} dev {self.name}" if address else ""
        self._run(f"ip link set {self.name} up{give}")
        self.wait_for_carrier()

    def down(self) -> None:
        """Bring the interface down."""
        self._run(f"ip link set {self.name} down")

    def wait_for_carrier(self, wanted: bool = True) -> None:
        """Wait until the link is up (or down). Autonegotiation takes half a second."""
        path = shlex.quote(f"/sys/class/net/{self.name}/carrier")
        ticks = int(CARRIER_SECONDS * 1e6 / POLL_MICROSECONDS)
        self._run(
            f'i=0; until [ "$(cat {path} 2>/dev/null)" = {int(wanted)} ]; do i=$((i+1)); [ $i -gt {ticks} ] && exit 1; '
            f"usleep {POLL_MICROSECONDS}; done",
            timeout=CARRIER_SECONDS * 3,
        )

    def ping(self, address: str, count: int = 4, *, size: int = 56) -> str:
        """Ping, require all answers, and return the summary line. The guest's routes select the interface.

        Args:
            size: bytes of payload in each packet.

        Raises:
            PacketsLost: an answer is missing.
        """
        # 5 s for the first answer: the card stalls reception for a second after each write of RCTL.
        command = f"ping -c{count} -i 0.2 -W5 -s {size} {address}"
        lines = self._run(f"{command} 2>&1 || [ $? = 1 ]", timeout=20 + 5 * count).splitlines()
        summary = next((line for line in lines if "packet loss" in line), lines[-1] if lines else "no answer")
        if " 0% packet loss" not in summary:
            raise PacketsLost(f"`{command}`: {summary}", "look into the pcap in the VM's work folder")
        return summary

    def counter(self, name: str) -> int:
        """Return a counter: `rx_packets`, `tx_bytes` … (Documentation/networking/statistics.rst)."""
        return int(self._run(f"cat /sys/class/net/{self.name}/statistics/{name}"))

    @property
    def mac(self) -> str:
        """MAC address of the interface."""
        return self._run(f"cat /sys/class/net/{self.name}/address").strip()
