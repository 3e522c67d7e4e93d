# SPDX-License-Identifier: MIT
"""Wait for a guest to boot, and report exactly how a boot failed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from r4l.arch import architecture
from r4l.errors import R4LError
from r4l.guest import GuestGone, Link
from r4l.klog import KernelLog
from r4l.vm import least
from r4l.vm.blame import RunTime
from r4l.vm.errors import BootPanic, InitDied, MachineReset, NoAgent, NoOutput, QemuDied
from r4l.vm.machine import Machine
from r4l.vm.qemu import Qemu, returncode_text, signal_of
from r4l.vm.refusal import refusal

SILENCE = 10.0
"""Seconds without any output before a boot has failed.

The first line comes after half a second under TCG, and the longest pause of a stock kernel's boot is 0.2 s; a loaded
machine may be ten times slower.
"""
TIMEOUT = 120.0
BEFORE, AFTER = 20, 40
PANIC = re.compile(r"^Kernel panic - not syncing: (.*)")
RESTART = re.compile(r"^reboot: (?:Restarting system|machine restart)|^sysrq: Resetting")
"""Message of the kernel when it restarts the machine (kernel/reboot.c, arch/x86/kernel/reboot.c,
drivers/tty/sysrq.c)."""
INIT = re.compile(r"Attempted to kill init|No working init found|Requested init .* failed|No init found")
REQUESTED = re.compile(r"Requested init (\S+) failed \(error (-?\d+)\)")
NO_RDINIT = re.compile(r"^check access for rdinit=(\S+) failed: (-?\d+), ignoring")
NO_ROOT = re.compile(r"VFS: Unable to mount root fs")
KILLED = re.compile(r"Attempted to kill init! exitcode=0x([0-9a-f]{8})")
RUN = re.compile(r"^Run (\S+) as init process")
NO_MEMORY = re.compile(r"deadlocked on memory|[Oo]ut of memory")
NO_AGENT = re.compile(r"can't run '/sbin/r4l-agent'")
"""Message of busybox's init, each second, if the agent cannot be run."""
OWN_INIT = "/init"
FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGBUS})
"""Signals to QEMU that no guest causes. SIGBUS comes when the host has no page for the guest's memory."""
LAST_WORDS = 1.0
"""Seconds without output after which a kernel that panicked has said all."""


@dataclass(frozen=True)
class Patience:
    """Time limits of a boot in seconds: without output, and in total."""

    silence: float = SILENCE
    total: float = TIMEOUT


def wait_for_agent(link: Link, qemu: Qemu, klog: KernelLog, patience: Patience) -> None:
    """Wait until the agent answers.

    Raises:
        BootError: BootPanic, InitDied, NoOutput, NoAgent or QemuDied, by the kind of failure.
    """
    begun = time.monotonic()
    # A machine that the host gives no processor is not silent: it had no turn.
    clock = RunTime(qemu.pid)
    heard = (qemu.console.last_output, 0.0)

    def check_progress() -> None:
        nonlocal heard
        now, ran = time.monotonic(), clock.now()
        if qemu.console.last_output != heard[0]:
            heard = (qemu.console.last_output, ran)
        quiet = ran - heard[1]
        if quiet >= LAST_WORDS and (panic := _panic(klog, booted=False)):
            # After a panic, a slow host needs time to end the guest's CPUs; with panic=0 nothing ends.
            raise panic
        # init says so each second, so the guest is never quiet.
        if any(NO_AGENT.search(record.text) for record in klog.records()):
            raise _no_agent("the guest's init cannot run the agent, /sbin/r4l-agent", qemu, klog)
        if quiet < patience.silence and ran < patience.total:
            return
        if qemu.console.received == 0:
            arch = architecture(qemu.machine.arch)
            how = f"{'PVH, ' if arch.direct == 'pvh' else ''}console={arch.console}"
            raise NoOutput(
                f"the kernel printed nothing for {now - begun:.0f} s",
                _too_little(qemu.machine)
                or f"check that the kernel boots this way ({how}), and that the accelerator works (try accel='tcg')",
                detail=qemu.output(),
                log=qemu.log,
            )
        init = _init(klog)
        who = f"the guest's first program, {init}, runs" if init else "the kernel printed messages"
        raise _no_agent(f"{who}, but the guest's agent did not start within {now - begun:.0f} s", qemu, klog)

    # The watch raises the error; this limit is only for a host that gives the machine next to nothing.
    link.connect(patience.total * 20, watch=check_progress)


def crowding(machine: Machine) -> float:
    """Return the factor by which a machine's boot takes longer because few of the host's processors emulate its many.

    Under TCG, 16 CPUs on two processors of a busy host booted in 92 s instead of 15.
    """
    if machine.accel != "tcg":
        return 1.0
    return max(1.0, machine.cpus / (2 * (os.cpu_count() or 1)))


