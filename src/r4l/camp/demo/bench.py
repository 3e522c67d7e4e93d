# SPDX-License-Identifier: MIT
"""The bench on which a scenario's steps work: one VM, the modules, and everything that is seen, kept."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from r4l.errors import VerdictError
from r4l.guest import Completed
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Interface
from r4l.report.model import Command
from r4l.vm import VM

INTERFACE = "eth0"
GATEWAY = "10.0.2.2"
BEYOND = "10.0.3.3"
"""A host behind the gateway, not on the guest's own network (see NETWORK)."""

NETWORK = {"net": "10.0.0.0/16", "host": GATEWAY, "dns": BEYOND, "dhcpstart": "10.0.2.15"}
"""QEMU's user network, wide enough to have an answering host outside the guest's own /24."""


class StepFailed(VerdictError):
    """A step saw something else than it expected."""


@dataclass
class Bench:
    """What steps use.

    Attributes:
        commands: what ran in the guest since the step began.
    """

    vm: VM
    kernel: Kernel
    hello: BuiltModule
    driver: BuiltModule
    commands: list[Command] = field(default_factory=list)
    _mark: int = 0

    def begin(self) -> None:
        """A step begins: its commands and its part of the log start here."""
        self.commands = []
        self._mark = self.vm.klog.mark()

    def run(self, command: str, *, exit_code: int | None = 0, timeout: float = 30.0) -> str:
        """Run a command in the guest; its stdout.

        Args:
            exit_code: the one expected; None where any will do.
            timeout: seconds.

        Raises:
            StepFailed: it ended with another exit code.
        """
        done = self.result(command, timeout=timeout)
        if exit_code is not None and done.exit_code != exit_code:
            raise StepFailed(
                f"`{command}` ended with {done.exit_code}, not {exit_code}: "
                f"{(done.stderr or done.stdout).strip()[-300:]}"
            )
        return done.stdout

    def result(self, command: str, *, timeout: float = 30.0) -> Completed:
        """Run a command in the guest and keep what it printed."""
        begin = time.monotonic()
        entry = Command(command)
        self.commands.append(entry)
        done = self.vm.run(command, timeout=timeout)
        entry.exit_code, entry.stdout, entry.stderr = done.exit_code, done.stdout, done.stderr
        entry.seconds = round(time.monotonic() - begin, 3)
        return done

    def load(self, module: BuiltModule) -> None:
        """insmod, kept as a command."""
        begin = time.monotonic()
        entry = Command(f"insmod {module.path.name}")
        self.commands.append(entry)
        self.vm.insmod(module)
        entry.exit_code, entry.seconds = 0, round(time.monotonic() - begin, 3)

    def logged(self, *patterns: str) -> list[str]:
        """The first line of this step's part of the kernel log for each pattern, in this order.

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
        """Fail the step with what was seen, unless it is true.

        Raises:
            StepFailed: it is not.
        """
        if not truth:
            raise StepFailed(seen)

    def interface(self, name: str = INTERFACE) -> Interface:
        """An interface of the guest; what it does is kept as commands."""
        return Interface(self.run, name)

    def up(self, address: str = "10.0.2.15/24", interface: str = INTERFACE) -> None:
        """Bring an interface up, with an address, and wait until the link is.

        Raises:
            StepFailed: it does not come.
        """
        self.interface(interface).up(address)

    def wait_for_carrier(self, interface: str = INTERFACE) -> None:
        """Wait until the link is up.

        Raises:
            StepFailed: it does not come.
        """
        self.interface(interface).wait_for_carrier()

    def ping(self, address: str, count: int = 4) -> str:
        """Ping without loss; the summary line.

        Raises:
            StepFailed: ping cannot send.
            PacketsLost: an answer did not come.
        """
        return self.interface().ping(address, count)

    @property
    def console(self) -> Path:
        """The console's log on the host."""
        return self.vm.workdir / "console.log"

    def console_lines(self) -> int:
        """How many lines the console's log has by now."""
        return self.console.read_bytes().count(b"\n")
