# SPDX-License-Identifier: MIT
"""A cell as a test of pytest's, for the driver's own tests."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from r4l.arch import DEFAULT
from r4l.cluster import STOCK
from r4l.module.named import SHIPPED
from r4l.sweep.cells import NO_MEMORY, SweepCell
from r4l.sweep.phases import NO_SERVICE, PRELUDE
from r4l.sweep.subject import SweptDriver, SweptMachine
from r4l.vm.loading import parameter_words

HEAD = '''# SPDX-License-Identifier: MIT
"""{cell}: from `r4l sweep`.{how}"""

{path_import}import pytest

import r4l
from r4l.pci import Device, NetworkCard
{imports}from r4l.testing import Leaks
from r4l.vm.blame import RunTime

{model}PRELUDE = {prelude}
PHASES = {{
{phases}}}
{usual}

def live(vm: r4l.VM, name: str, module: r4l.BuiltModule, device: Device) -> int:
    """Do a phase of the driver's life; return its exit code."""
    seconds, script = PHASES[name]
    values = environment(module=module.name, file="/tmp/driver.ko", device=device.address, exercise={exercise})
    # Seconds in which the computer has no processor for the machine do not count.
    clock = RunTime(vm.pid, ours=True).now
    argv = ["sh", "-c", PRELUDE + script, name{parameters}]
    return vm.run(argv, env=values, timeout=seconds, clock=clock).exit_code


