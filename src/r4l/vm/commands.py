# SPDX-License-Identifier: MIT
"""A command in the guest, and the kernel's complaints that end it or explain why it does not end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from r4l.errors import GuestTimeout
from r4l.guest import Completed, Guest
from r4l.klog import KernelLog, Splat

HANGS = ("hard-lockup", "soft-lockup", "rcu-stall", "hung-task", "workqueue-lockup", "lockdep", "atomic-sleep")
"""Kinds of complaints that explain a hang, the surest first."""


def run(
    guest: Guest, klog: KernelLog, command: str | Sequence[str], *, timeout: float | None, check: bool, **rest: Any
) -> Completed:
    """Run a command to its end; see `VM.run`.

    Raises:
        Splat: the kernel oopsed or panicked; or the command did not end in time, and a complaint explains the hang.
    """
    seen = klog.splat_count
    try:
        done = guest.run(command, timeout=timeout, check=False, **rest)
    except GuestTimeout as late:
        if why := why_it_hangs(klog, seen):
            raise why from late
        raise
    if done.signal is not None or klog.begun or klog.splat_count > seen:
        _raise_fatal(klog, seen)
    return done.checked() if check else done


def why_it_hangs(klog: KernelLog, seen: int) -> Splat | None:
    """Return the complaint, after the first `seen`, that explains why a command does not end, or None."""
    found = klog.complaints(seen, settle=True)
    return next((splat for kind in HANGS for splat in found if splat.splat_kind == kind), None)


def _raise_fatal(klog: KernelLog, seen: int) -> None:
    """Raise a fatal complaint after the first `seen` splats, if there is one."""
    klog.sync()
    for splat in klog.complaints(seen, settle=True):
        if splat.fatal:
            raise splat
