# SPDX-License-Identifier: MIT
"""The phases of a sweep: the life of a driver, from its load to its removal, as scripts for the guest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from r4l import resources
from r4l.errors import UsageError
from r4l.net.addresses import GATEWAY, GUEST_ADDRESS

NO_SERVICE = 3
"""Exit code of a phase's script if the service is missing and nothing reported an error."""
PRELUDE = """
INTERFACE=
for NAME in $DEVICE/net/*; do [ ! -e $NAME ] || INTERFACE=${NAME##*/}; done
read BEGUN IDLE < /proc/uptime
within() { read NOW IDLE < /proc/uptime; [ $((${NOW%.*} - ${BEGUN%.*})) -lt $1 ]; }
"""
"""Beginning of each script. It starts no program: under TCG each takes 5 ms of a quiet host, more of a busy one."""
WITHIN = re.compile(r"\bwithin (\d+)")
"""A script's wait, with its seconds."""
ADDRESSES = {"GUEST_ADDRESS": GUEST_ADDRESS, "GATEWAY": GATEWAY}
"""The network's addresses in the environment of each script."""


def environment(*, module: str, file: str, device: str, exercise: str) -> dict[str, str]:
    """Return the environment of each script, in a sweep and in a printed test.

    Args:
        module: name of the driver's module.
        file: path of its .ko in the guest.
        device: PCI address of the device in the guest, such as `0000:00:03.0`.
        exercise: the user's command for the phase `traffic`; may be empty.
    """
    folder = f"/sys/bus/pci/devices/{device}"
    return {"MODULE": module, "KO": file, "DEVICE": folder, "EXERCISE": exercise, **ADDRESSES}


@dataclass(frozen=True)
class Phase:
    """A part of a driver's life.

    Attributes:
        name: `probe`, `open`, `traffic`, `suspend`, `stop` or `remove`.
        about: one line for people.
        seconds: the host's seconds after which it counts as a hang.
        script: for the guest's sh; see phases.toml.
        when: the user's wish without which a life has no such phase: `exercise`, `suspend`, or empty.
    """

    name: str
    about: str
    seconds: float
    script: str
    when: str = ""

    @property
    def waits(self) -> float:
        """The guest's seconds for which the script waits for a carrier or an answer at most; 0 if it does not wait."""
        return float(max(map(int, WITHIN.findall(self.script)), default=0))


def _table() -> dict[str, tuple[Phase, ...]]:
    shape = [{"name!": str, "about": str, "seconds": int, "script": str, "when?": str}]
    data = resources.table(__package__, "phases.toml", {"network": shape, "other": shape})
    return {kind: tuple(Phase(**one) for one in phases) for kind, phases in data.items()}


PHASES = _table()
"""The phases of a network driver and of any `other`."""


def phases_of(*, network: bool, exercise: str, suspend: bool = False) -> tuple[Phase, ...]:
    """Return the phases of a driver.

    Args:
        network: True for a driver of a network card.
        exercise: the user's command for the phase `traffic` of another driver; without one it has no such phase.
        suspend: True for a phase in which the machine suspends and resumes its devices.

    Raises:
        UsageError: a command was given for a network driver, which has traffic of its own.
    """
    if network and exercise:
        raise UsageError("a network driver is exercised by traffic", "leave --exercise out")
    wishes = {"exercise": bool(exercise), "suspend": suspend, "": True}
    return tuple(phase for phase in PHASES["network" if network else "other"] if wishes[phase.when])


def chosen(phases: Sequence[Phase], names: Sequence[str]) -> set[str]:
    """Return the names of the phases in which faults shall come: those that the user named, or all.

    Raises:
        UsageError: there is no phase of that name.
    """
    known = [phase.name for phase in phases]
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there is no phase {unknown[0]}", f"there are {', '.join(known)}")
    return set(names or known)
