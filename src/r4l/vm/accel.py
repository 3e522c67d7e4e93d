# SPDX-License-Identifier: MIT
"""Choose the accelerator of a VM by trial, because /dev/kvm can be present and unusable.

Known faults: KVM_CREATE_VM works and the guest stalls forever; "KVM internal error" during a boot. So a real guest must
reach its first program without two seconds of silence. A positive result holds until the host reboots; a negative one
may be due to load, and is tried again. The result is stored in the home.
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
from r4l.threads import thread_failure
from r4l.vm.machine import Accel, Machine, kernel_line
from r4l.vm.qemu import Qemu

DEVICE = Path("/dev/kvm")
KVM_GET_API_VERSION = 0xAE00
API_VERSION = 12
SILENCE = 2.0
PATIENCE = 20.0
START = 60.0
"""Seconds in which QEMU itself must have started."""
REACHED = "Run /init as init process"
ENVIRONMENT = "R4L_ACCEL"
BUSY = 1.0
"""Load (over one minute, per CPU) above which a guest may stand still for lack of a CPU."""
PAUSE = 60.0
"""Seconds between a trial that failed on a busy host and the next one; each may take as long as `PATIENCE`."""
OLDEST = 86400.0
"""Seconds after which a failed trial is repeated in any case."""


@dataclass(frozen=True)
class Choice:
    """An accelerator and the reason for its choice."""

    name: Accel
    reason: str


def choose(kernel: Kernel, wanted: Accel | str | None = None, *, afresh: bool = False) -> Choice:
    """Return the accelerator for a kernel's VMs.

    Args:
        wanted: the caller's choice; else `$R4L_ACCEL`; else a trial decides.
        afresh: run a new trial, whatever the stored result.

    Raises:
        UsageError: the name is no accelerator.
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
    """Return the reason why KVM is unusable, if that is known without a trial, else None."""
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
    """A trial made since the host booted.

    Attributes:
        when: seconds since 1970.
        load: the host's load during the trial, per CPU.
    """

    name: Accel
    reason: str
    when: float
    load: float

    @classmethod
    def read(cls, file: Path) -> _Tried | None:
        """Read the stored trial; None if there is none, or one without its time."""
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def holds(self, now: float, load: float) -> bool:
        """True if another trial would probably have the same result."""
        age = now - self.when
        if self.name == "kvm":
            return True
        if not 0 <= age < OLDEST:
            return False
        return not (self.load >= BUSY > load and age >= PAUSE)


def _load() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def trial(kernel: Kernel) -> Choice:
    """Boot a guest under KVM and return the resulting choice."""
    reached, ended = threading.Event(), threading.Event()
    failures: list[BaseException] = []
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
        qemu = Qemu(
            machine,
            kernel.toolchain,
            Path(folder),
            on_line=on_line,
            on_event=lambda _event: None,
            on_exit=lambda _code: ended.set(),
            failed=failures.append,
        )
        try:
            try:
                # QEMU's own start, from a cold disk, is no silence of the guest's.
                qemu.monitor.execute("query-status", timeout=START)
            except BootError:
                ended.wait(SILENCE)
            begun = time.monotonic()
            while not reached.wait(0.05):
                now = time.monotonic()
                if failures:
                    raise thread_failure("the trial of KVM", failures[0])
                if ended.is_set():
                    said = qemu.output().splitlines()
                    return Choice("tcg", f"KVM fails: {said[-1] if said else 'QEMU ended without a word'}")
                if now - max(begun, qemu.console.last_output) > SILENCE or now - begun > PATIENCE:
                    return Choice("tcg", _stalled(qemu, now - begun))
            return Choice("kvm", f"a guest booted under it in {time.monotonic() - begun:.1f} s")
        finally:
            qemu.close()


def _stalled(qemu: Qemu, seconds: float) -> str:
    """Describe a guest that stands still under KVM."""
    try:
        status = qemu.monitor.execute("query-status", timeout=1.0)["status"]
    except BootError:
        status = "unknown"
    said = [line for line in qemu.output().splitlines() if "error" in line]
    why = said[0] if said else "no sign of life"
    return f"/dev/kvm is unusable: a guest stood still after {seconds:.1f} s ({why}, QEMU's status: {status})"
