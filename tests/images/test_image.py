# SPDX-License-Identifier: MIT
"""A complete Debian as the guest: systemd from a disk image, ssh by a forwarded port, the agent as usual."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from r4l import home, resources
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.rootfs.disk import DiskImage
from r4l.rootfs.ssh_keys import Keys
from r4l.toolchain import Grant
from r4l.vm import VM, InitDied
from r4l.vm.ssh import Ssh

# The image is made on first use: a minute or two, with the network.
pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def image(kernel: Kernel) -> DiskImage:
    """The image, made first if missing."""
    return DiskImage.get("debian", kernel.toolchain)


@pytest.fixture(scope="module")
def debian(kernel: Kernel, image: DiskImage) -> Iterator[VM]:
    """A Debian shared by the tests of this file; none of them may break it."""
    with VM(kernel, image=image, nics=[Nic("e1000")]) as vm:
        yield vm
        vm.klog.check()


def text(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout.decode()


@pytest.mark.row("B5")
def test_module_copied_by_scp_and_its_line_in_dmesg_over_ssh(debian: VM, hello: BuiltModule) -> None:
    assert debian.image is not None
    assert debian.image.path.read_bytes()[:4] == b"QFI\xfb", "a qcow2"
    assert "Debian GNU/Linux" in text(debian.ssh.run("cat /etc/os-release"))
    assert text(debian.ssh.run("cat /proc/1/comm")) == "systemd\n"
    assert text(debian.ssh.run("uname -r")).strip() == debian.kernel.release
    before = text(debian.ssh.run("dmesg"))
    text(debian.ssh.scp(hello.path, "/root/hello.ko"))
    text(debian.ssh.run("insmod /root/hello.ko"))
    fresh = text(debian.ssh.run("dmesg"))[len(before) :]
    assert "hello: Hello" in fresh
    text(debian.ssh.run(f"rmmod {hello.name}"))
    assert hello.name not in text(debian.ssh.run("lsmod"))


def test_ssh_keeps_exit_code_streams_and_bytes(debian: VM) -> None:
    done = debian.ssh.run("printf '\\000\\377\\n'; echo wrong >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\x00\xff\n", b"wrong\n")


def test_agent_serves_as_in_the_small_guest(debian: VM, hello: BuiltModule) -> None:
    done = debian.run("echo out; echo err >&2; exit 5")
    assert (done.exit_code, done.stdout, done.stderr) == (5, "out\n", "err\n")
    since = debian.klog.mark()
    debian.insmod(hello)
    debian.rmmod(hello.name)
    debian.klog.sync()
    assert "hello: Hello" in debian.klog.text(since)


def test_every_service_runs(debian: VM) -> None:
    # Waits for the end of the boot; `degraded` would name a failed unit below.
    state = debian.run("systemctl is-system-running --wait", timeout=120).stdout.strip()
    assert state == "running", debian.run("systemctl --failed").stdout


def test_no_driver_takes_the_card_under_test_and_its_name_is_the_usual_one(debian: VM, e1000: BuiltModule) -> None:
    names = debian.run("ls /sys/class/net").stdout.split()
    assert sorted(names) == ["lo", "mgmt0"], "nothing but ssh's own card has a driver"
    debian.insmod(e1000)
    try:
        line = "ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && ping -c2 -W9 10.0.2.2"
        done = debian.run(line, timeout=60)
        assert "2 received" in done.stdout, done
        assert text(debian.ssh.run("cat /sys/class/net/eth0/device/driver/module/drivers/*/uevent; echo ok")) == "ok\n"
    finally:
        debian.rmmod(e1000.name)


def test_all_modules_of_the_kernel_are_there(debian: VM) -> None:
    done = debian.run("modprobe dummy && modinfo -F filename dummy && rmmod dummy")
    assert f"/lib/modules/{debian.kernel.release}/kernel/drivers/net/dummy.ko" in done.stdout, done


def test_sshd_takes_no_other_key_and_no_password(debian: VM, tmp_path: Path) -> None:
    tools = debian.kernel.toolchain.extended("image")
    known = debian.ssh.config.read_text()
    stranger = tmp_path / "stranger"
    tools.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], Grant("test", writes=(tmp_path,), named=True)
    )
    assert debian.image is not None
    config = tmp_path / "config"
    config.write_text(known.replace(str(debian.image.keys.identity), str(stranger)))
    done = dataclasses.replace(debian.ssh, config=config).run("true")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


def test_guest_has_our_host_key_and_no_other(debian: VM) -> None:
    assert debian.image is not None
    names = debian.run("cd /etc/ssh && ls ssh_host_*").stdout.split()
    assert names == ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]
    lines = debian.run("cat /etc/ssh/ssh_host_ed25519_key.pub; ssh-keygen -yf /etc/ssh/ssh_host_ed25519_key").stdout
    said, meant = (line.split()[1] for line in lines.splitlines())
    assert said == meant == debian.image.keys.known_hosts.read_text().split()[2]


def test_another_host_at_that_port_is_not_trusted(debian: VM, tmp_path: Path) -> None:
    assert debian.image is not None
    keys = Keys(tmp_path)
    for name in ("id_ed25519", "id_ed25519.pub"):
        (tmp_path / name).write_bytes((debian.image.keys.folder / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    user = (tmp_path / "id_ed25519.pub").read_text()
    keys.known_hosts.write_text(f"r4l-guest {user}")
    door = Ssh.open(debian.ssh.port, keys, tmp_path, debian.kernel.toolchain.extended("image"))
    done = door.run("true")
    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr


def test_only_loopback_listens(debian: VM) -> None:
    port = f":{debian.ssh.port:04X} "
    listening = [line for line in Path("/proc/net/tcp").read_text().splitlines() if port in line.split(" 0A ")[0]]
    assert [line.split()[1] for line in listening if line.split()[3] == "0A"] == [f"0100007F{port.strip()}"]
    assert port not in Path("/proc/net/tcp6").read_text()


def test_console_is_a_shell_of_root(debian: VM) -> None:
    since = debian.klog.mark()
    debian.console.write(b"echo $USER-$(tty)-$((6*7))\n")
    debian.klog.wait_for("root-/dev/ttyS0-42", 60, since)


def test_parallel_machines_share_one_image_and_change_nothing_in_it(
    debian: VM, kernel: Kernel, image: DiskImage
) -> None:
    before = hashlib.sha256(image.path.read_bytes()).digest()
    debian.run("echo first > /etc/mine && sync", check=True)
    with VM(kernel, image=image) as second:
        assert second.run("cat /etc/mine").exit_code != 0
        second.run("dd if=/dev/zero of=/root/big bs=1M count=64 && sync", check=True, timeout=120)
        assert second.ssh.port != debian.ssh.port
        assert second.run("cat /etc/machine-id").stdout != debian.run("cat /etc/machine-id").stdout
        names = {path.name for path in second.workdir.iterdir()}
        assert names == {"console.log", "qmp.log", "qemu.log", "ssh_config"}, "the guest's writes have no name"
        assert second.poweroff(timeout=120) == 0
    assert hashlib.sha256(image.path.read_bytes()).digest() == before


def test_what_excludes_each_other_is_refused(kernel: Kernel, image: DiskImage) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        VM(kernel, image=image, files={"/x": b""})
    with pytest.raises(UsageError, match="cannot start from a snapshot"):
        VM(kernel, image=image, snapshot=True)
    with pytest.raises(UsageError, match="has no module no_such_module"):
        VM(kernel, image=image, modules=["no_such_module"])


def test_first_stage_says_what_it_misses(kernel: Kernel, image: DiskImage) -> None:
    vm = VM(kernel, image=image)
    vm.machine = dataclasses.replace(vm.machine, drives=())
    with pytest.raises(InitDied) as caught:
        vm.start()
    assert "the kernel shows no disk with the root file system" in caught.value.detail


def test_initramfs_has_no_ssh(kernel: Kernel) -> None:
    with VM(kernel) as vm:
        with pytest.raises(UsageError, match="no sshd in an initramfs"):
            _ = vm.ssh


def r4l(*arguments: str, wrapper: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    argv = [*wrapper, sys.executable, "-m", "r4l", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.row("B5")
def test_run_on_the_command_line_gives_a_verdict(image: DiskImage) -> None:
    broken = str(Path(__file__).parents[1] / "fixtures/oops_init")
    done = r4l("run", "--image", "debian", broken, "--param", "kind=warn", "--", "cat /etc/debian_version")
    assert done.returncode == 123, (done.stdout, done.stderr)
    assert done.stdout.startswith("13")
    assert "a warning on purpose, number 42" in done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("ssh:"))
    assert line.split()[-1] == "guest"
    # The machine is gone with the command; its log stays as evidence of the complaint.
    config = Path(line.split()[-2])
    port = int(next(words[1] for words in map(str.split, config.read_text().splitlines()) if words[0] == "Port"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
    assert (config.parent / "console.log").exists()


def test_full_disk_of_the_host_ends_the_wait_with_its_cause(image: DiskImage) -> None:
    # The folder of runs as a small disk, which nobody outside this command sees.
    small = f'mount -t tmpfs -o size=32m small {shlex.quote(str(home.room("runs")))} && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    wrapper = ["unshare", *user, "--mount", "sh", "-c", small, "sh"]
    command = "dd if=/dev/zero of=/root/big bs=1M count=64 conv=fsync"
    hello = str(resources.rust("drivers/hello"))
    done = r4l("run", "--image", "debian", hello, "--timeout", "0", "--", command, wrapper=wrapper)
    assert done.returncode == 120, (done.stdout, done.stderr)
    assert "hello: Hello" in done.stderr
    # Whoever notices it first: the guest's disk, or the capture, for which some space must be left.
    assert re.search("is full: the guest cannot write to its disk|environment: the disk is full", done.stderr), (
        done.stderr
    )
    assert "remedy: free some space" in done.stderr


def test_ssh_port_without_an_image() -> None:
    done = r4l("run", "--ssh-port", "2222", str(resources.rust("drivers/hello")))
    assert done.returncode == 2
    assert "add --image debian" in done.stderr
