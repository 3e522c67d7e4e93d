# SPDX-License-Identifier: MIT
"""`r4l run` as a user types it: output, exit codes, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module

pytestmark = pytest.mark.vm

HELLO = str(resources.rust("drivers/hello"))
OOPS = Path(__file__).parents[1] / "fixtures/oops_init"
E1000 = str(resources.rust("drivers/e1000"))


def r4l(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "r4l", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_output_and_exit_code_are_those_of_the_command(kernel: Kernel) -> None:
    done = r4l("run", HELLO, "--", "echo to stdout; echo to stderr >&2; exit 7")
    assert done.returncode == 7
    assert done.stdout == "to stdout\n"
    assert "to stderr\n" in done.stderr
    assert "hello: Hello" in done.stderr, "what the module said while loading"


@pytest.mark.parametrize(
    ("command", "shown"),
    [("wc -c; echo over", "300000\nover\n"), ("head -c3; echo; echo over", "aaa\nover\n"), ("echo over", "over\n")],
    ids=["all of it", "a part", "nothing"],
)
def test_the_command_reads_what_is_piped_in(command: str, shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "r4l", "run", HELLO, "--", command],
        input=b"a" * 300_000,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == shown


def test_a_pipe_that_never_ends_does_not_keep_the_command() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a line\nand half")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "r4l", "run", HELLO, "--", "head -n1"],
            stdin=reading,
            stdout=subprocess.PIPE,
            timeout=60,
            check=True,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout == b"a line\n"


def test_what_is_shown_is_what_was_logged_meanwhile(tmp_path: Path) -> None:
    """A name of one letter occurs in most lines that a kernel prints at boot."""
    (tmp_path / "Kbuild").write_text("obj-m := i.o\n")
    hello = Path(HELLO, "hello.rs").read_text()
    (tmp_path / "i.rs").write_text(hello.replace('name: "hello"', 'name: "i"'))
    done = r4l("run", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "i: Hello" in done.stderr
    assert "Linux version" not in done.stderr


@pytest.mark.parametrize("form", ["folder", ".ko"])
def test_what_a_module_needs_of_the_kernel_is_loaded_before_it(kernel: Kernel, form: str) -> None:
    needs = Path(__file__).parents[1] / "fixtures/public/needs"
    [built] = Module(needs).build_all(kernel)
    done = r4l("run", str(needs if form == "folder" else built.path), "--", "lsmod")
    assert done.returncode == 0, done.stderr
    assert {"linkpeek", "mii", "net_failover", "failover"} <= {line.split()[0] for line in done.stdout.splitlines()}
    assert "loaded linkpeek on" in done.stderr
    assert "and of the kernel's own " in done.stderr


def test_json_has_everything(kernel: Kernel) -> None:
    done = r4l("run", HELLO, "--json", "--", "uname", "-r")
    data = json.loads(done.stdout)
    assert data["stdout"].strip() == data["kernel"] == kernel.release
    assert data["exit_code"] == 0
    assert any("Hello" in line for line in data["log"])


@pytest.mark.thorough
def test_a_machine_is_restored_unless_the_user_wants_a_boot() -> None:
    words = ("run", HELLO, "--append", f"r4l.test={uuid4()}", "--", "dmesg")
    first, again = r4l(*words), r4l(*words)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "restored" not in first.stderr
    assert "restored as it booted on" in again.stderr
    # The same boot, to the microsecond.
    assert again.stdout[:4000] == first.stdout[:4000] != ""
    booted = json.loads(r4l(*words[:4], "--boot", "--json").stdout)
    assert booted["restored"] is False
    assert any("Linux version" in line for line in booted["log"])


@pytest.mark.row("E4")
def test_packets_and_console_are_kept(tshark: Callable[..., list[list[str]]], tmp_path: Path) -> None:
    """One command builds, packs, boots and dumps; Wireshark's reader sees the exchange."""
    pcap, console = tmp_path / "out.pcap", tmp_path / "console.log"
    line = "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ping -c2 -W9 10.0.2.2"
    done = r4l("run", E1000, "--pcap", str(pcap), "--console", str(console), "--", line)
    assert done.returncode == 0, done.stderr
    seen = tshark(pcap, "icmp", "ip.src", "ip.dst", "icmp.type", "icmp.seq", "icmp.checksum.status")
    guest, gateway = "10.0.2.15", "10.0.2.2"
    exchange = [[(guest, gateway, "8", number), (gateway, guest, "0", number)] for number in ("0", "1")]
    assert sorted(seen) == sorted([*packet, "1"] for pair in exchange for packet in pair)
    assert "r4l_e1000" in console.read_text(errors="replace")


