# SPDX-License-Identifier: MIT
"""The cables of one run: those that were given, and new ones for the cards that lack one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from r4l.errors import UsageError
from r4l.net import Cable, Nic, Tap, Wire


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
            if nic.has_cable and index not in cables:
                capture = workdir / f"wire{index}.pcap" if nic.capture else None
                cables[index] = Tap() if nic.backend == "tap" else Wire(capture)
    except BaseException:
        close(cables.values())
        raise
    return cables


def close(cables: Iterable[Cable]) -> None:
    """Close them all."""
    for cable in cables:
        cable.close()
