# SPDX-License-Identifier: MIT
"""Commands and files in a real guest, their cost, and their fate when its kernel breaks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l.errors import GuestTimeout
from r4l.guest import GuestGone, Terminal
from r4l.kernel import Kernel
from r4l.klog import Splat
from r4l.module import BuiltModule, Module
from r4l.vm import VM, ModuleRefused

pytestmark = pytest.mark.vm

FIXTURE = Path(__file__).parents[1] / "fixtures" / "oops_init"


@pytest.fixture(scope="module")
def vm(kernel: Kernel) -> Iterator[VM]:
    with VM(kernel, snapshot=True) as vm:
        yield vm


@pytest.fixture(scope="module")
def breaker(kernel: Kernel) -> BuiltModule:
    return Module(FIXTURE).build(kernel)


def test_streams_exit_code_and_duration(vm: VM) -> None:
    done = vm.run("echo out; echo err >&2; sleep 0.2; exit 5")
    assert (done.exit_code, done.stdout, done.stderr) == (5, "out\n", "err\n")
    assert 0.2 <= done.duration < 5


def test_files_both_ways(vm: VM, tmp_path: Path) -> None:
    data = os.urandom(20_000_000)
    vm.put(data, "/tmp/data", 0o640)
    vm.get("/tmp/data", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o640
    vm.run(["rm", "/tmp/data"])


def test_guest_out_of_space_is_an_error_and_leaves_no_half_file(vm: VM) -> None:
    vm.run("mkdir -p /mnt/small && mount -t tmpfs -o size=1m tmpfs /mnt/small", check=True)
    with pytest.raises(Exception, match="No space left"):
        vm.put(bytes(3_000_000), "/mnt/small/file")
    assert vm.run("ls -A /mnt/small; umount /mnt/small").stdout == ""


def test_output_without_end_fills_no_memory(vm: VM) -> None:
    begun = time.monotonic()
    with pytest.raises(GuestTimeout, match="the guest still answers"):
        vm.run("yes", timeout=2, limit=1_000_000)
    assert time.monotonic() - begun < 90
    assert vm.run("echo fine").stdout == "fine\n"


def test_command_that_never_ends(vm: VM) -> None:
    with pytest.raises(GuestTimeout, match=r"did not end within 1 s .* the guest still answers") as caught:
        vm.run("echo waiting for godot; sleep 1000 & sleep 1001", timeout=1)
    assert "waiting for godot" in caught.value.detail
    assert "end of the console" in caught.value.detail
    assert "sleep" not in vm.run("ps").stdout


@pytest.mark.thorough
def test_a_command_has_the_seconds_of_the_clock_that_it_is_given(vm: VM) -> None:
    begun = time.monotonic()
    # A clock that stands until three seconds are over, as that of a machine without a processor does.
    late = iter([0.0, *(0.5 for _ in range(20)), *(2.0 for _ in range(1000))])
    with pytest.raises(GuestTimeout, match="did not end within 1 s"):
        vm.run("sleep 1000", timeout=1, clock=lambda: next(late))
    assert time.monotonic() - begun > 3
    assert vm.run("sleep 2", timeout=1, clock=lambda: 0.0).exit_code == 0


def test_terminal_of_a_guest(vm: VM) -> None:
    with vm.popen(["/bin/sh", "-l"], terminal=Terminal(40, 120)) as shell:
        shell.write(b"stty size; exit 4\n")
        done = shell.wait_done(10)
    assert done is not None
    assert done.exit_code == 4
    assert "40 120" in done.stdout


def test_agent_that_is_killed_comes_back(vm: VM) -> None:
    process = vm.popen("sleep 100")
    with pytest.raises(GuestGone, match="started again"):
        vm.run("killall -9 r4l-agent; sleep 100", timeout=20)
    with pytest.raises(GuestGone):
        process.wait_done(1)
    assert vm.run("echo back").stdout == "back\n"


def test_console_follows_the_log(vm: VM) -> None:
    vm.run("echo '<4>a line of mine' >/dev/kmsg")
    vm.klog.sync()
    record = vm.klog.records()[-1]
    assert (record.text, record.level) == ("a line of mine", 4)


def test_module_that_oopses_in_init(kernel: Kernel, breaker: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        with pytest.raises(Splat) as caught:
            vm.insmod(breaker, kind="null")
        splat = caught.value
        assert (splat.splat_kind, splat.fatal) == ("oops", True)
        assert splat.culprit is not None
        assert (splat.culprit.symbol, splat.culprit.module) == ("crash_init", "oops_init")
        assert "NULL pointer dereference" in splat.detail
        # The guest lives on, and says what it knows.
        assert vm.run("dmesg | grep -c 'NULL pointer'").stdout.strip() == "1"


def test_oops_that_leaves_the_command_hanging_ends_the_wait(kernel: Kernel, breaker: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        vm.put(breaker.path, "/m.ko")
        begun = time.monotonic()
        with pytest.raises(Splat) as caught:
            vm.run("insmod /m.ko kind=gpf & sleep 1000", timeout=100)
        assert time.monotonic() - begun < 90
        assert caught.value.splat_kind == "gpf"


@pytest.mark.parametrize(
    "line",
    [
        "traps: prog[104] general protection fault ip:55d0 sp:7ffd error:0 in prog[1000,55d0+1000]",
        "BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[9]",
        "BUG: using smp_processor_id() in preemptible [00000000] code: prog/104",
    ],
)
def test_what_kills_nobody_cuts_no_command_off(vm: VM, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r4l.vm.oops.GRACE", 0.1)
    done = vm.run(f"echo '<4>{line}' >/dev/kmsg; sleep 0.5; echo still here", check=True)
    assert done.stdout == "still here\n"
    vm.klog.sync()
    assert line in vm.klog.text()
    vm.klog.allow("^BUG: ", reason="a line of the test's own")
    vm.klog.check()


@pytest.mark.parametrize(("kind", "words"), [("panic", "a panic on purpose"), ("sysrq", "sysrq triggered crash")])
def test_panic_under_a_command(kernel: Kernel, breaker: BuiltModule, kind: str, words: str) -> None:
    with VM(kernel, snapshot=True) as vm:
        vm.put(breaker.path, "/m.ko")
        begun = time.monotonic()
        with pytest.raises(Splat, match=words) as caught:
            vm.run("echo c >/proc/sysrq-trigger" if kind == "sysrq" else "insmod /m.ko kind=panic", timeout=100)
        assert time.monotonic() - begun < 90
        assert caught.value.splat_kind == "panic"
        with pytest.raises(Splat):
            vm.klog.check()


def test_command_that_hangs_in_the_kernel(kernel: Kernel, breaker: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        vm.put(breaker.path, "/m.ko")
        with pytest.raises(GuestTimeout, match=r"hangs in the kernel.*agent answers") as caught:
            vm.run("insmod /m.ko kind=hang", timeout=1)
        assert "about to do: hang" in caught.value.detail


def test_warning_is_found_by_the_check(kernel: Kernel, breaker: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        vm.klog.check()
        vm.insmod(breaker, kind="warn")
        with pytest.raises(Splat, match="WARNING") as caught:
            vm.klog.check()
        assert "a warning on purpose, number 42" in caught.value.detail
        vm.klog.allow("oops_init.c")
        vm.klog.check()
        vm.rmmod("oops_init")


def test_module_that_is_refused(vm: VM, breaker: BuiltModule) -> None:
    with pytest.raises(ModuleRefused, match="No such device") as caught:
        vm.insmod(breaker, kind="refuse")
    assert "about to do: refuse" in caught.value.detail
    vm.put(b"no elf at all", "/bad.ko")
    with pytest.raises(ModuleRefused):
        vm.rmmod("never_loaded")
