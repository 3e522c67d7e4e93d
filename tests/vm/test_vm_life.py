# SPDX-License-Identifier: MIT
"""A VM's life: its ends, and its end with its owner."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from r4l import home
from r4l.errors import UsageError
from r4l.guest import CommandFailed
from r4l.kernel import Kernel
from r4l.toolchain.enter import bwraps
from r4l.vm import VM, guest_clock

pytestmark = pytest.mark.vm


def descendants(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found |= descendants(int(child))
    return found


def qemu_processes(vm: VM) -> set[int]:
    found = descendants(vm.pid)
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in found}
    assert any(name.startswith("qemu") for name in names), names
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_gone(pids: set[int], seconds: float = 30.0) -> set[int]:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(map(alive, pids)):
        time.sleep(0.05)
    return {pid for pid in pids if alive(pid)}


@pytest.mark.row("A22")
def test_poweroff_ends_qemu_with_success(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm:
        pids = qemu_processes(vm)
        assert vm.poweroff() == 0
        assert vm.shutdown_reason == "guest-shutdown"
        vm.klog.wait_for("reboot: Power down")
        assert not wait_gone(pids)


@pytest.mark.row("A22")
def test_halt_leaves_qemu_and_the_tool_ends_it(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm:
        pids = qemu_processes(vm)
        vm.halt()
        time.sleep(1)
        assert vm.running
        assert vm.qmp("query-status")["status"] == "running"
    assert not vm.running
    assert not wait_gone(pids)


@pytest.mark.row("A22")
def test_busybox_has_no_shutdown(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm:
        assert vm.run("shutdown -h now").exit_code == 127


def test_clean_run_leaves_nothing_and_a_failed_one_its_logs(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm:
        clean = vm.workdir
        assert (clean / "console.log").exists()
    assert not clean.exists()

    def fails() -> None:
        with VM(kernel) as vm:
            folders.append(vm.workdir)
            vm.run("false", check=True)

    folders: list[Path] = []
    with pytest.raises(CommandFailed):
        fails()
    (failed,) = folders
    assert {"console.log", "qmp.log", "qemu.log"} <= {path.name for path in failed.iterdir()}
    assert b"Linux version" in (failed / "console.log").read_bytes()
    home.remove(failed)


@pytest.mark.thorough
def test_vm_outlives_the_thread_that_started_it(kernel: Kernel) -> None:
    vm = VM(kernel)
    thread = threading.Thread(target=vm.start)
    thread.start()
    thread.join()
    time.sleep(0.5)
    assert vm.run("echo alive").stdout == "alive\n"
    vm.close()


OWNER = """
import sys, threading, time
from pathlib import Path
from r4l.vm import VM
from r4l.kernel import Kernel
kernel = Kernel.ready(sys.argv[1])
def amid_boot(vm):
    while not vm.__dict__.get("klog") or "Linux version" not in vm.klog.text():
        time.sleep(0.05)
    print(vm.pid, flush=True)
def work():
    vm = VM(kernel, workdir=Path(sys.argv[2]), snapshot=sys.argv[4] == "up")
    if sys.argv[4] == "booting":
        threading.Thread(target=amid_boot, args=[vm], daemon=True).start()
        vm.start()
    else:
        vm.start()
        print(vm.pid, flush=True)
    time.sleep(1000)