def _no_agent(cause: str, qemu: Qemu, klog: KernelLog) -> NoAgent:
    machine, init = qemu.machine, _init(klog)
    if remedy := _too_little(machine):
        pass
    elif crowding(machine) > 1:
        remedy = f"ask for fewer CPUs: {os.cpu_count()} of this computer's emulate {machine.cpus}"
    elif init not in ("", OWN_INIT):
        remedy = f"leave out rdinit=, so that r4l's own {OWN_INIT} runs: it starts the agent"
    else:
        remedy = f"check in the console that {OWN_INIT} and /sbin/r4l-agent run"
    return NoAgent(cause, remedy, detail=f"end of the console:\n{qemu.console.tail()}", log=klog.file)


def _too_little(machine: Machine) -> str:
    """Return the remedy for a machine that may have too little memory; empty if it has enough."""
    _, enough = least.memory(machine)
    if machine.memory >= enough:
        return ""
    return f"give the guest more memory than {machine.memory} MiB: {enough} are enough (--memory)"


def _init(klog: KernelLog) -> str:
    """Return the first program that the kernel reports running; empty before that."""
    return next((match[1] for record in klog.records() if (match := RUN.match(record.text))), "")


def why_it_ended(code: int, reason: str | None, qemu: Qemu, klog: KernelLog, *, booted: bool) -> R4LError:
    """Return the error that explains QEMU's end.

    Args:
        code: QEMU's exit code.
        reason: from QMP's event SHUTDOWN (`guest-reset`, `guest-shutdown` …), if it came.
        booted: True if the agent had answered.
    """
    if panic := _panic(klog, booted=booted):
        if isinstance(panic, BootPanic):
            panic.booted = booted
        return panic
    detail = f"end of the console:\n{qemu.console.tail(40)}"
    if code == 0 and reason == "guest-reset" and not any(RESTART.search(record.text) for record in klog.records()):
        return MachineReset(
            "the machine was reset without a message of its kernel: a triple fault, or a write to a port or register "
            "that resets",
            "look at the code that ran last",
            detail=detail,
            log=klog.file,
        )
    if code == 0:
        return GuestGone("the guest ended its virtual machine (poweroff or reboot)", detail=detail, log=klog.file)
    said = qemu.output()
    if code == 1 and not booted and (refused := refusal(qemu.machine, said, qemu.toolchain)):
        return refused
    died = QemuDied(
        f"QEMU {returncode_text(code)}" + (f": {said.splitlines()[-1]}" if said else ""),
        "see qemu.log" if said else "check whether QEMU was killed, for example for lack of memory",
        detail=said or detail,
        log=qemu.log,
    )
    died.booted = booted
    by_itself, ran = signal_of(code) not in FROM_OUTSIDE, booted or bool(klog.records())
    died.crashed, died.refused = by_itself and ran, by_itself and not ran
    return died


def _panic(klog: KernelLog, *, booted: bool) -> R4LError | None:
    """Return the error for a kernel panic, or None."""
    records = klog.records()
    for index, record in reversed(list(enumerate(records))):
        match = PANIC.match(record.text)
        if match is None:
            continue
        around = records[max(0, index - BEFORE) : index + AFTER]
        detail = "the console around the panic:\n" + "\n".join(map(str, around))
        fatal = [splat for splat in klog.complaints() if splat.fatal]
        if fatal and booted:
            return fatal[-1]
        cause, remedy = _init_lost(match[1], [record.text for record in records], _init(klog))
        if cause:
            return InitDied(cause, remedy, detail=detail, log=klog.file)
        remedy = "give the guest more memory (--memory)" if NO_MEMORY.search(match[1]) else "see the console"
        return BootPanic(f"the kernel panicked: {match[1]}", remedy, detail=detail, log=klog.file)
    return None


def _init_lost(panic: str, lines: Sequence[str], init: str) -> tuple[str, str]:
    """Return cause and remedy of a panic for lack of the first program (init/main.c, kernel/exit.c); empty for another
    panic."""
    inside = f"name a program of the initramfs, or leave the option out: r4l's own is {OWN_INIT}"
    if match := REQUESTED.search(panic):
        return f"the kernel cannot run its first program, {match[1]} (init=): {_error(match[2])}", inside
    missing = next((match for line in lines if (match := NO_RDINIT.match(line))), None)
    if missing and NO_ROOT.search(panic):
        return f"the kernel cannot run its first program, {missing[1]} (rdinit=): {_error(missing[2])}", inside
    if match := KILLED.search(panic):
        status = int(match[1], 16)
        how = f"was killed by signal {status & 0x7F}" if status & 0x7F else f"ended with exit code {status >> 8}"
        who = f"the guest's first program{f', {init},' if init else ''}"
        return (
            f"{who} {how} (exitcode=0x{match[1]}), and no kernel goes on without it",
            f"see the messages of {init or OWN_INIT} in the console",
        )
    if INIT.search(panic):
        return f"the kernel's first program died: {panic}", "see the console, and check the root file system"
    return "", ""


def _error(number: str) -> str:
    """Return the text of an error number of the kernel's."""
    return f"{os.strerror(abs(int(number)))} (error {number})"
