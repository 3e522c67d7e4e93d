# SPDX-License-Identifier: MIT
"""A machine that was booted once, kept as a file from which others like it start in a moment.

The state is QEMU's migration stream, written while the guest stands still after its boot, with the agent listening. The
same command line with `-incoming` continues there (docs/devel/migration in QEMU). Guests restored from one state are
twins: the same clock, the same random numbers.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from r4l import home
from r4l.errors import BootError, EnvironmentFault, R4LError
from r4l.guest import Link
from r4l.vm.machine import Machine
from r4l.vm.qemu import Qemu

if TYPE_CHECKING:
    from r4l.kernel import Kernel
    from r4l.vm.vm import VM

KEPT = 12
"""How many states are kept; each takes about what the guest had in use (100 to 400 MB)."""
NEEDED_MIB = 1024
POLL = 0.01
TIMEOUT = 120.0
SLOW = ("CONFIG_KASAN", "CONFIG_DEBUG_KMEMLEAK")
"""Options with which a boot takes half a minute under TCG: these kernels are booted once."""


def is_slow(kernel: Kernel) -> bool:
    """Whether a kernel boots so slowly that a snapshot is the better default."""
    return any(kernel.config.get(option) == "y" for option in SLOW)


def ensure(machine: Machine, kernel: Kernel, twin: VM) -> Path:
    """The state of a machine right after its boot; made first if it is not there.

    Args:
        twin: the same machine, not started; booted where there is no state yet.

    Raises:
        BootError: the twin does not boot.
        EnvironmentFault: no space, or QEMU cannot write the state.
    """
    boots = (str(path.stat().st_mtime_ns) for path in (machine.kernel, machine.initrd))
    qemu = kernel.toolchain.packages.get("qemu-system-common", "")
    room = home.room("snapshots")
    final = room / f"{home.content_key(machine.key, kernel.key, qemu, *boots)}.state"
    with home.lock(f"snapshot-{final.stem}"):
        if not final.exists():
            home.require_space(room, NEEDED_MIB, "a snapshot")
            _prune(room)
            partial = home.temporary(final)
            with twin:
                _save(twin, partial)
            home.publish(partial, final)
    final.touch()
    return final


def _save(vm: VM, path: Path) -> None:
    vm.qmp("stop")
    vm.qmp("migrate", uri=f"file:{path}")
    until = time.monotonic() + TIMEOUT
    while True:
        answer = vm.qmp("query-migrate")
        status = answer.get("status") if isinstance(answer, dict) else None
        if status == "completed":
            return
        if status == "failed" or time.monotonic() > until:
            why = answer.get("error-desc", status) if isinstance(answer, dict) else status
            raise EnvironmentFault(f"QEMU cannot write the snapshot: {why}", "is the disk full?")
        time.sleep(POLL)


def resume(state: Path, qemu: Qemu, link: Link) -> None:
    """Let a machine that was started with `-incoming` go on, and find its agent.

    Raises:
        BootError: it cannot be restored; the state is removed, so that the next run boots.
    """
    try:
        until = time.monotonic() + TIMEOUT
        while qemu.monitor.execute("query-migrate").get("status") != "completed":
            if time.monotonic() > until or not qemu.running:
                raise BootError(f"QEMU does not load the snapshot: {qemu.output() or 'it says nothing'}")
            time.sleep(POLL)
        qemu.monitor.execute("cont")
        if not link.connect(TIMEOUT, stale=True):
            raise BootError("the agent in the restored guest does not answer")
    except R4LError as error:
        state.unlink(missing_ok=True)
        raise BootError(
            f"the snapshot is of no use and was removed ({error.cause})", "run it again: it boots anew", log=error.log
        ) from error


def _prune(room: Path) -> None:
    """Remove the states that were used longest ago; a machine that was restored has its state in memory already."""
    states = sorted(room.glob("*.state"), key=lambda path: path.stat().st_mtime)
    for path in states[: -(KEPT - 1)]:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
