# SPDX-License-Identifier: MIT
"""Failures of a boot. Each is distinguished from the others, and reported with the console's end."""

from __future__ import annotations

from r4l.errors import BootError, VerdictError


class QemuDied(BootError):
    """QEMU ended unexpectedly: it was killed, refused its command line, or crashed.

    Attributes:
        crashed: True if QEMU ended by a fault of its own while the guest ran, which the guest may have caused.
        refused: True if QEMU ended by itself before the guest ran, for its arguments or for its kernel's file.
    """

    category = "qemu-died"
    crashed = False
    refused = False


class MonitorTimeout(BootError):
    """QEMU's monitor did not answer a command in time."""

    late = True


class BootPanic(BootError):
    """The kernel panicked before the agent started."""

    category = "boot-panic"


class InitDied(BootPanic):
    """The kernel panicked because its first program ended, or could not be started."""

    category = "init-died"


class NoOutput(BootError):
    """The kernel printed nothing at all."""

    category = "no-output"


class NoAgent(BootError):
    """The kernel printed messages, but the agent never started."""

    category = "no-agent"


class MachineReset(VerdictError):
    """The guest's machine was reset though its kernel did not restart it."""

    category = "machine-reset"
