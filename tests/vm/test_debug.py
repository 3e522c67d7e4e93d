# SPDX-License-Identifier: MIT
"""`r4l debug`: gdb on Rust drivers, in a script and on a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r4l import resources
from r4l.kernel import Kernel

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
HELLO = resources.rust("drivers/hello")
OOPS = Path(__file__).parents[1] / "fixtures/oops_init"
E1000 = resources.rust("drivers/e1000")


def debug(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "r4l", "debug", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def line_of(file: Path, text: str) -> int:
    """Return the number of the first line with a text."""
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def commands(*lines: str) -> list[str]:
    return [word for line in lines for word in ("--command", line)]


@pytest.mark.thorough
def test_the_init_of_a_module(kernel: Kernel) -> None:
    """The init is inlined into init_module, so no symbol has its name; gdb stops before any of it has run."""
    done = debug(
        str(HELLO),
        *("--arch", kernel.arch, "--break", "Hello::init", "--batch"),
        *commands("bt", "continue"),
        *("--", "dmesg | grep Hello; lsmod"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    stop, _, rest = done.stdout.partition("hit Breakpoint")
    line = line_of(HELLO / "hello.rs", "pr_info!")
    assert "Hello, world" not in stop
    assert re.search(rf"#0  hello::\{{impl#0\}}::init .* at \S*/hello\.rs:{line}\n", rest)
    assert re.search(r"#\d+ .*init_module \(\)", rest)
    assert re.search(r"#\d+ .*do_one_initcall \(\)", rest), "a name of the kernel's"
    assert "Hello, world, from Rust!" in rest, "the guest goes on"
    assert re.search(r"^hello ", rest, re.MULTILINE)


@pytest.mark.thorough
def test_what_a_module_needs_of_the_kernel_is_loaded_before_it() -> None:
    needs = Path(__file__).parents[1] / "fixtures/public/needs"
    done = debug(str(needs), *("--break", "reads", "--batch"), *commands("bt 1", "continue"), *("--", "lsmod"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"#0  .*reads .* at \S*/linkpeek\.c", done.stdout)
    assert re.search(r"^mii .* linkpeek", done.stdout, re.MULTILINE)


def test_a_function_of_a_driver_with_its_arguments(kernel: Kernel) -> None:
    up = "ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && ping -c1 -W9 10.0.2.2"
    done = debug(
        str(E1000),
        *("--break", "Nic::open", "--batch"),
        *commands("bt 2", "info args", "ptype self", "continue"),
        *("--", up),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = line_of(E1000 / "nic.rs", "let rings = self.make_rings(self.setup.ring_sizes())?;")
    assert re.search(rf"#0  .*::open \(self=0x[0-9a-f]+, dev=0x[0-9a-f]+\) at \S*/nic\.rs:{line}\n", done.stdout)
    assert "private.rs:" in done.stdout, "who calls it: the kit"
    assert re.search(r"^self = 0x[0-9a-f]+$", done.stdout, re.MULTILINE)
    assert "type = *mut main::nic::Nic" in done.stdout
    assert "1 packets received" in done.stdout, f"the guest does not work: {done.stdout}{done.stderr}"


@pytest.mark.thorough
def test_parameters_and_a_module_in_c(kernel: Kernel) -> None:
    done = debug(str(HELLO), "--param", "nonsense", "--batch")
    assert done.returncode == 2
    fixture = Path(__file__).parents[1] / "fixtures/oops_init"
    done = debug(str(fixture), "--param", "kind=warn", "--break", "crash_init", "--batch", *commands("print kind"))
    assert done.returncode == 123, "the kernel warns, as the parameter says"
    assert '"warn"' in done.stdout


@pytest.mark.thorough
def test_what_is_not_there(kernel: Kernel, tmp_path: Path) -> None:
    done = debug(str(HELLO), "--break", "Goodbye::init", "--batch")
    assert done.returncode == 2
    assert "no function Goodbye::init; it has <hello::Hello as kernel::module::Module>::init" in " ".join(
        done.stderr.split()
    )
    assert debug(str(tmp_path), "--batch").returncode == 2
    failing = debug(str(HELLO), "--batch", *commands("print no_such_thing"))
    assert failing.returncode == 123


@pytest.mark.thorough
def test_a_complaint_of_the_kernel_is_told_at_the_end(kernel: Kernel) -> None:
    done = debug(str(OOPS), "--batch", "--param", "kind=warn", *commands("continue"), "--", "true")
    assert done.returncode == 123
    assert "the kernel complained (warning)" in done.stderr
    assert "console.log" in done.stderr


@pytest.mark.thorough
def test_on_a_terminal(kernel: Kernel, on_terminal: Callable[..., Any]) -> None:
    marker = f"r4l-debug-{os.getpid()}"
    gdb = on_terminal("debug", str(HELLO), "--append", marker, "--", "echo the guest works")
    gdb.until("hello is in memory")
    gdb.until(r"\(gdb\) ")
    gdb.type("break hello.rs:21\n")
    gdb.until("Breakpoint 1 at")
    gdb.type("continue\n")
    gdb.until("hit Breakpoint 1")
    gdb.type("continue\n")
    gdb.until("the guest works")
    gdb.type("\x03")
    gdb.until("SIGINT")
    gdb.until(r"\(gdb\) ")
    gdb.type("quit\n")
    assert gdb.wait() == 0
    machines = [file for file in Path("/proc").glob("[0-9]*/cmdline") if marker.encode() in _words(file)]
    assert not machines, "gdb leaving ends the VM"


def _words(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
