# SPDX-License-Identifier: MIT
"""The ways in which a boot fails. Each is told apart from the others, with the console's end."""

from __future__ import annotations

from r4l.errors import BootError, VerdictError


class QemuDied(BootError):
    """QEMU ended by itself: it was killed, or refused its command line."""

    kind = "qemu-died"


class BootPanic(BootError):
    """The kernel panicked before the agent came."""

    kind = "boot-panic"


class InitDied(BootPanic):
    """The kernel panicked because its first program ended, or could not be started."""

    kind = "init-died"


class NoOutput(BootError):
    """The kernel printed nothing at all.

    Attributes:
        starved: how far the host kept the machine from its processors (`r4l.vm.blame.starved`); empty where not.
    """

    kind = "no-output"
    starved = ""


class NoAgent(BootError):
    """The kernel talks, but the agent never came.

    Attributes:
        starved: as `NoOutput.starved`.
    """

    kind = "no-agent"
    starved = ""


class MachineReset(VerdictError):
    """The guest's machine was reset though its kernel did not restart it."""

    kind = "machine-reset"
