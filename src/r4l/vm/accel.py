# SPDX-License-Identifier: MIT
"""Which accelerator a VM gets: decided by trial, because /dev/kvm can be there and dead.

Known ways of being dead: KVM_CREATE_VM works and the guest stalls for ever; "KVM internal error" in the middle of a
boot. So a real guest must reach its first program, without ever being silent for two seconds. That KVM works holds
until the host reboots; that it does not may have been the host's load, and is tried again. The answer is kept under
the home.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from r4l import home
from r4l.arch import architecture
from r4l.errors import BootError, UsageError
from r4l.kernel import Kernel
from r4l.rootfs import Rootfs
from r4l.vm.machine import Accel, Machine, kernel_line
from r4l.vm.qemu import Qemu

DEVICE = Path("/dev/kvm")
KVM_GET_API_VERSION = 0xAE00
API_VERSION = 12
SILENCE = 2.0
PATIENCE = 20.0
REACHED = "Run /init as init process"
ENVIRONMENT = "R4L_ACCEL"
BUSY = 1.0
"""Load (over one minute, for each CPU) from which a guest may stand still for want of a CPU."""
PAUSE = 60.0
"""Seconds after a trial that failed on a busy host before the next: each may take as long as `PATIENCE`."""
OLDEST = 86400.0
"""Seconds after which a trial that failed is made again in any case."""


@dataclass(frozen=True)
class Choice:
    """An accelerator and why it is that one."""

    name: Accel
    reason: str


def choose(kernel: Kernel, wanted: Accel | str | None = None, *, afresh: bool = False) -> Choice:
    """The accelerator for a kernel's VMs.

    Args:
        wanted: the caller's will; else `$R4L_ACCEL`; else a trial decides.
        afresh: make the trial now, whatever an earlier one found.

    Raises:
        UsageError: an accelerator that there is none of.
    """
    named = wanted or os.environ.get(ENVIRONMENT)
    if named == "kvm":
        return Choice("kvm", "asked for")
    if named == "tcg":
        return Choice("tcg", "asked for")
    if named:
        raise UsageError(f"unknown accelerator {named!r}", "use kvm or tcg")
    missing = _unusable()
    if missing:
        return Choice("tcg", missing)
    uname = architecture(kernel.arch).uname
    if uname != platform.machine():
        return Choice("tcg", f"the guest is {uname} and this machine {platform.machine()}")
    return _remembered(kernel, afresh)


def _unusable() -> str | None:
    """Why KVM is out of the question, if that can be told without a trial."""
    if not DEVICE.exists():
        return "there is no /dev/kvm"
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm cannot be opened: {error.strerror}"
    try:
        version = fcntl.ioctl(device, KVM_GET_API_VERSION)
    except OSError as error:
        return f"/dev/kvm does not answer: {error.strerror}"
    finally:
        os.close(device)
    return None if version == API_VERSION else f"/dev/kvm speaks version {version}, not {API_VERSION}"


def _remembered(kernel: Kernel, afresh: bool) -> Choice:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    key = home.content_key(boot_id, kernel.toolchain.key, os.uname().release)
    file = home.room("accel") / f"{key}.json"
    with home.lock("accel"):
        tried = None if afresh else _Tried.read(file)
        if tried is None or not tried.holds(time.time(), _load()):
            before = _load()
            choice = trial(kernel)
            tried = _Tried(choice.name, choice.reason, time.time(), max(before, _load()))
            partial = home.temporary(file)
            partial.write_text(json.dumps(asdict(tried)), encoding="utf-8")
            home.publish(partial, file)
    return Choice(tried.name, tried.reason)


@dataclass(frozen=True)
class _Tried:
    """A trial that was made since the host booted.

    Attributes:
        when: seconds since 1970.
        load: the host's meanwhile, for each CPU.
    """

    name: Accel
    reason: str
    when: float
    load: float

    @classmethod
    def read(cls, file: Path) -> _Tried | None:
        """The one that is kept; None where there is none, or one without its time."""
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def holds(self, now: float, load: float) -> bool:
        """Whether another trial would find the same, as far as one can tell."""
        age = now - self.when
        if self.name == "kvm":
            return True
        if not 0 <= age < OLDEST:
            return False
        return not (self.load >= BUSY > load and age >= PAUSE)


def _load() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def trial(kernel: Kernel) -> Choice:
    """Boot a guest under KVM and see."""
    reached, ended = threading.Event(), threading.Event()
    machine = Machine(
        kernel=kernel.vmlinux,
        initrd=Rootfs.build(kernel).path,
        append=kernel_line(kernel.arch),
        arch=kernel.arch,
        accel="kvm",
        agent=False,
    )

    def on_line(line: str) -> None:
        if REACHED in line:
            reached.set()

    with tempfile.TemporaryDirectory(prefix="r4l-kvm-") as folder:
        begun = time.monotonic()
        qemu = Qemu(
            machine,
            kernel.toolchain,
            Path(folder),
            on_line=on_line,
            on_event=lambda _event: None,
            on_exit=lambda _code: ended.set(),
        )
        try:
            while not reached.wait(0.05):
                now = time.monotonic()
                if ended.is_set():
                    said = qemu.output().splitlines()
                    return Choice("tcg", f"KVM fails: {said[-1] if said else 'QEMU ended without a word'}")
                if now - max(begun, qemu.console.last_output) > SILENCE or now - begun > PATIENCE:
                    return Choice("tcg", _stalled(qemu, now - begun))
            return Choice("kvm", f"a guest booted under it in {time.monotonic() - begun:.1f} s")
        finally:
            qemu.close()


def _stalled(qemu: Qemu, seconds: float) -> str:
    """What is known about a guest that stands still under KVM."""
    try:
        status = qemu.monitor.execute("query-status", timeout=1.0)["status"]
    except BootError:
        status = "unknown"
    said = [line for line in qemu.output().splitlines() if "error" in line]
    why = said[0] if said else "no sign of life"
    return f"/dev/kvm is there but dead: a guest stood still after {seconds:.1f} s ({why}, QEMU's status: {status})"
