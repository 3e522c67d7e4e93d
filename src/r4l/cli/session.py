# SPDX-License-Identifier: MIT
"""The end of a session in which a person works with a guest: `r4l shell`, `r4l debug`."""

from __future__ import annotations

from collections.abc import Sequence

from r4l.cli import show
from r4l.errors import EnvironmentFault, GuestTimeout, R4LError, VerdictError
from r4l.terminal import Console
from r4l.vm import VM

SHOWN = 10
"""Complaints that are printed; the log has the others."""


def end(vm: VM, code: int, trouble: R4LError | None) -> int:
    """Close the machine, print what its kernel complained of in the session, and return the session's exit code.

    Args:
        vm: the machine.
        code: exit code of the session's program.
        trouble: error that ended the session.

    Raises:
        R4LError: `trouble`, unless it follows from a complaint.
    """
    vm.close(keep=trouble is not None)
    complaints: list[R4LError] = [splat for splat in vm.klog.complaints(settle=True) if splat is not trouble]
    untold = vm.untold()
    if untold and untold is not trouble and untold not in complaints:
        complaints.append(untold)
    if not complaints:
        if trouble:
            raise trouble
        return code
    tell([complaint.cause for complaint in complaints], str(vm.klog.file))
    if isinstance(trouble, EnvironmentFault | GuestTimeout | VerdictError):
        raise trouble
    if trouble:
        show(trouble)
    return code or complaints[0].exit_code


def tell(causes: Sequence[str], log: str) -> None:
    """Print complaints of the kernel, a line each, and the file that has all of their lines.

    Args:
        causes: the complaints' sentences.
        log: path of the file.
    """
    screen = Console(stderr=True, highlight=False, soft_wrap=True)
    for cause in causes[:SHOWN]:
        screen.print("[bold red]verdict:[/] ", end="")
        screen.print(cause, markup=False, style="bold")
    if len(causes) > SHOWN:
        screen.print(f"and {len(causes) - SHOWN} more", markup=False)
    screen.print("[dim]log:[/]    ", end="")
    screen.print(log, markup=False)