def test_a_module_of_another_kernel_is_refused_before_boot(kernel: Kernel, hello: BuiltModule, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.ko"
    foreign.write_bytes(hello.path.read_bytes().replace(b"vermagic=7.", b"vermagic=6."))
    begin = time.monotonic()
    done = r4l("run", str(foreign))
    assert done.returncode == 121
    assert "6." + kernel.vermagic[2:] in done.stderr
    assert kernel.vermagic in done.stderr
    assert "booting" not in done.stderr
    assert time.monotonic() - begin < 60


def test_a_kernel_that_complains_is_a_verdict(kernel: Kernel) -> None:
    fixture = str(Path(__file__).parents[1] / "fixtures/oops_init")
    done = r4l("run", fixture, "--param", "kind=warn", "--", "true")
    assert done.returncode == 123
    assert "a warning on purpose, number 42" in done.stderr


def test_a_command_that_never_ends(kernel: Kernel) -> None:
    done = r4l("run", HELLO, "--timeout", "2", "--", "echo begun; sleep 1000")
    assert done.returncode == 124
    assert "begun" in done.stdout


def test_a_wrong_parameter_is_a_usage_error(kernel: Kernel) -> None:
    assert r4l("run", HELLO, "--param", "nonsense").returncode == 2
    assert r4l("run", "no-such.ko").returncode == 2


IN_THE_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""Start of a job as by a shell without job control before an `&`."""


@pytest.mark.parametrize(
    ("number", "code", "by"),
    [
        (signal.SIGINT, 130, ()),
        pytest.param(signal.SIGTERM, 130, (), marks=pytest.mark.thorough),
        pytest.param(signal.SIGTERM, 130, IN_THE_BACKGROUND, marks=pytest.mark.thorough),
        (signal.SIGKILL, -9, ()),
    ],
    ids=["INT", "TERM", "TERM in the background", "KILL"],
)
def test_no_vm_survives_its_owner(
    kernel: Kernel, number: signal.Signals, code: int, by: tuple[str, ...], tmp_path: Path
) -> None:
    marker = f"r4l-test-{os.getpid()}-{number}-{len(by)}"
    with (tmp_path / "out").open("w+b") as out:
        owner = subprocess.Popen(
            [*by, sys.executable, "-m", "r4l", "run", HELLO, "--append", marker, "--", "echo ready; sleep 600"],
            stdout=out,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 180
        while b"ready" not in (tmp_path / "out").read_bytes() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert machines(marker), "the VM runs"
        owner.send_signal(number)
        assert owner.wait(60) == code
    deadline = time.monotonic() + 10
    while machines(marker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not machines(marker)


def machines(marker: str) -> list[str]:
    """Return the QEMU processes that boot with this word on the kernel's command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes()
        except OSError:
            continue
        if b"qemu-system" in words and marker.encode() in words:
            found.append(file.parent.name)
    return found


def test_shell_on_a_terminal(kernel: Kernel) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "r4l", "shell"], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    try:
        seen = b""
        while b"# " not in seen:
            seen += os.read(ours, 4096)
        os.write(ours, b"echo $((6 * 7)); exit 5\n")
        while b"42" not in seen:
            seen += os.read(ours, 4096)
        assert process.wait(60) == 5
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_shell_tells_at_its_end_what_the_kernel_complained_of(
    kernel: Kernel, on_terminal: Callable[..., Any]
) -> None:
    module = Module(OOPS).build(kernel)
    shell = on_terminal("shell", "--snapshot", "--put", f"{module.path}:/root/")
    shell.until("# ")
    shell.type(f"insmod /root/{module.path.name} kind=warn; exit\n")
    shell.until(r"(?s)the kernel complained \(warning\).*oops_init.*console.log")
    assert shell.wait() == 123
