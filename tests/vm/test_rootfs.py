# SPDX-License-Identifier: MIT
"""The initramfs: its content, and its effect on a booted machine."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from r4l.kernel import Kernel
from r4l.rootfs import File, Rootfs, cpio
from r4l.toolchain import Grant
from r4l.vm import VM

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def members(kernel: Kernel) -> dict[str, cpio.Member]:
    return {entry.name: entry for entry in Rootfs.build(kernel).entries()}


@pytest.fixture(scope="module")
def vm(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    extra = tmp_path_factory.mktemp("files")
    (extra / "sub").mkdir()
    (extra / "sub/tool").write_text("#!/bin/sh\necho tool says $1\n")
    (extra / "sub/tool").chmod(0o755)
    (extra / "link").symlink_to("sub/tool")
    with VM(kernel, modules=["9p"], files={"/opt/extra": extra, "/etc/motd": b"hi", "/x": File(b"", 0o600)}) as vm:
        yield vm


def interpreter(program: bytes) -> str | None:
    for segment in ELFFile(io.BytesIO(program)).iter_segments("PT_INTERP"):
        return bytes(segment.data()).decode().rstrip("\0")
    return None


def test_cpio_itself_lists_it(kernel: Kernel) -> None:
    archive = Rootfs.build(kernel).path.read_bytes()
    listed = kernel.toolchain.run(["cpio", "-itv"], Grant("test"), input=archive).stdout.decode()
    lines = {line.split()[-1]: line for line in listed.splitlines() if " -> " not in line}
    assert lines["dev/console"].startswith("crw")
    assert "5,   1" in lines["dev/console"]
    assert "1,   3" in lines["dev/null"]
    assert "bin/sh -> /bin/busybox" in listed


@pytest.mark.row("A18")
def test_busybox_is_static_and_applets_are_links_to_it(members: dict[str, cpio.Member], kernel: Kernel, vm: VM) -> None:
    assert interpreter(members["bin/busybox"].data) is None
    assert interpreter((kernel.toolchain.root / "usr/bin/make").read_bytes()) is not None  # what a dynamic one has
    for applet in ("bin/sh", "bin/ls", "sbin/modprobe", "sbin/ip", "bin/ping", "usr/bin/awk"):
        assert stat.S_ISLNK(members[applet].mode)
        assert members[applet].data == b"/bin/busybox"
    assert members["sbin/insmod"].data == b"/sbin/r4l-agent"
    # argv[0] decides: the same program under two names does two things.
    assert vm.run(["ln", "-s", "/bin/busybox", "/tmp/basename"]).ok
    assert vm.run(["/tmp/basename", "/a/b/c"]).stdout == "c\n"
    assert vm.run("exec -a dirname busybox /a/b/c || busybox dirname /a/b/c").stdout.endswith("/a/b\n")


@pytest.mark.row("A19")
def test_archive_has_folders_files_nodes_and_applets(members: dict[str, cpio.Member]) -> None:
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "dev", "etc", "proc", "sys", "tmp", "root", "lib/modules"):
        assert stat.S_ISDIR(members[folder].mode), folder
    for file in ("etc/passwd", "etc/group", "etc/fstab", "etc/inittab", "etc/init.d/rcS"):
        assert members[file].data, file
    for node, numbers in (("dev/console", (5, 1)), ("dev/null", (1, 3))):
        assert stat.S_ISCHR(members[node].mode)
        assert members[node].rdev == numbers
    assert b"root:" in members["etc/passwd"].data
    assert sum(stat.S_ISLNK(entry.mode) for entry in members.values()) > 250


@pytest.mark.row("A20")
def test_rcs_mounts_and_populates_dev(members: dict[str, cpio.Member], vm: VM) -> None:
    script = members["etc/init.d/rcS"].data.decode()
    assert "mdev -s" in script
    mounts = {line.split()[1]: line.split()[2] for line in vm.run("cat /proc/mounts").stdout.splitlines()}
    assert {"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"}.items() <= mounts.items()
    nodes = vm.run("ls -l /dev/null /dev/zero /dev/ttyS0 /dev/console", check=True).stdout
    assert nodes.count("\nc") + nodes.startswith("c") == 4
    assert vm.run("hostname").stdout == "r4l\n"
    # A scan, which ends, not a daemon.
    vm.run("while pidof mdev; do sleep 0.1; done", timeout=20, check=True)


@pytest.mark.row("A21")
def test_boots_to_a_shell_whose_prompt_answers(kernel: Kernel, tmp_path: Path) -> None:
    rootfs = Rootfs.build(kernel, console_shell=True)
    with VM(kernel, rootfs=rootfs, workdir=tmp_path) as vm:
        wait_for_text(vm, "~ #", "/ #")
        vm.console.write(b"echo $((6*7)) is the answer\n")
        vm.klog.wait_for("^42 is the answer")
    assert b"42 is the answer" in (tmp_path / "console.log").read_bytes()


def wait_for_text(vm: VM, *texts: str) -> None:
    import time

    until = time.monotonic() + 20
    # The kernel may go on with its log behind the prompt.
    while not any(text in vm.console.tail() + vm.console.unfinished for text in texts):
        assert time.monotonic() < until, vm.console.tail()
        time.sleep(0.05)


def test_modprobe_loads_a_module_with_all_it_needs(vm: VM) -> None:
    vm.run(["modprobe", "9p"], check=True)
    loaded = {line.split()[0] for line in vm.run("lsmod").stdout.splitlines()}
    assert {"9p", "9pnet", "netfs"} <= loaded


def test_what_is_built_in_counts_as_loaded(vm: VM) -> None:
    assert vm.run(["modprobe", "virtio_console"]).ok


def test_files_and_folders_of_the_user(vm: VM) -> None:
    assert vm.run(["/opt/extra/link", "hello"]).stdout == "tool says hello\n"
    assert vm.run(["cat", "/etc/motd"]).stdout == "hi"
    assert vm.run(["stat", "-c", "%a", "/x"]).stdout == "600\n"


def test_same_content_is_the_same_archive(kernel: Kernel) -> None:
    first, second = Rootfs.build(kernel), Rootfs.build(kernel)
    assert first == second
    assert Rootfs.build(kernel, files={"/a": b"1"}).key != Rootfs.build(kernel, files={"/a": b"2"}).key
