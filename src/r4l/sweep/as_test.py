# SPDX-License-Identifier: MIT
"""A cell as a test of pytest's, for the driver's own tests."""

from __future__ import annotations

import re
import shlex

from r4l.sweep.cells import NO_MEMORY, SweepCell
from r4l.sweep.phases import NO_SERVICE, PRELUDE
from r4l.sweep.subject import SweptDriver

HEAD = '''# SPDX-License-Identifier: MIT
"""{cell}: from `r4l sweep`."""

import pytest

import r4l
from r4l.pci import Device, NetworkCard
{imports}from r4l.testing import Leaks

PRELUDE = {prelude}
PHASES = {{
{phases}}}


def live(vm: r4l.VM, name: str, module: r4l.BuiltModule, device: Device) -> int:
    """Do a phase of the driver's life; return its exit code."""
    seconds, script = PHASES[name]
    folder = f"/sys/bus/pci/devices/{{device.address}}"
    values = {{"MODULE": module.name, "KO": "/tmp/driver.ko", "DEVICE": folder, "EXERCISE": {exercise}}}
    return vm.run(["sh", "-c", PRELUDE + script], env=values, timeout=seconds).exit_code


@pytest.mark.machine(devices=[{model}])
def test_{name}(vm: r4l.VM, module: r4l.BuiltModule, device: Device, leaks: Leaks) -> None:
    vm.put(module.path, "/tmp/driver.ko")
{before}    with leaks():
        for phase in PHASES:
            if phase == {phase!r}:
                {arm}
            {check}
        assert {came}, "the fault did not come"
        device.faults.clear()
        if not device.present:
            vm.unplug(device)
            vm.plug(device)
        if isinstance(device, NetworkCard):
            device.set_cable(True)
    for phase in PHASES:
        assert live(vm, phase, module, device) == 0, f"after unload and reload, {{phase}} fails"
'''
DEVICE = {
    "imports": "",
    "before": "",
    "arm": "device.faults.add(FAULT)",
    "came": "any(device.faults.came.values())",
}
"""Parts of a test for a fault of the device."""
MEMORY = {
    "imports": "from r4l.sweep.memory import GuestMemory\n",
    "before": "    memory = GuestMemory.of(vm, module)\n",
    "arm": "memory.fail(NTH)",
    "came": "memory.stop()[1]",
}
"""Parts of a test for an allocation that fails."""
CHECKS = {
    "degraded": "assert live(vm, phase, module, device) != "
    f'{NO_SERVICE}, f"{{phase}}: no service, and no error reported"',
    "": 'assert live(vm, phase, module, device) == 0 or phase != "remove", "the module cannot be unloaded"',
}
"""Statement of the first life: for a cell with the verdict `degraded`, and for all others."""


def as_test(subject: SweptDriver, cell: SweepCell, verdict: str = "") -> str:
    """Return the text of a test that does what the cell did. It fails on a splat, a hang, a leak, and if unload and
    reload do not heal the driver; for a cell that was `degraded`, also if the service is missing without an error.

    Args:
        subject: the driver.
        cell: the cell.
        verdict: the cell's verdict, if it is known.
    """
    phases = "".join(f"    {phase.name!r}: ({phase.seconds}, {_block(phase.script)}),\n" for phase in subject.phases)
    name = re.sub(r"\W+", "_", str(cell).lower()).strip("_")
    text = HEAD.format(
        cell=cell,
        prelude=_block(PRELUDE),
        phases=phases,
        exercise=repr(subject.exercise),
        model=repr(subject.model),
        name=name,
        phase=cell.phase,
        **(MEMORY if cell.fault.kind == NO_MEMORY else DEVICE),
        check=CHECKS.get(verdict, CHECKS[""]),
    )
    return text.replace("FAULT", repr(str(cell.fault))).replace("NTH", str(cell.fault.nth))


def command(subject: SweptDriver, cell: str) -> str:
    """Return the command that prints the test of a cell."""
    words = ["r4l", "sweep", subject.named, "--device", subject.spec, "--as-test", cell]
    return shlex.join([*words, *(["--exercise", subject.exercise] if subject.exercise else [])])


def _block(script: str) -> str:
    """Return a script as a literal of Python on several lines."""
    return 'r"""' + script + '"""'
