# SPDX-License-Identifier: MIT
"""Failing boots of several kinds, each reported in seconds with the console's end."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import signal
import struct
import time
from pathlib import Path

import pytest

from r4l.errors import BootError, EnvironmentFault, UsageError
from r4l.guest import GuestGone
from r4l.kernel import Kernel
from r4l.net import Nic
from r4l.rootfs import File, Rootfs
from r4l.toolchain import Toolchain
from r4l.vm import VM, InitDied, NoAgent, NoOutput, QemuDied, accel, least
from r4l.vm.blame import host_fault

pytestmark = pytest.mark.vm


def silent_kernel(path: Path) -> Path:
    """An ELF that QEMU starts by PVH and that does nothing: cli; hlt; jmp."""
    code, base = b"\xfa\xf4\xeb\xfd", 0x100000
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", base)  # XEN_ELFNOTE_PHYS32_ENTRY
    offset = 64 + 2 * 56
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, offset, base, base, 4096, 4096, 4096)
    notes = struct.pack("<IIQQQQQQ", 4, 4, offset + 4096, base + 4096, base + 4096, len(note), len(note), 4)
    path.write_bytes(head + load + notes + code.ljust(4096, b"\0") + note)
    return path


def boot(kernel: Kernel, workdir: Path, **settings: object) -> BootError:
    """Try to boot and return the error. An error from a time-out would be of another class."""
    with pytest.raises(BootError) as caught:
        VM(kernel, workdir=workdir, **settings).start()  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    "append", ["rdinit=/none", pytest.param("init=/none rdinit=/none", marks=pytest.mark.thorough)]
)
def test_init_that_is_not_there(kernel: Kernel, tmp_path: Path, append: str) -> None:
    error = boot(kernel, tmp_path, append=append)
    assert type(error) is InitDied
    assert "/none (rdinit=): No such file or directory (error -2)" in error.cause
    assert "Kernel panic" in error.detail
    assert error.log == tmp_path / "console.log"


def test_a_panic_that_does_not_end_the_machine_is_no_time_out(kernel: Kernel, tmp_path: Path) -> None:
    """With panic=0 the kernel stands still for ever."""
    error = boot(kernel, tmp_path, append="rdinit=/bin/false panic=0", silence=1000.0, boot_timeout=1000.0)
    assert type(error) is InitDied
    assert "/bin/false, ended with exit code 1" in error.cause


@pytest.mark.thorough
def test_init_that_starts_no_agent(kernel: Kernel, tmp_path: Path) -> None:
    error = boot(kernel, tmp_path, append="rdinit=/bin/sleep -- 1000", silence=3.0)
    assert type(error) is NoAgent
    assert "/bin/sleep, runs" in error.cause
    assert "rdinit=" in error.remedy


@pytest.mark.thorough
def test_an_agent_that_cannot_be_run(kernel: Kernel, tmp_path: Path) -> None:
    wrong = File(b"no program", 0o644)
    error = boot(kernel, tmp_path, files={"/sbin/r4l-agent": wrong}, silence=1000.0, boot_timeout=1000.0)
    assert type(error) is NoAgent
    assert "cannot run the agent" in error.cause


def test_memory_that_cannot_be_enough_is_refused_before_the_boot(kernel: Kernel) -> None:
    with pytest.raises(UsageError) as refused:
        VM(kernel, memory=64)
    assert refused.value.cause.startswith("64 MiB of memory are too little: the kernel")
    assert re.search(r"give \d+ MiB or more", refused.value.remedy)


@pytest.mark.thorough
def test_the_memory_that_is_said_to_be_enough_is(kernel: Kernel) -> None:
    enough = least.memory(VM(kernel).machine)[1]
    with VM(kernel, nics=[Nic("e1000")], memory=enough) as vm:
        assert vm.run("true").exit_code == 0
    assert enough <= 128


@pytest.mark.thorough
@pytest.mark.parametrize("code", [0, 3])
def test_init_that_dies(kernel: Kernel, tmp_path: Path, code: int) -> None:
    # What is written last the serial port may not have sent when the kernel stops the CPUs.
    script = File(f"#!/bin/sh\necho giving up\nsleep 1\nexit {code}\n".encode(), 0o755)
    error = boot(kernel, tmp_path, files={"/init": script})
    assert type(error) is InitDied
    assert f"exitcode=0x{code:06x}00" in error.cause
    assert "giving up" in error.detail


STRAY_BREAKPOINT = b"""#!/bin/sh
mount -t devtmpfs none /dev
modprobe virtio_blk
if [ "$(head -c 5 /dev/vda)" != again ]; then
    echo again > /dev/vda
    sync
    echo '<4>Oops: int3: 0000 [#1] SMP NOPTI' > /dev/kmsg
    exit 3
