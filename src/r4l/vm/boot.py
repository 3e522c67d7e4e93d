# SPDX-License-Identifier: MIT
"""Wait for a guest to come up, and say exactly what happened when it does not."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from r4l.arch import architecture
from r4l.errors import R4LError
from r4l.guest import GuestGone, Link
from r4l.klog import KernelLog
from r4l.vm.errors import BootPanic, InitDied, MachineReset, NoAgent, NoOutput, QemuDied
from r4l.vm.qemu import Qemu, returncode_text
from r4l.vm.refusal import refusal

SILENCE = 10.0
"""Seconds without any sign of life. The first line comes after half a second under TCG, and the longest pause of a
stock kernel's boot is 0.2 s; a loaded machine may be ten times slower."""
TIMEOUT = 120.0
BEFORE, AFTER = 20, 40
PANIC = re.compile(r"^Kernel panic - not syncing: (.*)")
RESTART = re.compile(r"^reboot: (?:Restarting system|machine restart)|^sysrq: Resetting")
"""How the kernel says that it restarts the machine (kernel/reboot.c, arch/x86/kernel/reboot.c, drivers/tty/sysrq.c)."""
INIT = re.compile(r"Attempted to kill init|No working init found|Requested init .* failed|No init found")


@dataclass(frozen=True)
class Patience:
    """How long to wait for a boot: seconds without a sign of life, and in all."""

    silence: float = SILENCE
    total: float = TIMEOUT


def wait_for_agent(link: Link, qemu: Qemu, klog: KernelLog, patience: Patience) -> None:
    """Return when the agent answers.

    Raises:
        BootError: BootPanic, InitDied, NoOutput, NoAgent, QemuDied, by what happened.
    """
    begun = time.monotonic()

    def look() -> None:
        now = time.monotonic()
        quiet = now - max(begun, qemu.console.last_output)
        if quiet < patience.silence and now - begun < patience.total:
            return
        if panic := _panic(klog, booted=False):
            # A slow host takes its time to end the guest's CPUs.
            raise panic
        if qemu.console.received == 0:
            arch = architecture(qemu.machine.arch)
            how = f"{'PVH, ' if arch.direct == 'pvh' else ''}console={arch.console}"
            raise NoOutput(
                f"the kernel printed nothing for {now - begun:.0f} s",
                f"does the kernel boot this way ({how})? does the accelerator work (try accel='tcg')?",
                detail=qemu.output(),
                log=qemu.log,
            )
        raise NoAgent(
            f"the kernel talks, but the guest's agent did not come within {now - begun:.0f} s",
            "see the console: does /init run, and /sbin/r4l-agent?",
            detail=f"end of the console:\n{qemu.console.tail()}",
            log=klog.file,
        )

    link.connect(patience.total * 2, watch=look)


def why_it_ended(code: int, reason: str | None, qemu: Qemu, klog: KernelLog, *, booted: bool) -> R4LError:
    """The error that tells why QEMU is no more.

    Args:
        code: QEMU's exit code.
        reason: of QMP's event SHUTDOWN (`guest-reset`, `guest-shutdown` …), if it came.
        booted: whether the agent had answered.
    """
    if panic := _panic(klog, booted=booted):
        return panic
    detail = f"end of the console:\n{qemu.console.tail(40)}"
    if code == 0 and reason == "guest-reset" and not any(RESTART.search(record.text) for record in klog.records()):
        return MachineReset(
            "the machine was reset, and its kernel had not said a word of that: a triple fault, or a write to a port "
            "or register that resets",
            "look at what ran last",
            detail=detail,
            log=klog.file,
        )
    if code == 0:
        return GuestGone("the guest ended its virtual machine (poweroff or reboot)", detail=detail, log=klog.file)
    said = qemu.output()
    if code == 1 and not booted and (refused := refusal(qemu.machine, said, qemu.toolchain)):
        return refused
    return QemuDied(
        f"QEMU {returncode_text(code)}" + (f": {said.splitlines()[-1]}" if said else ""),
        "see qemu.log" if said else "was it killed from outside, or out of memory?",
        detail=said or detail,
        log=qemu.log,
    )


def _panic(klog: KernelLog, *, booted: bool) -> R4LError | None:
    """What the kernel panicked of, if it did."""
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
        if INIT.search(match[1]):
            return InitDied(
                f"the kernel's first program died: {match[1]}",
                "see the console: what does /init (busybox) say, is the root file system right?",
                detail=detail,
                log=klog.file,
            )
        return BootPanic(f"the kernel panicked: {match[1]}", "see the console", detail=detail, log=klog.file)
    return None
