# SPDX-License-Identifier: MIT
"""Devices, files and folders that a user gives to a machine."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.vm import VM, Share

pytestmark = pytest.mark.vm


def r4l(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "r4l", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_a_device_a_disk_files_and_folders(kernel: Kernel, tmp_path: Path) -> None:
    """All of it in one run. `edu` is 1234:11e8 (QEMU's docs/specs/edu.rst)."""
    disk, folder = tmp_path / "disk, one.img", tmp_path / "a, b"
    disk.write_bytes(b"of the host".ljust(1 << 20, b"\0"))
    (folder / "below").mkdir(parents=True)
    (folder / "below/file").write_text("below\n")
    (folder / "link").symlink_to("below/file")
    (folder / "program").write_text("#!/bin/sh\necho runs\n")
    (folder / "program").chmod(0o755)
    (tmp_path / "beside").touch()
    named = str(disk).replace(",", ",,")
    done = r4l(
        "run", "--arch", kernel.arch, "--kernel", kernel.release,
        "--device", "edu", "--device", '{"driver": "nvme", "drive": "d", "serial": "1"}',
        "--qemu", f"-drive 'file={named},if=none,id=d,format=raw'",
        "--put", f"{folder}:/root/copy", "--put", f"{folder}/program:/root/bin/", "--share", f"{folder}:/ro",
        "--", """cd /sys/bus/pci/devices; grep -l 0x11e8 */device | wc -l; grep -l 0x010802 */class | wc -l
        /root/bin/program; cat /root/copy/link; readlink /root/copy/link; cat /ro/link
        touch /ro/new 2>/dev/null || echo read-only; ls -a /ro /ro/.. | grep beside || echo nothing beside""",
    )  # fmt: skip
    assert done.stdout.split("\n") == [
        "1",
        "1",
        "runs",
        "below",
        "below/file",
        "below",
        "read-only",
        "nothing beside",
        "",
    ]
    assert done.returncode == 0, done.stderr


def test_a_folder_is_shared_with_a_restored_guest_both_ways(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "host").write_text("one\n")
    with VM(kernel, shares=[Share(tmp_path, "/a b"), Share(tmp_path, "/rw", writable=True)], snapshot=True) as vm:
        assert vm.restored
        assert vm.run("cat '/a b/host'", check=True).stdout == "one\n"
        (tmp_path / "host").write_text("two, and longer\n")
        assert vm.run("cat '/a b/host'", check=True).stdout == "two, and longer\n"
        vm.run("cp /bin/busybox /rw/made; echo guest >> /rw/host", check=True)
        assert vm.run("touch '/a b/host'").exit_code != 0
        assert (tmp_path / "host").read_text() == "two, and longer\nguest\n"
        # The guest may make what it likes there; it is the host's user who owns that.
        assert (tmp_path / "made").stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    ("devices", "extra", "words"),
    [
        (["ed"], [], ["'ed'", "edu"]),
        (["edu,dma=1"], [], ["dma_mask"]),
        (["usb-kbd"], [], ["usb-bus", "qemu-xhci"]),
        ([], ["-drive", "file=disk.img"], ["absolute path"]),
        ([], ["-no-such-option"], ["-no-such-option"]),
        ([], ["-m"], ["-m", "requires an argument"]),
    ],
)
def test_a_word_that_qemu_does_not_take(kernel: Kernel, devices: list[str], extra: list[str], words: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        VM(kernel, devices=devices, extra=extra).start()
    assert all(word in str(refused.value) for word in words), refused.value


def test_the_devices_can_be_asked_for(kernel: Kernel) -> None:
    assert 'name "edu", bus PCI' in r4l("run", "--arch", kernel.arch, "--device", "help").stdout
    assert "dma_mask=" in r4l("shell", "--device", "edu,help", "--arch", kernel.arch).stdout
    refused = r4l("run", "--device", "ed,help")
    assert refused.returncode == 2
    assert "did you mean edu?" in refused.stderr


def test_the_command_line_that_is_shown_can_be_pasted(kernel: Kernel, tmp_path: Path) -> None:
    """The machine that a shell starts from it prints the kernel's log on the terminal, and ^A x ends it."""
    vm = VM(kernel, devices=["edu"], shares=[Share(tmp_path, "/mnt")], append="pasted='a b'")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", vm.command_line], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        seen = b""
        while b"Command line:" not in seen:
            seen += os.read(ours, 4096)
        while b"\n" not in seen.partition(b"Command line:")[2]:
            seen += os.read(ours, 4096)
        assert b"pasted='a b'" in seen
        os.write(ours, b"\x01x")
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
