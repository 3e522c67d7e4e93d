# SPDX-License-Identifier: MIT
"""The back ends of network cards, one file each; the file's name is the back end's.

To add one, add a file here with a `BACK_END`, and a row in docs/testing.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.net.cable import Cable

Options = Mapping[str, Any]
"""A card's `options`: settings of QEMU's QAPI type for its back end."""


class BackEnd(ABC):
    """A back end: its settings for QEMU's `-netdev`, and the cable that a run makes for it."""

    takes_wire = False
    """True if a test's wire may replace this back end."""

    def fault(self, options: Options) -> UsageError | None:
        """Return the error for invalid options of a card; None for valid ones."""
        return None

    @abstractmethod
    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any] | None:
        """Return the settings for `-netdev`, without the id; None for a card without cable.

        Args:
            hub: number of the card's hub.
            descriptor: QEMU's end of the cable made by `lay`.
        """

    def lay(self, capture: Path | None) -> Cable | None:
        """Make a cable for a card without options; None if QEMU makes the connection itself.

        Args:
            capture: file for its frames, if the cable can write one.

        Raises:
            EnvironmentFault: the host does not permit it.
        """
        return None

    @property
    def has_cable(self) -> bool:
        """True if `lay` makes a cable."""
        return type(self).lay is not BackEnd.lay

    def isolated(self, options: Options) -> Options:
        """Return the options with which the guest reaches neither the host nor its networks."""
        return options

    def needs_network(self, options: Options) -> bool:
        """True if QEMU needs the host's network for this back end."""
        return False

    def devices(self, options: Options) -> tuple[Path, ...]:
        """Return the nodes in the host's /dev that QEMU opens."""
        return ()


@cache
def back_ends() -> dict[str, BackEnd]:
    """Return all back ends by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").BACK_END for name in names}
