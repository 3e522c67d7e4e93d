# SPDX-License-Identifier: MIT
"""The rig of a scenario's steps: one VM, the modules, and a record of everything observed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from r4l.errors import VerdictError
from r4l.guest import Completed
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net.addresses import BEYOND, GATEWAY, GUEST_ADDRESS
from r4l.net.interface import Interface
from r4l.report.model import CommandRun
from r4l.vm import VM

INTERFACE = "eth0"
NETWORK = {"net": "10.0.0.0/16", "host": GATEWAY, "dns": BEYOND, "dhcpstart": GUEST_ADDRESS.partition("/")[0]}
"""QEMU's user network, wide enough to contain an answering host outside the guest's own /24."""


class StepFailed(VerdictError):
    """A step observed something other than expected."""


@dataclass
class Rig:
    """A machine to try a driver on, and what its steps have run there.

    Attributes:
        commands: commands run in the guest since the step began.
    """

    vm: VM
    kernel: Kernel
    hello: BuiltModule
    driver: BuiltModule
    commands: list[CommandRun] = field(default_factory=list)
    _mark: int = 0

    def begin(self) -> None:
        """Begin a step: its commands and its part of the log start here."""
        self.commands = []
        self._mark = self.vm.klog.mark()

    def run(self, command: str, *, exit_code: int | None = 0, timeout: float = 30.0) -> str:
        """Run a command in the guest and return its stdout.

        Args:
            exit_code: expected exit code; None for any.
            timeout: seconds.

        Raises:
            StepFailed: the command ended with another exit code.
        """
        done = self.result(command, timeout=timeout)
        if exit_code is not None and done.exit_code != exit_code:
            raise StepFailed(
                f"`{command}` ended with {done.exit_code}, not {exit_code}: "
                f"{(done.stderr or done.stdout).strip()[-300:]}"
            )
        return done.stdout

    def result(self, command: str, *, timeout: float = 30.0) -> Completed:
        """Run a command in the guest, record it, and return its result."""
        begin = time.monotonic()
        entry = CommandRun(command)
        self.commands.append(entry)
        done = self.vm.run(command, timeout=timeout)
        entry.exit_code, entry.stdout, entry.stderr = done.exit_code, done.stdout, done.stderr
        entry.seconds = round(time.monotonic() - begin, 3)
        return done

    def load(self, module: BuiltModule) -> None:
        """Load a module with insmod, and record that as a command."""
        begin = time.monotonic()
        entry = CommandRun(f"insmod {module.path.name}")
        self.commands.append(entry)
        self.vm.insmod(module)
        entry.exit_code, entry.seconds = 0, round(time.monotonic() - begin, 3)

    def logged(self, *patterns: str) -> list[str]:
        """Return for each pattern the first matching line of this step's kernel log; the lines must come in this order.

        Raises:
            StepFailed: a pattern has no line, or the lines come in another order.
        """
        self.vm.klog.sync()
        lines = [record.text for record in self.vm.klog.records(self._mark)]
        found: list[str] = []
        position = 0
        for pattern in patterns:
            for index in range(position, len(lines)):
                if re.search(pattern, lines[index]):
                    found.append(lines[index])
                    position = index + 1
                    break
            else:
                tail = "\n".join(lines[-10:])
                raise StepFailed(f"the kernel log has no line like /{pattern}/ (in this order)", detail=tail)
        return found

    def expect(self, truth: bool, seen: str) -> None:
        """Fail the step with `seen` as the cause unless `truth` holds.

        Raises:
            StepFailed: `truth` is false.
        """
        if not truth:
            raise StepFailed(seen)

    def interface(self, name: str = INTERFACE) -> Interface:
        """Return an interface of the guest; its actions are recorded as commands."""
        return Interface(self.run, name)

    def up(self, address: str = GUEST_ADDRESS, interface: str = INTERFACE) -> None:
        """Bring an interface up with an address, and wait for the carrier.

        Raises:
            StepFailed: the interface or its carrier does not come up.
        """
        self.interface(interface).up(address)

    def wait_for_carrier(self, interface: str = INTERFACE) -> None:
        """Wait for the carrier of an interface.

        Raises:
            StepFailed: the carrier does not come up.
        """
        self.interface(interface).wait_for_carrier()

    def ping(self, address: str, count: int = 4) -> str:
        """Ping, require all answers, and return the summary line.

        Raises:
            StepFailed: ping cannot send.
            PacketsLost: an answer is missing.
        """
        return self.interface().ping(address, count)

    @property
    def console(self) -> Path:
        """File of the console's log on the host."""
        return self.vm.workdir / "console.log"

    def console_lines(self) -> int:
        """Return the number of lines in the console's log at this time."""
        return self.console.read_bytes().count(b"\n")