if sys.argv[3] == "thread":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
work()
"""


ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
OWNERS = [
    *((number, "main", "up") for number in ENDS),
    (signal.SIGKILL, "thread", "up"),
    (signal.SIGKILL, "main", "booting"),
]
MORE_OWNERS = [
    *((number, "main", "booting") for number in ENDS[1:]),
    *((number, "thread", "up") for number in ENDS[1:]),
    (signal.SIGKILL, "thread", "booting"),
]


@pytest.mark.parametrize(
    ("number", "thread", "when"),
    [*OWNERS, *(pytest.param(*owner, marks=pytest.mark.thorough) for owner in MORE_OWNERS)],
    ids=lambda value: getattr(value, "name", value),
)
def test_no_qemu_survives_its_owner(
    kernel: Kernel, tmp_path: Path, number: signal.Signals, thread: str, when: str
) -> None:
    argv = [sys.executable, "-c", OWNER, kernel.release, str(tmp_path), thread, when]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, text=True, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout is not None
        sandbox = int(owner.stdout.readline())
        pids = descendants(sandbox)
        assert len(pids) >= 2
        assert all(map(alive, pids))
        owner.send_signal(number)
        if number == signal.SIGINT and thread == "thread":
            # Python's main thread waits in join; a second Ctrl-C is what users give it.
            time.sleep(0.5)
            owner.send_signal(number)
            owner.kill()
        left = wait_gone(pids)
        assert not left, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]


SLOW_BWRAP = """\
#!/bin/sh
case "$*" in *qemu-system*) echo $$ >{told}; read -r _ <{hold} ;; esac
exec {bwrap} "$@"
"""


def test_no_qemu_starts_without_its_owner(kernel: Kernel, tmp_path: Path) -> None:
    """The owner is killed before bubblewrap has asked for a signal at its death."""
    if not kernel.toolchain.isolates:
        pytest.skip("PRoot is the sandbox here")
    slow, told, hold = tmp_path / "bin/bwrap", tmp_path / "told", tmp_path / "hold"
    slow.parent.mkdir()
    os.mkfifo(told)
    os.mkfifo(hold)
    slow.write_text(SLOW_BWRAP.format(told=told, hold=hold, bwrap=bwraps()[0]))
    slow.chmod(0o755)
    workdir = tmp_path / "work"
    workdir.mkdir()
    argv = [sys.executable, "-c", OWNER, kernel.release, str(workdir), "main", "up"]
    path = os.pathsep.join(path for path in sys.path if path)
    env = {**os.environ, "PYTHONPATH": path, "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as owner:
        sandbox = int(told.read_text())
        owner.kill()
    assert alive(sandbox)
    hold.write_text("\n")
    try:
        assert not wait_gone({sandbox})
    finally:
        if alive(sandbox):
            os.killpg(sandbox, signal.SIGKILL)
    assert not (workdir / "qemu.log").read_text()


def test_no_descriptors_or_threads_are_left(kernel: Kernel) -> None:
    def count() -> tuple[int, int]:
        gc.collect()  # Files of earlier tests would be closed in between.
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    with VM(kernel, snapshot=True) as vm:  # what is made once: the spawner, the event loop
        vm.run("true")
    before = count()
    for _ in range(2):
        with VM(kernel, snapshot=True) as vm:
            vm.run("true")
    assert count() == before


def test_vm_that_was_not_started_says_so(kernel: Kernel) -> None:
    vm = VM(kernel)
    assert "not started" in repr(vm)
    with pytest.raises(UsageError, match="not been started"):
        vm.run("true")
    vm.close()


def test_a_guest_under_tcg_is_told_the_frequency_of_its_clock(kernel: Kernel, vm: VM) -> None:
    told = dict(word.split("=") for word in guest_clock.words(kernel) if "=" in word)
    if vm.accel.name != "tcg" or not told:
        pytest.skip("the guest's counter is not this host's")
    khz = int(told["tsc_early_khz"])
    said = vm.run("dmesg").stdout
    # The kernel may have measured the processor itself: then the counter has a line of its own.
    assert re.search(rf"tsc: Detected {khz / 1000:.3f} MHz (processor|TSC)", said)
    assert "Calibrating delay loop (skipped) preset value" in said


def test_no_thread_counts_the_use_of_memory(vm: VM) -> None:
    """It woke forty times a second, which was four fifths of an idle guest's cost (CONFIG_DAMON_STAT)."""
    assert "kdamond" not in vm.run("ps", check=True).stdout


@pytest.mark.thorough
def test_many_more_cpus_than_the_host_has(kernel: Kernel) -> None:
    """Their delay loops were measured one after the other, and their clock was wrong by a factor on a busy host."""
    with VM(kernel, cpus=64) as vm:
        assert vm.run("nproc").stdout.strip() == "64"
        vm.check()
