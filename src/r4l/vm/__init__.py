# SPDX-License-Identifier: MIT
"""Virtual machines: QEMU's command line, its accelerator, its monitor, and the end of its life."""

from r4l.vm.accel import Choice
from r4l.vm.errors import BootPanic, InitDied, MachineReset, NoAgent, NoOutput, QemuDied
from r4l.vm.loading import ModuleRefused
from r4l.vm.machine import Endpoints, Machine, command_line
from r4l.vm.qmp import QmpError
from r4l.vm.share import Share
from r4l.vm.vm import VM

__all__ = [
    "VM",
    "BootPanic",
    "Choice",
    "Endpoints",
    "InitDied",
    "Machine",
    "MachineReset",
    "ModuleRefused",
    "NoAgent",
    "NoOutput",
    "QemuDied",
    "QmpError",
    "Share",
    "command_line",
]
