# SPDX-License-Identifier: MIT
"""Load and unload modules in a running kernel."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from r4l import known, resources
from r4l.errors import UsageError, VerdictError
from r4l.kernel import Kernel
from r4l.klog import Sources
from r4l.module import BuiltModule
from r4l.toolchain import Grant, Toolchain
from r4l.vm.live import LiveVM

FOLDER = "/lib/modules/r4l"
TIMEOUT = 60.0
IGNORED = re.compile(r": unknown parameter '([^']*)' ignored$")


@runtime_checkable
class HasPath(Protocol):
    """A built module, by its only attribute used here."""

    @property
    def path(self) -> Path:
        """The .ko file."""


class ModuleRefused(VerdictError):
    """The guest's kernel refused to load or unload a module; the detail has its log lines."""

    category = "module-refused"


def sources(kernel: Kernel) -> Sources:
    """Return the source lines of modules loaded into a machine with that kernel."""
    return module_sources(kernel.toolchain, kernel.source, kernel.build)


def module_sources(toolchain: Toolchain, *foreign: Path) -> Sources:
    """Return the source lines of modules.

    Args:
        toolchain: provides the programs that read them.
        foreign: folders of sources that are not the modules' authors', in addition to the kit.
    """

    def run(argv: Sequence[str | Path], reads: Path, writes: Path) -> str:
        # A failure here must not hide the kernel's complaint.
        grant = Grant("complaints: lines", writes=(writes,), reads=(reads,))
        done = toolchain.run(argv, grant, check=False)
        return done.stdout.decode(errors="replace")

    return Sources(run, (*foreign, resources.kit()))


def insmod(vm: LiveVM, module: object, parameters: Mapping[str, object]) -> None:
    """Load a module; see `VM.insmod`."""
    if isinstance(module, BuiltModule):
        load_needs(vm, module)
    path = module.path if isinstance(module, HasPath) else Path(str(module))
    if not path.is_file():
        raise UsageError(f"no such module: {path}", "build it first")
    target = f"{FOLDER}/{path.name}"
    vm.put(path, target, 0o644)
    vm.sources.add(path)
    since = vm.klog.mark()
    _do(vm, ["insmod", target, *parameter_words(parameters)], f"load {path.name}")
    if parameters:
        require_known(vm, path, parameters, since)


def load_needs(vm: LiveVM, module: BuiltModule, given: Collection[str] = ()) -> None:
    """Load the modules that a module needs, as far as they are not loaded yet.

    Args:
        module: the module.
        given: names of modules that are loaded otherwise.
    """
    needs = [other for other in module.needs if other.name not in given]
    there = _loaded(vm) if needs else set()
    for other in needs:
        if other.name not in there:
            vm.needed.add(other.name)
            insmod(vm, dataclasses.replace(other, needs=()), {})


def require_known(vm: LiveVM, path: Path, parameters: Mapping[str, object], since: int) -> None:
    """Refuse an unknown parameter of a loaded module, for which the kernel only prints a warning.

    Args:
        path: the module's file.
        since: position in the kernel's log before the load.

    Raises:
        ModuleRefused: the kernel ignored a parameter (kernel/module/main.c, unknown_module_param_cb).
    """
    vm.klog.sync()
    said = [match[1] for record in vm.klog.records(since) if (match := IGNORED.search(record.text))]
    # The kernel treats - and _ as equal.
    ignored = [name for name in parameters if name.replace("-", "_") in {word.replace("-", "_") for word in said}]
    if not ignored:
        return
    built = BuiltModule(path)
    has = f"it has {', '.join(built.parameters)}" if built.parameters else "it has none"
    raise ModuleRefused(
        f"{built.name} has no parameter {' and no '.join(ignored)}: the kernel loaded it and ignored that",
        f"{has}; `modinfo {path.name}` says what each is",
        detail=vm.klog.text(since),
        log=vm.klog.file,
    )


def _loaded(vm: LiveVM) -> set[str]:
    """Return the names of the modules loaded in the guest."""
    return {line.split()[0] for line in vm.run("cat /proc/modules", check=True).stdout.splitlines()}


def rmmod(vm: LiveVM, name: str) -> None:
    """Unload a module; see `VM.rmmod`."""
    _do(vm, ["rmmod", name.removesuffix(".ko")], f"unload {name}")


def parameter_words(parameters: Mapping[str, object]) -> list[str]:
    """Return parameters as arguments of insmod."""
    return [f"{name}={_text(value)}" for name, value in parameters.items()]


def _text(value: object) -> str:
    """Format a parameter for the kernel (kernel/params.c): Y and N for booleans, commas in an array."""
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(item) for item in value)
    return str(value)


def _do(vm: LiveVM, argv: list[str], what: str) -> None:
    since = vm.klog.mark()
    done = vm.run(argv, timeout=TIMEOUT)
    if done.exit_code == 0:
        return
    vm.klog.sync()
    said = done.stderr.strip() or f"exit code {done.exit_code}"
    log = vm.klog.text(since)
    kernel = vm.kernel
    facts = {"kernel": kernel.release if kernel.name == "stock" else kernel.name, "arch": kernel.arch}
    # The kernel's log is more precise than insmod's message, so the table's order decides.
    explanation = known.explain("load", f"{said}\n{log}", facts, order="table")
    why, remedy = (
        (f"{explanation.cause} ({said})", explanation.remedy) if explanation else (said, "the kernel's log tells why")
    )
    raise ModuleRefused(
        f"the guest's kernel did not {what}: {why}",
        remedy,
        detail=log,
        log=vm.klog.file,
        known=explanation.name if explanation else "",
    )
