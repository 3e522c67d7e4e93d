# SPDX-License-Identifier: MIT
"""The back ends of network cards, a file each; a file's name is the back end's.

A new one is a file here with a `BACK_END`, and a row in docs/testing.md.
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
    """A back end: what QEMU's `-netdev` is told of a card, and which cable a run lays for it."""

    takes_wire = False
    """Whether a card gives this back end up for a wire that the test asks for."""

    def fault(self, options: Options) -> UsageError | None:
        """The error of a card with options that cannot be; None where they can."""
        return None

    @abstractmethod
    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any] | None:
        """The settings for `-netdev`, without the id; None where the card has no cable at all.

        Args:
            hub: number of the card's hub.
            descriptor: of the cable that `lay` gave, open in QEMU.
        """

    def lay(self, capture: Path | None) -> Cable | None:
        """A new cable for a card without options; None where QEMU makes the connection itself.

        Args:
            capture: file for its frames, where the cable can write one.

        Raises:
            EnvironmentFault: this machine does not let us make one.
        """
        return None

    @property
    def has_cable(self) -> bool:
        """Whether `lay` gives a cable."""
        return type(self).lay is not BackEnd.lay

    def isolated(self, options: Options) -> Options:
        """The options with which the guest reaches neither the host nor its networks."""
        return options

    def needs_network(self, options: Options) -> bool:
        """Whether QEMU needs the host's network for it."""
        return False


@cache
def back_ends() -> dict[str, BackEnd]:
    """All back ends by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").BACK_END for name in names}