{allowed}@pytest.mark.machine(devices=[{device}]{machine})
def test_{name}(vm: r4l.VM, modules: list[r4l.BuiltModule], device: Device, leaks: Leaks) -> None:
    module = next(one for one in modules if one.name == {driver!r})
{before}    vm.put(module.path, "/tmp/driver.ko")
    codes: dict[str, int] = {{}}
    with leaks():
        for phase in PHASES:
            if phase == {phase!r}:
                vm.klog.sync()
                begin = vm.klog.mark()
                {arm}
            codes[phase] = live(vm, phase, module, device)
            if phase == {phase!r}:
                assert {came}, "the fault did not come"
            assert phase != "remove" or codes[phase] == 0, "the module cannot be unloaded"
        vm.klog.sync()
        said = vm.klog.records(begin)
    device.faults.clear()
    if not device.present:
        vm.unplug(device)
        vm.plug(device)
    if isinstance(device, NetworkCard):
        device.set_cable(True)
    for phase in PHASES:
        assert live(vm, phase, module, device) == 0, f"after unload and reload, {{phase}} fails"
{check}'''
ENVIRONMENT = "from r4l.sweep.phases import environment"
MEMORY = "from r4l.sweep.memory import GuestMemory"
REPORTS = "from r4l.sweep.verdict import reports"
DEPENDS = """\
    for name in {depends!r}:
        vm.run(["modprobe", name], check=True)
"""
"""Statement for a driver that needs modules of the kernel's."""
NEEDS = """\
    others = {{one.name: one for one in module.needs}}
    for name, parameters in {others!r}.items():
        vm.insmod(others[name], **parameters)
"""
"""Statement for a driver with modules of its own folder that are loaded before it."""
WATCHDOG = """\
@pytest.mark.klog_allow(r"NETDEV WATCHDOG|sch_generic\\.c", reason="the kernel's report that a card has stopped")
"""
"""Marker of a network driver's test: the complaint that is no splat (`verdict.REPORTS`)."""
DEGRADED = """\
    failed = [phase for phase, code in codes.items() if code]
    told = any(code not in (0, {no_service}) for code in codes.values()) or reports(said, USUAL)
    assert told or not failed, f"no service in {{' and '.join(failed)}}, and no error reported"
"""
"""Last statement of the test of a cell with the verdict `degraded`."""


def as_test(subject: SweptDriver, cell: SweepCell, verdict: str = "", usual: Iterable[str] = ()) -> str:
    """Return the text of a test that does what the cell did. It fails on a splat, a hang, a leak, and if unload and
    reload do not heal the driver; for a cell that was `degraded`, also if the service is missing without an error.

    A model in a file is named relative to the driver's folder, which the test finds from its own.

    Args:
        subject: the driver; its names are relative to the current folder.
        cell: the cell.
        verdict: the cell's verdict, if it is known.
        usual: for a cell that was `degraded`, the messages of a life without a fault (`Baseline.messages`).
    """
    degraded = verdict == "degraded"
    is_folder = not subject.named.startswith(SHIPPED) and not subject.named.endswith(".ko")
    memory = cell.fault.kind == NO_MEMORY
    model, device, path_import = _model(subject)
    imports = [MEMORY] * memory + [ENVIRONMENT] + [REPORTS] * degraded
    before = DEPENDS.format(depends=list(subject.depends)) if subject.depends else ""
    *others, own = subject.loads.items()
    before += NEEDS.format(others=dict(others)) if others else ""
    name, parameters = own
    machine = subject.machine
    # All of it, since the project file says how other tests' machines are.
    marker = {
        "nics": [],
        "modules": [*subject.depends, *machine.modules],
        "cpus": machine.cpus,
        "append": machine.append,
        **({"memory": machine.memory} if machine.memory else {}),
    }
    return HEAD.format(
        cell=cell,
        how="" if is_folder else f" No folder has the driver: r4l test . -- --r4l-module {shlex.quote(subject.named)}",
        path_import=path_import,
        imports="".join(f"{one}\n" for one in imports),
        model=model,
        prelude=_block(PRELUDE),
        phases="".join(f"    {phase.name!r}: ({phase.seconds}, {_block(phase.script)}),\n" for phase in subject.phases),
        usual=_usual(usual) if degraded else "",
        exercise=repr(subject.exercise),
        allowed=WATCHDOG if subject.network else "",
        device=device,
        driver=name,
        parameters="".join(f", {word!r}" for word in parameter_words(parameters)),
        machine="".join(f", {word}={value!r}" for word, value in marker.items()),
        name=re.sub(r"\W+", "_", str(cell).lower()).strip("_"),
        before=before + ("    memory = GuestMemory.of(vm, module)\n" if memory else ""),
        phase=cell.phase,
        arm=f"memory.fail({cell.fault.nth})" if memory else f"device.faults.add({str(cell.fault)!r})",
        came="memory.stop()[1]" if memory else "any(device.faults.came.values())",
        check=DEGRADED.format(no_service=NO_SERVICE) if degraded else "",
    )


def command(subject: SweptDriver, cell: str, folder: Path) -> str:
    """Return the command that prints the test of a cell.

    Args:
        subject: the driver.
        cell: the cell.
        folder: folder of the results, which have the cell's verdict.
    """
    machine, usual = subject.machine, SweptMachine()
    argv = ["r4l", "sweep", subject.named, "--device", subject.spec, "--into", str(folder), "--as-test", cell]
    options = {
        "--exercise": (subject.exercise, ""),
        "--kernel": (subject.kernel.name, STOCK),
        "--arch": (subject.kernel.arch, DEFAULT),
        "--append": (machine.append, ""),
        "--memory": (str(machine.memory), str(usual.memory)),
        "--cpus": (str(machine.cpus), str(usual.cpus)),
    }
    for option, (value, default) in options.items():
        argv += [option, value] if value != default else []
    argv += ["--suspend"] if subject.suspend else []
    pairs = [("--param", f"{name}={value}") for name, value in subject.parameters.items()]
    pairs += [("--config", f"{name}={value}") for name, value in subject.config.items()]
    pairs += [("--with-module", name) for name in machine.modules]
    return shlex.join([*argv, *(word for pair in pairs for word in pair)])


def _model(subject: SweptDriver) -> tuple[str, str, str]:
    """Return the statements that find the model's file, the model as an expression, and the import that they need."""
    if not subject.files:
        return "", repr(subject.spec), ""
    spec, _, name = subject.spec.rpartition(":")
    file, folder = Path(spec).expanduser().resolve(), Path(subject.named).resolve()
    folder = folder if folder.is_dir() else Path.cwd()
    apart = os.path.commonpath([file, folder]) == os.path.sep
    path = str(file) if apart else os.path.relpath(file, folder)
    found = (
        f"MODEL = {path!r}\n"
        '"""File of the device\'s model, relative to the driver\'s folder."""\n'
        "FOLDER = next((one for one in Path(__file__).resolve().parents if (one / MODEL).is_file()), Path())\n"
    )
    return found, f'f"{{FOLDER / MODEL}}:{name}"', "from pathlib import Path\n\n"


def _usual(messages: Iterable[str]) -> str:
    """Return the statement with the messages that are no report of a fault."""
    lines = "".join(f"    {one!r},\n" for one in messages)
    return f'USUAL = (\n{lines})\n"""The kernel\'s messages in a life without a fault, without their numbers."""\n'


def _block(script: str) -> str:
    """Return a script as a literal of Python on several lines."""
    return 'r"""' + script + '"""'
