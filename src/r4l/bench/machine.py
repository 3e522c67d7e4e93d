# SPDX-License-Identifier: MIT
"""The guest in which drivers are measured: one CPU, two cards on one cable, the driver loaded, its state kept."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

from r4l import resources
from r4l.bench.workloads import Workload
from r4l.errors import VerdictError
from r4l.guest import Completed
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.rootfs import program
from r4l.vm import VM

PROGRAM = "traffic"
KERNELS_OWN = ("pktgen", "dummy")
"""The kernel's modules that the workloads load."""
STAND_STILL = 240.0
"""Seconds without a sign of life after which a machine whose clock counts instructions is given up: it is ten times as
slow as another."""

LOSES = 9
"""Exit code of a workload whose frames did not arrive (prelude.sh, `arrives`)."""
_NANOSECONDS = re.compile("[0-9]{1,18}")


def machine(
    kernel: Kernel,
    module: BuiltModule,
    nic_model: str,
    *,
    parameters: Mapping[str, str],
    with_modules: Sequence[str],
    network: bool,
    icount: bool,
) -> VM:
    """Describe the machine for one driver; entering it restores it from the state after the driver's load.

    Args:
        kernel: the guest's.
        module: the driver under measurement.
        nic_model: QEMU's name of the card.
        parameters: of the module.
        with_modules: names of the kernel's own modules that a script loads with modprobe.
        network: True to have the two cards put to work as setup.sh says.
        icount: True for a machine whose clock counts instructions.
    """
    traffic = program.build(kernel.toolchain, PROGRAM, kernel.arch)
    card = Nic(nic_model, backend="hub", capture=False)
    return VM(
        kernel,
        nics=[card, card],
        cpus=1,
        modules=tuple(dict.fromkeys((*KERNELS_OWN, *with_modules))),
        files={f"/bin/r4l-{PROGRAM}": traffic},
        icount=icount,
        silence=STAND_STILL if icount else None,
        boot_timeout=STAND_STILL if icount else None,
        snapshot=True,
        prepare=functools.partial(_load_and_bring_up if network else _load, dict(parameters)),
        prepare_with=[module],
    )


def run(vm: VM, workload: Workload, timeout: float | None) -> float:
    """Run a workload once.

    Args:
        vm: a machine as `machine` makes it, running.
        workload: the measurement.
        timeout: seconds of the host that it may take; no limit where None.

    Returns:
        Nanoseconds of the guest that it took.

    Raises:
        VerdictError: the workload failed in the guest, the driver lost its frames, or the kernel complained.
        GuestTimeout: it did not end.
    """
    if workload.network:
        prelude = resources.text(__package__, "prelude.sh")
        script = f"COUNT={workload.count} LOSES={LOSES}; . /tmp/cards\n{prelude}\n{workload.script}\n"
        done = vm.run(["sh", "-c", script], timeout=timeout)
    else:
        vm.put(workload.script.encode(), "/tmp/workload.sh")
        done = vm.run([f"r4l-{PROGRAM}", "time", "sh", "/tmp/workload.sh"], timeout=timeout)
    vm.klog.check()
    return nanoseconds(workload, done)


def nanoseconds(workload: Workload, done: Completed) -> float:
    """Return the nanoseconds that a workload's last line says.

    Raises:
        VerdictError: it failed, or lost its frames.
    """
    if workload.network and done.exit_code == LOSES:
        raise VerdictError(
            f"the driver loses frames of the workload {workload.name}: {done.stderr.strip().rpartition(chr(10))[2]}",
            "frames that are lost take no instructions, so there is no figure; `ip -s link` in `r4l shell` counts them",
            detail=done.stdout + done.stderr,
        )
    last = done.stdout.rstrip().rpartition("\n")[2]
    if done.exit_code != 0 or not _NANOSECONDS.fullmatch(last) or int(last) == 0:
        raise VerdictError(
            f"the workload {workload.name} failed in the guest, with exit code {done.exit_code}",
            "the driver does not do this work, or the script is wrong",
            detail=done.stdout + done.stderr,
        )
    return float(last)


def _load(parameters: Mapping[str, str], vm: VM, driver: BuiltModule) -> None:
    vm.insmod(driver, **parameters)


def _load_and_bring_up(parameters: Mapping[str, str], vm: VM, driver: BuiltModule) -> None:
    _load(parameters, vm, driver)
    script = resources.text("r4l.bench", "prelude.sh") + resources.text("r4l.bench", "setup.sh")
    done = vm.run(["sh", "-c", script], timeout=STAND_STILL)
    if done.exit_code != 0:
        raise VerdictError(
            f"{driver.path.name} does not bring two cards to talk to each other",
            "the workloads of the table are for network drivers; measure another driver with `--script FILE`",
            detail=done.stdout + done.stderr,
        )
    vm.put(done.stdout.encode(), "/tmp/cards")
