# SPDX-License-Identifier: MIT
"""A machine that is booted once and restored."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from r4l import home
from r4l.errors import UsageError
from r4l.guest import CommandFailed
from r4l.kernel import Kernel
from r4l.klog import Splat
from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.rootfs import File
from r4l.vm import VM, snapshot

pytestmark = pytest.mark.vm


@pytest.fixture(autouse=True)
def own_states(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of the test's own, since other tests make states at the same time."""
    folder = home.room(f"snapshots-{os.getpid()}")
    monkeypatch.setattr("r4l.vm.snapshot.folder", lambda: folder)
    yield
    shutil.rmtree(folder)


def states() -> set[Path]:
    return set(snapshot.folder().glob("*.state"))


def test_twins_start_where_the_first_stood(kernel: Kernel, hello: BuiltModule) -> None:
    moments = []
    append = f"r4l.test={uuid4()}"
    for index in range(2):
        with VM(kernel, nics=[Nic("e1000")], snapshot=True, append=append) as vm:
            assert vm.run("cat /tmp/mine").exit_code == 1, "a fresh guest each time"
            vm.put(f"run {index}".encode(), "/tmp/mine")
            vm.insmod(hello)
            assert vm.run("cat /tmp/mine").stdout == f"run {index}"
            moments.append(vm.run("dmesg | grep Run./init").stdout)
            vm.klog.check()
            assert vm.poweroff() == 0
    assert moments[0] == moments[1] != "", "one boot, to the microsecond"


@pytest.mark.thorough
def test_another_machine_has_another_state(kernel: Kernel) -> None:
    before, mark = states(), uuid4()
    with VM(kernel, snapshot=True, append=f"r4l.test={mark}-one"):
        one = states() - before
    with VM(kernel, snapshot=True, append=f"r4l.test={mark}-two") as vm:
        assert f"r4l.test={mark}-two" in vm.run("cat /proc/cmdline").stdout
    assert len(one) == 1
    assert len(states() - before) == 2


@pytest.mark.thorough
@pytest.mark.parametrize("kept", [0, 24, 40_000_000])
def test_a_state_that_is_no_good_is_made_anew(kernel: Kernel, caplog: pytest.LogCaptureFixture, kept: int) -> None:
    before, append = states(), f"r4l.test={uuid4()}"
    with VM(kernel, snapshot=True, append=append):
        (state,) = states() - before
    with state.open("r+b") as file:
        file.truncate(kept)
    with VM(kernel, snapshot=True, append=append) as vm:
        assert vm.run("true").exit_code == 0
        assert vm.restored
    assert "was removed" in caplog.text
    assert state.stat().st_size > 40_000_000


