# SPDX-License-Identifier: MIT
"""The two ways to end a guest (A22)."""

from __future__ import annotations

from r4l.camp.demo.rig import StepFailed
from r4l.vm import VM


def poweroff(vm: VM) -> str:
    """Power off: QEMU ends by itself with exit code 0. Return a description.

    Raises:
        StepFailed: QEMU does not end, or with another exit code.
        Splat: the kernel complained before its last line.
    """
    code = vm.poweroff()
    if code != 0:
        raise StepFailed(f"after poweroff QEMU ended with {code}")
    vm.check()
    return "QEMU ended with exit code 0"


def halt(vm: VM) -> str:
    """Halt: the kernel reports it and stops; the VM stays until it is ended from outside. Return a description.

    Raises:
        StepFailed: the guest does not halt, or QEMU ends.
        Splat: the kernel complained before its last line.
    """
    vm.halt()
    if not vm.running:
        raise StepFailed("QEMU ended after halt")
    vm.check()
    return "reboot: System halted; QEMU stays until it is ended"
