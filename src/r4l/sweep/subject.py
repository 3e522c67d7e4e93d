# SPDX-License-Identifier: MIT
"""The driver and the device of a sweep as plain data, which any worker can make a machine of."""

from __future__ import annotations

import ast
import inspect
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from pathlib import Path

from r4l import home, inuse, resources
from r4l.cluster import SharedKernel
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.pci import Device, NetworkCard
from r4l.pci import load as models
from r4l.sweep import memory
from r4l.sweep.phases import ADDRESSES, Phase, phases_of

ROOM = "sweep"
BASES = ("Device", "NetworkCard")
"""Classes from which models inherit."""


@dataclass(frozen=True)
class SweptDriver:
    """All that a worker needs, on this machine or another.

    Attributes:
        label: name of the driver on the page.
        named: the driver as the user named it, for commands.
        kernel: the kernel, which each worker makes ready.
        modules: contents of the .ko files by their names, in the order of loading; the last is the driver.
        spec: the model as the user named it, for commands.
        model: `python:NAME`, or `FILE.py:CLASS` for one of `files`.
        files: texts of the Python files beside the model's, by their names.
        network: True if the device is a network card.
        exercise: the user's command for the phase `traffic` of another device.
        built: time at which the driver was built, in seconds since 1970; its source has lines to show if it is older.
    """

    label: str
    named: str
    kernel: SharedKernel
    modules: Mapping[str, bytes] = field(repr=False)
    spec: str
    model: str
    files: Mapping[str, str] = field(repr=False)
    network: bool
    exercise: str
    built: float = 0.0

    @cached_property
    def key(self) -> str:
        """Key of all that a cell's result depends on: driver, kernel, model, phases, and r4l's devices."""
        folders = [Path(inspect.getfile(Device)).parent]
        if not self.files:
            folders.append(Path(inspect.getfile(models.load(self.model))).parent)
        own = [file for folder in folders for file in sorted(folder.glob("*.py"))]
        facts = [*astuple(self.kernel), self.model, dict(self.files), self.exercise, ADDRESSES]
        phases = resources.text("r4l.sweep", "phases.toml")
        return home.content_key(json.dumps(facts, sort_keys=True), phases, *own, *self.modules, *self.modules.values())

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the driver's life."""
        return phases_of(network=self.network, exercise=self.exercise)


def subject(
    kernel: Kernel, name: str, text: str, module: BuiltModule, model: str, exercise: str, *, label: str = ""
) -> SweptDriver:
    """Return a driver with its device as data.

    Args:
        kernel: kernel that the module is for.
        name: the user's name of that kernel.
        text: the user's name of the driver.
        module: the driver.
        model: the device, as `python:NAME` or `FILE.py:CLASS`.
        exercise: the user's command for another device than a network card; may be empty.
        label: name of the driver on the page; the module's if it is empty.

    Raises:
        UsageError: there is no such model, or the command does not fit it.
    """
    cls = models.load(model)
    files: dict[str, str] = {}
    spec = model
    if not model.startswith(models.SHIPPED):
        file, _, cls_name = model.rpartition(":")
        path = Path(file).expanduser().resolve()
        files = {one.name: one.read_text(encoding="utf-8") for one in sorted(path.parent.glob("*.py"))}
        model = f"{path.name}:{cls_name}"
    network = issubclass(cls, NetworkCard)
    phases_of(network=network, exercise=exercise)
    return SweptDriver(
        label or module.name,
        text,
        SharedKernel.of(kernel, name),
        {one.path.name: one.path.read_bytes() for one in (*module.needs, module)},
        spec,
        model,
        files,
        network,
        exercise,
        module.path.stat().st_mtime,
    )


def find_model(folder: str, module: BuiltModule) -> str:
    """Return the model for a driver: the one in its folder or the folder's `tests`, or one of r4l's with an identity
    that the driver has in its table.

    Args:
        folder: the user's name of the driver.
        module: the driver.

    Raises:
        UsageError: there is none, or several.
    """
    found = [
        f"{file}:{name}"
        for base in (Path(folder), Path(folder) / "tests")
        for file in sorted(base.glob("*.py"))
        if "Device" in (text := file.read_text(encoding="utf-8")) or "NetworkCard" in text
        for name in _models_in(file)
    ]
    found = found or [
        models.SHIPPED + name for name in models.MODELS if _is_for(module, models.load(models.SHIPPED + name))
    ]
    if len(found) > 1 and found[0].startswith(models.SHIPPED):
        # The driver is for several of them; the first is the most common card.
        return found[0]
    if len(found) != 1:
        raise UsageError(
            f"{folder} has several models: {', '.join(found)}"
            if found
            else f"there is no model of a device in {folder}",
            "name it with --device FILE.py:CLASS (docs/devices.md says how one is written)",
        )
    return found[0]


def _models_in(file: Path) -> list[str]:
    """Return the names of the models that a file defines, without those that it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    bases = {"Device", "NetworkCard"}
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(
            (base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")) in bases for base in node.bases
        )
    ]


def _is_for(module: BuiltModule, model: type[Device]) -> bool:
    """Return True if a module's table has the identity of a model (scripts/mod/file2alias.c, do_pci_entry)."""
    wanted = f"pci:v{model.vendor_id:08X}d{model.device_id:08X}"
    return any(alias.startswith(wanted) for alias in module.modinfo.get("alias", []))


@dataclass(frozen=True)
class Ready:
    """A subject on this machine: its kernel, the files of its modules, its model.

    Attributes:
        subject: the data that it was made of.
        kernel: kernel of the guest.
        modules: modules in the order of loading.
        model: class of the device.
        no_memory: the module by which allocations fail (`r4l.sweep.memory`); None if the kernel takes none.
    """

    subject: SweptDriver
    kernel: Kernel
    modules: Sequence[BuiltModule]
    model: type[Device]
    no_memory: BuiltModule | None = None


_ready: dict[str, Ready] = {}
_making = threading.Lock()


def ready(subject: SweptDriver) -> Ready:
    """Return the subject made ready on this machine, once in each process: toolchain and kernel of its versions, its
    files in the home.

    Raises:
        UnfitWorker: this machine cannot be made ready.
    """
    with _making:
        if subject.key not in _ready:
            _ready[subject.key] = _make(subject)
        return _ready[subject.key]


def _make(subject: SweptDriver) -> Ready:
    folder = home.room(ROOM) / subject.key
    with home.lock(f"sweep-{folder.name}"):
        if not folder.exists():
            partial = home.temporary(folder)
            partial.mkdir()
            for name, data in subject.modules.items():
                (partial / name).write_bytes(data)
            for name, text in subject.files.items():
                (partial / name).write_text(text, encoding="utf-8")
            home.publish(partial, folder)
        inuse.hold(folder)
    for name in subject.modules:
        os.utime(folder / name, (subject.built, subject.built))
    kernel = subject.kernel.ready()
    model = subject.model if not subject.files else str(folder / subject.model)
    return Ready(
        subject,
        kernel,
        [BuiltModule(folder / name) for name in subject.modules],
        models.load(model),
        memory.build(kernel),
    )
