# SPDX-License-Identifier: MIT
"""The VM that a test asks for: `@pytest.mark.machine(...)` on the test, its class or its file; the nearest wins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from r4l.net import Nic, Wire


@dataclass(frozen=True)
class MachineSpec:
    """What stands in the marker.

    Attributes:
        kernel: names of kernels as `--kernel` takes them; the test runs once on each.
        arch: the guest's architecture.
        memory: MiB.
        cpus: how many.
        nics: network cards; a string is a model on QEMU's user network.
        modules: the kernel's own modules that the initramfs has.
        append: to the kernel's command line.
        extra: more arguments for QEMU.
        prepare: a function that is called with the VM, and with the module under test where it has a second parameter,
            before the state is kept that each test starts from.
        snapshot: True: booted once, restored for each test; False: booted for each. By default the first, unless there
            is something in `extra`: QEMU has devices (such as `edu`) whose state it does not save, and does not say so.
    """

    kernel: Sequence[str] | str | None = None
    arch: str | None = None
    memory: int | None = None
    cpus: int = 2
    nics: Sequence[Nic | str] = ()
    modules: Sequence[str] = ()
    append: str = ""
    extra: Sequence[str] = ()
    prepare: Callable[..., object] | None = None
    snapshot: bool | None = None

    @property
    def kernels(self) -> tuple[str, ...]:
        """The names of the kernels, none where the marker has none."""
        if self.kernel is None:
            return ()
        return (self.kernel,) if isinstance(self.kernel, str) else tuple(self.kernel)

    @property
    def restored(self) -> bool:
        """Whether the machine is booted once and restored for each test."""
        return not self.extra if self.snapshot is None else self.snapshot

    @property
    def boots_because(self) -> str:
        """Why it cannot be restored though nobody said that it shall boot; empty otherwise."""
        return "QEMU does not save the state of every device in `extra`" if self.extra and self.snapshot is None else ""

    @property
    def prepare_with_module(self) -> bool:
        """Whether the preparation wants the module under test."""
        return self.prepare is not None and len(inspect.signature(self.prepare).parameters) > 1

    @property
    def cards(self) -> tuple[Nic, ...]:
        """The network cards."""
        return tuple(Nic(card) if isinstance(card, str) else card for card in self.nics)


WORDS = tuple(field.name for field in fields(MachineSpec))
"""The words that the marker has."""


def cards_of(node: pytest.Item) -> tuple[Nic, ...]:
    """The network cards of a test's VM; with the fixture `wire`, the first one's cable ends in the test.

    Raises:
        pytest.UsageError: that cannot be.
    """
    cards = spec_of(node).cards
    if "wire" not in getattr(node, "fixturenames", ()):
        return cards
    if not cards:
        raise pytest.UsageError(f"{node.nodeid} has no card for its wire: @pytest.mark.machine(nics=['e1000'])")
    if not cards[0].back_end.takes_wire or cards[0].options:
        raise pytest.UsageError(
            f"{node.nodeid} has a first card with a back end of its own, and wants a wire on it: leave one of them out"
        )
    return (replace(cards[0], backend=Wire.backend), *cards[1:])


def spec_of(node: pytest.Item) -> MachineSpec:
    """What a test's markers say together.

    Raises:
        pytest.UsageError: a marker with a word that it does not have.
    """
    spec = MachineSpec()
    for mark in reversed(list(node.iter_markers("machine"))):
        unknown = set(mark.kwargs) - set(WORDS)
        if mark.args or unknown:
            what = ", ".join(sorted(unknown)) or f"{mark.args!r} without a name"
            raise pytest.UsageError(f"{node.nodeid}: the marker machine has no {what}; it has {', '.join(WORDS)}")
        spec = replace(spec, **dict[str, Any](mark.kwargs))
    return spec
