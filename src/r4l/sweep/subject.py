# SPDX-License-Identifier: MIT
"""The driver and the device of a sweep as plain data, which any worker can make a machine of."""

from __future__ import annotations

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
from r4l.module.parameters import parameters_for
from r4l.pci import Device, NetworkCard
from r4l.pci import load as models
from r4l.sweep import memory
from r4l.sweep.model import files_of, made
from r4l.sweep.phases import ADDRESSES, Phase, phases_of

ROOM = "sweep"
MODEL = "model"
"""Folder of the model's files in that of a subject."""


@dataclass(frozen=True)
class SweptMachine:
    """The user's wishes for a cell's machine, as `VM` takes them.

    Attributes:
        memory: MiB; None for enough.
        cpus: virtual CPUs.
        append: added to the kernel's command line.
        modules: the kernel's own modules that `modprobe` finds in the guest.
    """

    memory: int | None = None
    cpus: int = 2
    append: str = ""
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class SweptDriver:
    """All that a worker needs, on this machine or another.

    Attributes:
        label: name of the driver on the page.
        named: the driver as the user named it, for commands.
        kernel: the kernel, which each worker makes ready.
        modules: contents of the .ko files by their names, in the order of loading, without the kernel's own; the last
            is the driver.
        spec: the model as the user named it, for commands.
        model: `python:NAME`, or `FILE.py:CLASS` for one of `files`.
        files: contents of the model's files (`model.files_of`) by their names, with the folders before them.
        network: True if the device is a network card.
        exercise: the user's command for the phase `traffic` of another device.
        built: time at which the driver was built, in seconds since 1970; its source has lines to show if it is older.
        depends: the kernel's own modules that must be loaded before these, in order.
        loads: names of the modules in the order of loading, each with its parameters.
        parameters: those that the user named, for commands.
        machine: the machine of each cell.
        config: options of Kconfig that the user built the driver with, for commands.
        suspend: True if its life has a suspend and a resume.
    """

    label: str
    named: str
    kernel: SharedKernel
    modules: Mapping[str, bytes] = field(repr=False)
    spec: str
    model: str
    files: Mapping[str, bytes] = field(repr=False)
    network: bool
    exercise: str
    built: float = 0.0
    depends: tuple[str, ...] = ()
    loads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    machine: SweptMachine = SweptMachine()
    config: Mapping[str, str] = field(default_factory=dict)
    suspend: bool = False

    @cached_property
    def key(self) -> str:
        """Key of all that a cell's result depends on: driver, kernel, model, machine, phases, and r4l's devices."""
        pci = Path(inspect.getfile(Device)).parent
        facts = [
            *astuple(self.kernel),
            self.model,
            list(self.files),
            self.exercise,
            ADDRESSES,
            self.depends,
            {name: dict(values) for name, values in self.loads.items()},
            astuple(self.machine),
            self.suspend,
        ]
        phases = resources.text("r4l.sweep", "phases.toml")
        own = sorted(pci.rglob("*.py"))
        given: tuple[str | bytes, ...] = (*self.files.values(), *self.modules, *self.modules.values())
        return home.content_key(json.dumps(facts, sort_keys=True), phases, *own, *given)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the driver's life."""
        return phases_of(network=self.network, exercise=self.exercise, suspend=self.suspend)


def subject(
    kernel: Kernel,
    name: str,
    text: str,
    module: BuiltModule,
    model: str,
    exercise: str,
    *,
    label: str = "",
    parameters: Mapping[str, str] | None = None,
    machine: SweptMachine = SweptMachine(),
    config: Mapping[str, str] | None = None,
    suspend: bool = False,
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
        parameters: of the module, and of the others of its folder.
        machine: the machine of each cell.
        config: options of Kconfig that the module was built with.
        suspend: True to suspend and resume in its life, too.

    Raises:
        UsageError: there is no such model, or the command does not fit it.
    """
    cls = models.model_class(model)
    files: Mapping[str, bytes] = {}
    spec = model
    if not model.startswith(models.SHIPPED):
        file, _, cls_name = model.rpartition(":")
        path, driver = Path(file).expanduser().resolve(), Path(text).resolve()
        base = driver if driver.is_dir() and path.is_relative_to(driver) else path.parent
        files = files_of(path, base)
        model = f"{path.relative_to(base).as_posix()}:{cls_name}"
    network = issubclass(cls, NetworkCard)
    phases_of(network=network, exercise=exercise)
    # The kernel's own come with each worker's kernel.
    every = (*(other for other in module.needs if not other.in_tree), module)
    own = [other.name for other in module.needs if other.in_tree]
    names = {*own, *(one.name for one in every)}
    return SweptDriver(
        label or module.name,
        text,
        SharedKernel.of(kernel, name),
        {one.path.name: one.path.read_bytes() for one in every},
        spec,
        model,
        files,
        network,
        exercise,
        module.path.stat().st_mtime,
        (*own, *dict.fromkeys(other for one in every for other in one.depends if other.replace("-", "_") not in names)),
        {one.name: parameters_for(one, every, parameters or {}) for one in every},
        dict(parameters or {}),
        machine,
        dict(config or {}),
        suspend,
    )


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

    def parameters(self, module: BuiltModule) -> dict[str, str]:
        """Return the parameters that one of the modules is loaded with."""
        return dict(self.subject.loads.get(module.name, {}))


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
            for name, data in subject.files.items():
                file = partial / MODEL / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            home.publish(partial, folder)
        inuse.hold(folder)
    for name in subject.modules:
        os.utime(folder / name, (subject.built, subject.built))
    kernel = subject.kernel.ready()
    modules = [BuiltModule(folder / name) for name in subject.modules]
    return Ready(subject, kernel, modules, _model(subject, folder / MODEL), memory.build(kernel))


def _model(subject: SweptDriver, folder: Path) -> type[Device]:
    """Return the class of the device, of the files that came with the subject.

    Raises:
        UsageError: the model needs others.
    """
    if not subject.files:
        return models.model_class(subject.model)
    try:
        return type(made(str(folder / subject.model)))
    except UsageError as error:
        raise UsageError(
            f"{subject.model} does not work with those files alone that come with it: {error.cause}",
            f"those are {', '.join(subject.files)}; its text names others that it needs (docs/sweep.md)",
            detail=error.detail,
        ) from error