@pytest.mark.thorough
def test_a_machine_as_booted_is_restored_with_its_boot(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    append, kept = f"r4l.test={uuid4()}", states()
    random = set()

    def machine() -> VM:
        return VM(kernel, nics=[Nic("e1000")], snapshot="as booted", append=append)

    for index in range(3):
        with machine() as vm:
            assert vm.restored == (index > 0)
            assert (vm.saved is not None) == vm.restored
            assert vm.run("cat /tmp/mine").exit_code == 1, "a fresh guest each time"
            vm.put(b"mine", "/tmp/mine")
            assert append in vm.klog.text()
            assert abs(float(vm.run("date +%s").stdout) - time.time()) < 5
            random.add(vm.run("head -c16 /dev/urandom | base64").stdout)
            vm.klog.check()
            vm.klog.sync()
            console = (vm.workdir / "console.log").read_text()
        assert console.count("Linux version") == 1
    assert len(random) == 3
    [state] = states() - kept
    with state.open("r+b") as file:
        file.truncate(40_000_000)
    with machine() as vm:
        assert not vm.restored
        assert vm.klog.text().count("Linux version") == 1
    assert "was removed" in caplog.text
    assert state.stat().st_size > 40_000_000


@pytest.mark.thorough
def test_a_machine_that_is_not_as_booted_leaves_no_state(kernel: Kernel) -> None:
    kept = states()
    first = File(COMPLAINS_AT_BOOT, 0o755)
    for _ in range(2):
        with pytest.raises(Splat, match="something at boot"):
            with VM(kernel, snapshot="as booted", files={"/first": first}, append="rdinit=/first") as vm:
                assert not vm.restored
    with VM(kernel, snapshot="as booted", devices=["edu"]) as vm:
        assert not vm.restored
    assert states() == kept


def test_a_disk_without_space_for_a_state(
    kernel: Kernel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = states()
    monkeypatch.setattr("r4l.vm.snapshot.NEEDED_MIB", 10**9)
    with VM(kernel, snapshot=True, append=f"r4l.test={uuid4()}", prepare=leave_a_mark) as vm:
        assert vm.run("cat /tmp/mark").stdout == "made once"
        assert not vm.restored
    assert "the machine boots each time" in caplog.text
    assert states() == before


def leave_a_mark(vm: VM) -> None:
    vm.put(b"made once", "/tmp/mark")


def with_hello(vm: VM, hello: BuiltModule) -> None:
    vm.insmod(hello)


@pytest.mark.thorough
def test_a_preparation_is_kept_and_made_anew_when_its_module_changes(
    kernel: Kernel, hello: BuiltModule, tmp_path: Path
) -> None:
    append, before = f"r4l.test={uuid4()}", states()
    for _ in range(2):
        with VM(kernel, snapshot=True, append=append, prepare=with_hello, prepare_with=[hello]) as vm:
            assert vm.restored
            assert "hello" in vm.run("lsmod").stdout
            vm.rmmod("hello")
    assert len(states() - before) == 1
    other = tmp_path / "hello.ko"
    # insmod takes what follows the module's own sections for a signature that is none: the kernel does not mind.
    other.write_bytes(hello.path.read_bytes() + bytes(8))
    changed = dataclasses.replace(hello, path=other)
    with VM(kernel, snapshot=True, append=append, prepare=with_hello, prepare_with=[changed]) as vm:
        assert "hello" in vm.run("lsmod").stdout
    assert len(states() - before) == 2


COMPLAINS_AT_BOOT = b"""#!/bin/sh
mount -t devtmpfs none /dev
echo '<4>BUG: something at boot' > /dev/kmsg
umount /dev
exec /init
"""


def test_what_the_kernel_complains_of_at_boot_is_said_and_keeps_no_state_back(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    first = File(COMPLAINS_AT_BOOT, 0o755)
    with VM(kernel, snapshot=True, files={"/first": first}, append="rdinit=/first") as vm:
        assert vm.restored
    assert "complained while it booted: BUG: something at boot" in caplog.text


def test_what_cannot_be_told_apart_prepares_nothing(kernel: Kernel) -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match=r"lock of the function around .* is a lock"):
        VM(kernel, snapshot=True, prepare=lambda vm: lock.acquire())
    with pytest.raises(UsageError, match="has no source file"):
        VM(kernel, prepare=len)


@pytest.mark.thorough
def test_two_preparations_of_a_loop_and_a_file_that_changes(kernel: Kernel, tmp_path: Path) -> None:
    append, before = f"r4l.test={uuid4()}", states()
    file = tmp_path / "word"

    def seen(n: int, text: str) -> str:
        file.write_text(text)
        with VM(kernel, snapshot=True, append=append, prepare=lambda vm, n=n: say(vm, n, file)) as vm:
            return vm.run("cat /tmp/said").stdout

    assert [seen(1, "a"), seen(2, "a"), seen(2, "b"), seen(1, "b")] == ["1 a", "2 a", "2 b", "1 b"]
    assert len(states() - before) == 2, "what is stale is made anew in its place"


def say(vm: VM, n: int, file: Path) -> None:
    vm.put(f"{n} {file.read_text()}".encode(), "/tmp/said")


@pytest.mark.thorough
def test_a_preparation_that_fails_is_told_and_keeps_nothing(kernel: Kernel) -> None:
    for preparation, error in ((fails, CommandFailed), (complains, Splat)):
        with pytest.raises(error), VM(kernel, snapshot=True, append=f"r4l.test={uuid4()}", prepare=preparation):
            pass
    assert states() == set()


def fails(vm: VM) -> None:
    vm.run("false", check=True)


def complains(vm: VM) -> None:
    vm.run("echo '<4>BUG: something that only this test says' > /dev/kmsg", check=True)


@pytest.mark.thorough
def test_a_preparation_that_lists_a_folder_and_one_that_runs_a_program(kernel: Kernel, tmp_path: Path) -> None:
    """Regression: a new file in a folder that the preparation listed went unnoticed."""
    append = f"r4l.test={uuid4()}"

    def seen() -> str:
        with VM(kernel, snapshot=True, append=append, prepare=lambda vm: put_all(vm, tmp_path)) as vm:
            return vm.run("ls /root/data").stdout

    (tmp_path / "a").touch()
    assert seen() == "a\n"
    (tmp_path / "b").touch()
    assert seen() == "a\nb\n"
    with pytest.raises(UsageError, match="another program"), VM(kernel, snapshot=True, prepare=runs_a_program):
        pass


def put_all(vm: VM, folder: Path) -> None:
    for file in folder.glob("*"):
        vm.put(file, f"/root/data/{file.name}")


def runs_a_program(vm: VM) -> None:
    vm.put(subprocess.run(["cat", __file__], capture_output=True, check=True).stdout, "/tmp/said")
