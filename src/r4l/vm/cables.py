# SPDX-License-Identifier: MIT
"""The cables of one run: those given by the caller, and new ones for the other cards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from r4l.errors import UsageError
from r4l.net import Cable, Nic

ISOLATED = "R4L_ISOLATED_GUESTS"
"""Environment variable that isolates guests with the back end `user` from this host and all others.

The labs set it for their checks, since untrusted code runs in those guests.
"""


def isolated(nics: Iterable[Nic]) -> tuple[Nic, ...]:
    """Return a VM's cards, isolated from the host and its networks if `ISOLATED` is set."""
    if not os.environ.get(ISOLATED):
        return tuple(nics)
    return tuple(replace(nic, options=nic.back_end.isolated(nic.options)) for nic in nics)


def check(nics: Sequence[Nic], given: Mapping[int, Cable]) -> None:
    """Check that each cable fits its card.

    Raises:
        UsageError: a cable does not fit.
    """
    for index, cable in given.items():
        if not 0 <= index < len(nics):
            raise UsageError(f"there is a cable for card {index}, and the VM has {len(nics)}", "they count from 0")
        if not nics[index].has_cable or nics[index].backend != cable.backend:
            raise UsageError(
                f"card {index} takes no cable of this kind", f"give it the back end: Nic(backend={cable.backend!r})"
            )


def lay(nics: Sequence[Nic], given: Mapping[int, Cable], workdir: Path) -> dict[int, Cable]:
    """Make a cable for each card that needs one.

    Raises:
        EnvironmentFault: this machine does not permit a tap.
    """
    cables = dict(given)
    try:
        for index, nic in enumerate(nics):
            if nic.options or index in cables:
                continue
            cable = nic.back_end.lay(workdir / f"wire{index}.pcap" if nic.capture else None)
            if cable is not None:
                cables[index] = cable
    except BaseException:
        close(cables.values())
        raise
    return cables


def close(cables: Iterable[Cable]) -> None:
    """Close the given cables."""
    for cable in cables:
        cable.close()
