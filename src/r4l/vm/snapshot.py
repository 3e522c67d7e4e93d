# SPDX-License-Identifier: MIT
"""A machine that was booted once, kept as a file from which others like it start in a moment.

The state is QEMU's migration stream, written while the guest stands still after its boot, with the agent listening. The
same command line with `-incoming` continues there (docs/devel/migration in QEMU). Guests restored from one state are
twins: the same clock, the same random numbers.
"""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager
from pathlib import Path

from r4l import home, inuse
from r4l.errors import BootError, EnvironmentFault, R4LError
from r4l.guest import Link
from r4l.kernel import Kernel
from r4l.vm import inputs
from r4l.vm.live import LiveVM
from r4l.vm.machine import Machine
from r4l.vm.prepare import Preparation
from r4l.vm.qemu import Qemu

LOG = logging.getLogger(__name__)
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


def folder() -> Path:
    """Where the states lie."""
    return home.room("snapshots")


def ensure(
    machine: Machine, kernel: Kernel, twin: AbstractContextManager[LiveVM], preparation: Preparation
) -> Path | None:
    """The state of a machine after its boot and its preparation; made first if it is not there.

    Args:
        twin: the same machine, not started; booted where there is no state yet.

    Returns:
        The file; None where it could not be kept (a full disk), which the log says: the machine boots then.

    Raises:
        BootError: the twin does not boot.
        R4LError: what the preparation raised, or the kernel complained of.
    """
    stats = (path.stat() for path in (machine.kernel, machine.initrd))
    boots = (f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}" for stat in stats)
    qemu = kernel.toolchain.packages.get("qemu-system-common", "")
    room = folder()
    final = room / f"{home.content_key(machine.key, kernel.key, qemu, preparation.key, *boots)}.state"
    with home.lock(f"snapshot-{final.stem}"):
        if not final.exists() or not inputs.hold(_noted(final)):
            partial = home.temporary(final)
            final.unlink(missing_ok=True)
            try:
                home.require_space(room, NEEDED_MIB, "a snapshot")
                _prune(room)
                with twin as vm:
                    with inputs.recorded([vm.workdir]) as files:
                        _prepare(vm, preparation)
                    inputs.save(files - set(preparation.modules), _noted(final))
                    _save(vm, partial)
            except EnvironmentFault as fault:
                home.remove(partial)
                LOG.warning("no snapshot is kept, the machine boots each time: %s", fault.cause)
                return None
            home.publish(partial, final)
        inuse.hold(final)
    final.touch()
    return final


def _noted(state: Path) -> Path:
    """The file beside a state that says which of the host's files its preparation read."""
    return state.with_suffix(".inputs")


def _prepare(vm: LiveVM, preparation: Preparation) -> None:
    """What the kernel complains of meanwhile would be in no log of those that start from the state."""
    for splat in vm.klog.splats(settle=True):
        LOG.warning("the kernel complained while it booted: %s", splat.headline)
    seen = vm.klog.splat_count
    preparation(vm)
    vm.klog.sync()
    for splat in vm.klog.splats(seen, settle=True):
        raise splat


def _save(vm: LiveVM, path: Path) -> None:
    vm.qmp("stop")
    # QEMU writes in its own folder only.
    written = vm.workdir / "state"
    vm.qmp("migrate", uri=f"file:{written}")
    until = time.monotonic() + TIMEOUT
    while True:
        answer = vm.qmp("query-migrate")
        status = answer.get("status") if isinstance(answer, dict) else None
        if status == "completed":
            written.rename(path)
            return
        if status == "failed" or time.monotonic() > until:
            why = answer.get("error-desc", status) if isinstance(answer, dict) else status
            raise EnvironmentFault(f"QEMU cannot write the snapshot: {why}", "is the disk full?")
        time.sleep(POLL)


class Useless(BootError):
    """A machine cannot go on from a state: the file is cut short, or another QEMU wrote it."""


def resume(state: Path, qemu: Qemu, link: Link) -> None:
    """Let a machine that was started with `-incoming` go on, and find its agent.

    Raises:
        Useless: it cannot be restored; the state is removed, so that it is made anew.
    """
    try:
        until = time.monotonic() + TIMEOUT
        while qemu.monitor.execute("query-migrate").get("status") != "completed":
            if time.monotonic() > until or not qemu.running:
                raise BootError(f"QEMU does not load it: {qemu.output() or 'it says nothing'}")
            time.sleep(POLL)
        qemu.monitor.execute("cont")
        if not link.connect(TIMEOUT, stale=True):
            raise BootError("the agent in the restored guest does not answer")
    except R4LError as error:
        state.unlink(missing_ok=True)
        raise Useless(
            f"the snapshot is of no use and was removed ({error.cause})", "run it again: it boots anew", log=error.log
        ) from error


def _prune(room: Path) -> None:
    """Remove the states that were used longest ago; a machine that was restored has its state in memory already."""
    states = sorted(room.glob("*.state"), key=lambda path: path.stat().st_mtime)
    for path in states[: -(KEPT - 1)]:
        path.unlink(missing_ok=True)
        _noted(path).unlink(missing_ok=True)
