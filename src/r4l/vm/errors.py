# SPDX-License-Identifier: MIT
"""Failures of a boot. Each is distinguished from the others, and reported with the console's end."""

from __future__ import annotations

from r4l.errors import BootError, VerdictError


class QemuDied(BootError):
    """QEMU ended unexpectedly: it was killed, or refused its command line."""

    category = "qemu-died"


class BootPanic(BootError):
    """The kernel panicked before the agent started."""

    category = "boot-panic"


class InitDied(BootPanic):
    """The kernel panicked because its first program ended, or could not be started."""

    category = "init-died"


class NoOutput(BootError):
    """The kernel printed nothing at all.

    Attributes:
        starved: how far the host kept the machine from its processors (`r4l.vm.blame.starved`); empty if it did not.
    """

    category = "no-output"
    starved = ""


class NoAgent(BootError):
    """The kernel printed messages, but the agent never started.

    Attributes:
        starved: as `NoOutput.starved`.
    """

    category = "no-agent"
    starved = ""


class MachineReset(VerdictError):
    """The guest's machine was reset though its kernel did not restart it."""

    category = "machine-reset"
