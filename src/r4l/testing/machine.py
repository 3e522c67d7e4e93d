# SPDX-License-Identifier: MIT
"""The marker `@pytest.mark.machine(...)`, which describes the VM of a test, class or file; the nearest one wins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from r4l.net import Nic, Wire
from r4l.pci import Device
from r4l.pci.load import in_python
from r4l.testing import options
from r4l.vm.share import Share


@dataclass(frozen=True)
class MachineSpec:
    """The values of the marker.

    Attributes:
        kernel: names of kernels as for `--kernel`; the test runs once on each.
        arch: the guest's architecture.
        memory: MiB.
        cpus: number of processors.
        nics: network cards; a string is a model on QEMU's user network.
        modules: the kernel's own modules to put into the initramfs.
        append: added to the kernel's command line.
        devices: more devices: QEMU's own, as its `-device` takes them (`edu`); those written in Python as their class
            (`r4l.pci.Device`), a function that makes one, or `FILE.py:CLASS`. Each test has new ones.
        shares: folders of the host's that are mounted in the guest: a `Share`, or `HOST:GUEST[:rw]`.
        extra: more arguments for QEMU.
        prepare: function called before the state is saved that each test starts from. Called with the VM and, if it has
            a second parameter, with the module under test.
        snapshot: True to boot once and restore for each test, False to boot for each. The default is True unless
            `devices` of QEMU's own or `extra` is given: QEMU silently does not save the state of some, such as `edu`.
            Devices in Python are plugged in after the VM was restored.
    """

    kernel: Sequence[str] | str | None = None
    arch: str | None = None
    memory: int | None = None
    cpus: int = 2
    nics: Sequence[Nic | str] = ()
    modules: Sequence[str] = ()
    append: str = ""
    devices: Sequence[str | Callable[[], Device]] = ()
    shares: Sequence[Share | str] = ()
    extra: Sequence[str] = ()
    prepare: Callable[..., object] | None = None
    snapshot: bool | None = None

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels; empty if the marker names none."""
        if self.kernel is None:
            return ()
        return (self.kernel,) if isinstance(self.kernel, str) else tuple(self.kernel)

    @property
    def unsaved(self) -> list[str]:
        """The devices of QEMU's own, whose state QEMU may not save."""
        return [one for one in self.devices if isinstance(one, str) and not in_python(one)]

    @property
    def restored(self) -> bool:
        """True if the VM is booted once and restored for each test."""
        return not (self.extra or self.unsaved) if self.snapshot is None else self.snapshot

    @property
    def boots_because(self) -> str:
        """Reason why the VM is booted for each test although the marker does not ask for that; empty otherwise."""
        if self.snapshot is not None or self.restored:
            return ""
        return f"QEMU does not save the state of every device in `{'extra' if self.extra else 'devices'}`"

    @property
    def prepare_with_module(self) -> bool:
        """True if `prepare` takes the module under test."""
        return self.prepare is not None and len(inspect.signature(self.prepare).parameters) > 1

    @property
    def folders(self) -> tuple[Share, ...]:
        """The folders that are shared."""
        return tuple(Share.parse(one) if isinstance(one, str) else one for one in self.shares)

    @property
    def cards(self) -> tuple[Nic, ...]:
        """The network cards."""
        return tuple(Nic(card) if isinstance(card, str) else card for card in self.nics)


REPLACED = "e1000"
"""Model of the cards that the option `--r4l-card` replaces."""
WORDS = tuple(field.name for field in fields(MachineSpec))
"""Keywords of the marker."""


def cards_of(node: pytest.Item) -> tuple[Nic, ...]:
    """Return the network cards of a test's VM. With the fixture `wire`, the first card's cable ends in the test.

    Raises:
        pytest.UsageError: the test uses `wire` and has no card, or a card with another back end.
    """
    other: str | None = node.config.getoption("--r4l-card")
    cards = spec_of(node).cards
    if other:
        cards = tuple(replace(card, model=other) if card.model == REPLACED else card for card in cards)
    if "wire" not in getattr(node, "fixturenames", ()):
        return cards
    if not cards:
        raise pytest.UsageError(f"{node.nodeid} has no card for its wire: @pytest.mark.machine(nics=['e1000'])")
    if not cards[0].back_end.takes_wire or cards[0].options:
        raise pytest.UsageError(
            f"{node.nodeid} uses `wire` with a card that has a back end of its own: leave one of them out"
        )
    return (replace(cards[0], backend=Wire.backend), *cards[1:])


def _of_project(machine: Mapping[str, Any]) -> MachineSpec:
    """The machine of a project file, whose cards are a number and a model."""
    words = {key: value for key, value in machine.items() if key not in ("nics", "nic_model")}
    return MachineSpec(nics=[machine.get("nic_model", "e1000")] * machine.get("nics", 0), **words)


def spec_of(node: pytest.Item) -> MachineSpec:
    """Combine a test's markers, over the machine of the project file.

    Raises:
        pytest.UsageError: a marker has an unknown keyword or a positional argument.
    """
    spec = _of_project(options.settings(node.path.parent).machine)
    for mark in reversed(list(node.iter_markers("machine"))):
        unknown = set(mark.kwargs) - set(WORDS)
        if mark.args or unknown:
            what = ", ".join(sorted(unknown)) or f"{mark.args!r} without a name"
            raise pytest.UsageError(
                f"{node.nodeid}: the marker machine has no {what}; its keywords are {', '.join(WORDS)}"
            )
        if any(isinstance(one, Device) for one in mark.kwargs.get("devices", ())):
            raise pytest.UsageError(f"{node.nodeid}: give a device's class, so that each test has a device of its own")
        spec = replace(spec, **dict[str, Any](mark.kwargs))
    return spec
