# SPDX-License-Identifier: MIT
"""The cables of one run: those that were given, and new ones for the cards that lack one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from r4l.errors import UsageError
from r4l.net import Cable, Nic

ISOLATED = "R4L_ISOLATED_GUESTS"
"""The environment variable under which guests reach no other machine by the back end `user`, and not this one either:
the labs set it for their checks, since what runs in those guests is a stranger's."""


def isolated(nics: Iterable[Nic]) -> tuple[Nic, ...]:
    """The cards of a VM as they are used: cut off from the host and its networks where `ISOLATED` is set."""
    if not os.environ.get(ISOLATED):
        return tuple(nics)
    return tuple(replace(nic, options=nic.back_end.isolated(nic.options)) for nic in nics)


def check(nics: Sequence[Nic], given: Mapping[int, Cable]) -> None:
    """Whether each cable fits its card.

    Raises:
        UsageError: one does not.
    """
    for index, cable in given.items():
        if not 0 <= index < len(nics):
            raise UsageError(f"there is a cable for card {index}, and the VM has {len(nics)}", "they count from 0")
        if not nics[index].has_cable or nics[index].backend != cable.backend:
            raise UsageError(
                f"card {index} takes no cable of this kind", f"give it the back end: Nic(backend={cable.backend!r})"
            )


def lay(nics: Sequence[Nic], given: Mapping[int, Cable], workdir: Path) -> dict[int, Cable]:
    """A cable for each card that has one.

    Raises:
        EnvironmentFault: this machine does not let us make a tap.
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
    """Close them all."""
    for cable in cables:
        cable.close()