fi
umount /dev
exec /init
"""


@pytest.mark.thorough
def test_a_breakpoint_that_the_emulator_kept_costs_a_second_boot(
    kernel: Kernel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    drive = f"if=virtio,format=raw,file={disk}"
    settings = {
        "modules": ["virtio_blk"],
        "files": {"/first": File(STRAY_BREAKPOINT, 0o755)},
        "append": "rdinit=/first",
    }
    with VM(kernel, workdir=tmp_path, accel="tcg", extra=("-drive", drive), **settings) as vm:  # type: ignore[arg-type]
        assert vm.run("echo up").stdout == "up\n"
        assert not vm.klog.splats()
        for name in ("console.log", "console.1.log"):
            assert (vm.workdir / name).read_text(errors="replace").count("Linux version") == 1
    assert "the machine boots again" in caplog.text


def test_kernel_that_prints_nothing(kernel: Kernel, tmp_path: Path) -> None:
    silent = dataclasses.replace(kernel, vmlinux=silent_kernel(tmp_path / "silent"))
    error = boot(silent, tmp_path / "run", rootfs=Rootfs.build(kernel), accel="tcg", silence=3.0)
    assert type(error) is NoOutput
    assert re.search(r"for \d s", error.cause)


@pytest.mark.thorough
def test_agent_that_never_comes(kernel: Kernel, tmp_path: Path) -> None:
    sleeper = File(b"#!/bin/sh\nexec sleep 1000\n", 0o755)
    error = boot(kernel, tmp_path, files={"/sbin/r4l-agent": sleeper}, silence=4.0)
    assert type(error) is NoAgent
    assert "Run /init" in error.detail


def test_qemu_refuses_its_command_line(kernel: Kernel, tmp_path: Path) -> None:
    """A word that is r4l's own; test_devices.py has those of the user."""
    (tmp_path / "text").write_text("no kernel")
    other = dataclasses.replace(kernel, vmlinux=tmp_path / "text")
    error = boot(other, tmp_path / "run", rootfs=Rootfs.build(kernel), accel="tcg")
    assert type(error) is QemuDied
    assert error.log == tmp_path / "run/qemu.log"


def test_qemu_missing(kernel: Kernel, tmp_path: Path) -> None:
    rootfs = Rootfs.build(kernel)
    (tmp_path / "usr/bin").mkdir(parents=True)
    bare = dataclasses.replace(kernel, toolchain=Toolchain(tmp_path, "bare"))
    with pytest.raises(EnvironmentFault, match="qemu-system-x86_64 is not in the toolchain"):
        VM(bare, rootfs=rootfs, accel="tcg").start()


def test_a_host_without_bubblewrap(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program brings its own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with VM(kernel, accel="tcg", snapshot=True) as vm:
        assert vm.run("echo here").stdout == "here\n"


def test_qemu_killed_while_it_boots(kernel: Kernel, tmp_path: Path) -> None:
    import threading

    vm = VM(kernel, workdir=tmp_path)
    threading.Timer(1.0, lambda: os.kill(vm.pid, signal.SIGKILL)).start()
    with pytest.raises(QemuDied, match="SIGKILL"):
        vm.start()


def test_qemu_killed_under_a_command(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm:
        process = vm.popen("sleep 1000")
        os.kill(vm.pid, signal.SIGKILL)
        with pytest.raises(QemuDied, match="SIGKILL"):
            process.wait_done(60)
        with pytest.raises(QemuDied):
            vm.run("true")


def test_guest_that_powers_off_under_a_command(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm, pytest.raises(GuestGone, match="poweroff or reboot"):
        vm.run("poweroff -f; sleep 1000", timeout=60)


def test_kvm_that_stands_still_is_found_out_in_seconds(kernel: Kernel, tmp_path: Path) -> None:
    silent = dataclasses.replace(kernel, vmlinux=silent_kernel(tmp_path / "silent"))
    begun = time.monotonic()
    choice = accel.trial(silent)
    assert choice.name == "tcg"
    assert "stood still" in choice.reason or "KVM" in choice.reason
    assert time.monotonic() - begun < 30


def test_accelerator_is_tried_once_and_works(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = accel.choose(kernel)
    monkeypatch.delattr(accel, "trial")
    assert accel.choose(kernel) == choice
    with VM(kernel, snapshot=True) as vm:
        assert vm.accel == choice
        assert vm.run("true").ok


def test_a_machine_that_is_not_followed_any_more_fails(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the thread that reads the console ended, and later complaints of the kernel were told by nobody."""

    def fail(line: str) -> None:
        raise OSError(errno.ENOSPC, f"No space left on device: {line}")

    with VM(kernel, snapshot=True) as vm:
        monkeypatch.setattr(vm.klog, "feed", fail)
        began = time.monotonic()
        with pytest.raises(EnvironmentFault, match="the disk is full"):
            vm.run("echo it >/dev/kmsg; sleep 60", timeout=120)
        assert time.monotonic() - began < 50
        for ask in (vm.check, lambda: vm.wait(1), lambda: vm.run("true")):
            with pytest.raises(EnvironmentFault, match="the disk is full") as caught:
                ask()
            assert host_fault(caught.value, vm)


def test_a_machine_that_was_not_followed_is_not_left_in_silence(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    vm = VM(kernel, snapshot=True).start()
    try:
        monkeypatch.setattr(vm.klog, "feed", fail)
        vm.popen("echo it >/dev/kmsg")
        until = time.monotonic() + 60
        while not vm._run._failure and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        vm.close()
    told = vm.untold()
    assert told
    assert "following the machine has failed: ValueError" in told.cause
