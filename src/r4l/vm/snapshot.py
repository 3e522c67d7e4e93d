# SPDX-License-Identifier: MIT
"""A machine that was booted once, saved as a file from which equal machines start quickly.

There are two ways to use one. A test has its machine restored each time: `ensure` boots a twin of it for the state. The
user's machine (`r4l run`) shall be as after a boot: it boots where there is no state yet, and leaves its own (`keep`)
before anything is done with it; restored from that, it gets the boot's log, the time and random numbers of its own.

The state is QEMU's migration stream, written while the guest is stopped after its boot, with the agent listening. The
same command line with `-incoming` continues there (docs/devel/migration in QEMU). Guests restored from one state are
twins: the same clock, the same random numbers.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from r4l import home, inuse
from r4l.errors import BootError, EnvironmentFault, R4LError
from r4l.guest import Link
from r4l.kernel import Kernel
from r4l.vm import host_cpu, inputs
from r4l.vm.errors import MonitorTimeout
from r4l.vm.live import LiveVM
from r4l.vm.machine import Machine
from r4l.vm.prepare import Preparation
from r4l.vm.qemu import Qemu

LOG = logging.getLogger(__name__)
AS_BOOTED: Literal["as booted"] = "as booted"
Snapshot = bool | Literal["as booted"] | None
"""Ways of starting a machine from a state; see `VM`."""
KEPT = 12
"""Number of saved states; each has the size of the guest's used memory (100 to 400 MB)."""
NEEDED_MIB = 1024
POLL = 0.01
BOOT_LOG = ".console"
"""Ending of the file beside a state with the console of its boot."""
TIMEOUT = 120.0
SLOW = ("CONFIG_KASAN", "CONFIG_DEBUG_KMEMLEAK")
"""Options with which a boot takes half a minute under TCG; such kernels are booted once."""


def is_slow(kernel: Kernel) -> bool:
    """True if a kernel boots so slowly that a snapshot is the better default."""
    return any(kernel.config.get(option) == "y" for option in SLOW)


def folder() -> Path:
    """Return the folder of the states."""
    return home.room("snapshots")


def ensure(
    machine: Machine, kernel: Kernel, twin: AbstractContextManager[LiveVM], preparation: Preparation
) -> Path | None:
    """Return the state of a machine after its boot and preparation, making it first if needed.

    The result is None if the state cannot be saved (full disk), which is logged; the machine then boots.

    Args:
        twin: the same machine, not started; booted if there is no state yet.

    Raises:
        BootError: the twin does not boot.
        R4LError: the preparation failed, or the kernel complained.
    """
    files = _stamps(machine, preparation)
    final = _place(machine, kernel, preparation)
    with home.lock(f"snapshot-{final.stem}"):
        if not final.exists() or not inputs.unchanged(_noted(final)):
            # Other processes may use the state that is there: it stays until the new one takes its place.
            partial = home.temporary(final)
            try:
                _make_room()
                with twin as vm:
                    with inputs.recorded([vm.workdir], preparation.modules) as record:
                        _prepare(vm, preparation)
                    _save(vm, partial)
            except EnvironmentFault as fault:
                home.remove(partial)
                LOG.warning("no snapshot is kept, the machine boots each time: %s", fault.cause)
                return None
            if _stamps(machine, preparation) != files:
                # The machine may have booted either kernel, or loaded either module.
                home.remove(partial)
                LOG.warning("no snapshot is kept, the machine boots this time: its kernel or a module has changed")
                return None
            home.replace_text(_noted(final), inputs.STALE)
            home.publish(partial, final)
            inputs.save(record, _noted(final))
        inuse.hold(final)
    final.touch()
    return final


def existing(machine: Machine, kernel: Kernel) -> Path | None:
    """Return the state that an equal machine has left behind with `keep`; None if there is none."""
    final = place_as_booted(machine, kernel)
    # Also where this process holds it: one that cannot be restored is removed.
    if not (inuse.hold(final) and final.exists() and boot_log(final).exists()):
        return None
    final.touch()
    return final


def place_as_booted(machine: Machine, kernel: Kernel) -> Path:
    """Return the file of the state that `keep` saves of a machine which boots now."""
    return _place(machine, kernel, Preparation(None), AS_BOOTED)


def keep(vm: LiveVM, machine: Machine, kernel: Kernel, final: Path) -> None:
    """Save the state of a machine that has just booted, and let it go on.

    It goes on without leaving a state if its kernel complained, if its kernel's file was replaced while it booted, or
    if the state cannot be saved: the disk is full, or QEMU refuses, since not all of its devices can be saved.

    Args:
        final: from `place_as_booted` before the boot.

    Raises:
        R4LError: QEMU does not let the machine go on.
    """
    vm.klog.sync()
    if vm.klog.complaints(settle=True):
        return
    with contextlib.suppress(FileNotFoundError):
        if place_as_booted(machine, kernel) == final:
            _keep(vm, final)


def _keep(vm: LiveVM, final: Path) -> None:
    with home.lock(f"snapshot-{final.stem}"):
        if final.exists():
            return
        partial, log = home.temporary(final), boot_log(final)
        try:
            _make_room()
            home.replace_text(log, (vm.workdir / "console.log").read_text(encoding="utf-8", errors="replace"))
            _save(vm, partial)
            home.publish(partial, final)
        except (R4LError, OSError) as fault:
            home.remove(partial)
            log.unlink(missing_ok=True)
            LOG.info("the machine boots the next time, too: %s", fault.cause if isinstance(fault, R4LError) else fault)
        finally:
            _go_on(vm)


def _go_on(vm: LiveVM) -> None:
    """Let a stopped machine go on; QEMU answers late while a slow disk takes its state."""
    until = time.monotonic() + TIMEOUT
    while True:
        try:
            vm.qmp("cont")
            return
        except MonitorTimeout:
            if time.monotonic() > until:
                raise


def boot_log(state: Path) -> Path:
    """Return the file with the console of a state's boot."""
    return state.with_suffix(BOOT_LOG)


def _place(machine: Machine, kernel: Kernel, preparation: Preparation, *more: str) -> Path:
    """Return the file of a machine's state, named by all that the state depends on."""
    boots = map(_stamp, (machine.kernel, machine.initrd))
    qemu = kernel.toolchain.packages.get("qemu-system-common", "")
    host = [host_cpu.described()] if machine.accel == "kvm" else []
    return folder() / f"{home.content_key(machine.key, kernel.key, qemu, preparation.key, *boots, *host, *more)}.state"


def _stamps(machine: Machine, preparation: Preparation) -> list[str]:
    """Return the stamps of the files that a machine boots and its preparation loads, "" for one that is gone."""
    return [_stamp(path) if path.exists() else "" for path in (machine.kernel, machine.initrd, *preparation.modules)]


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}"


def _make_room() -> None:
    home.require_space(folder(), NEEDED_MIB, "a snapshot")
    _prune(folder())


def _noted(state: Path) -> Path:
    """Return the file beside a state that lists the host's files read by its preparation."""
    return state.with_suffix(".inputs")


def _prepare(vm: LiveVM, preparation: Preparation) -> None:
    """Prepare the VM and raise any splat: machines restored from it would not log it."""
    for splat in vm.klog.splats(settle=True):
        LOG.warning("the kernel complained while it booted: %s", splat.headline)
    seen = vm.klog.splat_count
    preparation(vm)
    vm.klog.sync()
    for splat in vm.klog.splats(seen, settle=True):
        raise splat


def _save(vm: LiveVM, path: Path) -> None:
    """Stop the machine and write its state to a file.

    Raises:
        EnvironmentFault: the state cannot be written.
        QmpError: QEMU refuses.
    """
    vm.qmp("stop")
    # QEMU can write to its own folder only.
    written = vm.workdir / "state"
    try:
        vm.qmp("migrate", uri=f"file:{written}")
        until = time.monotonic() + TIMEOUT
        while (status := _migration(vm)) != "completed":
            if status != "active" or time.monotonic() > until:
                raise EnvironmentFault(
                    f"QEMU cannot write the snapshot: {status}", "free some space if the disk is full"
                )
            time.sleep(POLL)
        # The run's folder may be on another disk.
        shutil.move(written, path)
    except OSError as error:
        raise EnvironmentFault(f"the snapshot cannot be stored: {error}", "free some space if the disk is full") from (
            error
        )
    finally:
        written.unlink(missing_ok=True)


def _migration(vm: LiveVM) -> str:
    """Return `completed`, `active` while QEMU writes a state, or the reason why it does not."""
    try:
        answer = vm.qmp("query-migrate")
    except MonitorTimeout:
        # On a slow disk, QEMU answers late.
        return "active"
    status = answer.get("status", "") if isinstance(answer, dict) else ""
    if status == "failed":
        return str(answer.get("error-desc", status))
    return "completed" if status == "completed" else "active"


class Useless(BootError):
    """A state cannot be continued: the file is truncated, or another QEMU wrote it."""


def resume(state: Path, qemu: Qemu, link: Link) -> None:
    """Continue a machine that was started with `-incoming`, and find its agent.

    Raises:
        Useless: the state cannot be restored; it is removed, so that it is made again.
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
            f"the snapshot was unusable and was removed ({error.cause})",
            "run the command again: the machine boots",
            log=error.log,
        ) from error


def _prune(room: Path) -> None:
    """Remove the least recently used states, but those that other processes use.

    A machine of this process that was restored has its state in memory already.
    """
    states = sorted(room.glob("*.state"), key=_last_use, reverse=True)
    for path in states[KEPT - 1 :]:
        with contextlib.suppress(FileNotFoundError), inuse.but_here(path) as alone:
            for file in (path, _noted(path), boot_log(path)) if alone else ():
                file.unlink(missing_ok=True)


def _last_use(state: Path) -> float:
    try:
        return state.stat().st_mtime
    except FileNotFoundError:
        # Another process has just removed it.
        return 0.0
