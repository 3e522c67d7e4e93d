# SPDX-License-Identifier: MIT
"""Fixtures shared by all tests."""

from __future__ import annotations

import fcntl
import gc
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest

from r4l import resources
from r4l.camp.demo.rig import NETWORK, Rig
from r4l.camp.labs.lab import Lab
from r4l.cli.called import COMMAND
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Nic
from r4l.testing import options
from r4l.toolchain import Grant
from r4l.vm import VM

# A job that a script starts in the background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What a test expects a user to be told does not depend on how the tests were called.
os.environ.pop(COMMAND, None)

# How long a test takes says nothing of what it tests, and the same commit shall have the same verdict each time.
hypothesis.settings.register_profile(
    "r4l", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("r4l")


@pytest.fixture
def no_finalizers() -> Iterator[None]:
    """For input so deep that the reader recurses to Python's limit: garbage of other tests that is collected there
    cannot run its finalizers, and pytest would blame this test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with r4l's wheel, which every user can read."""
    folder = tmp_path_factory.mktemp("wheels")
    source = folder / "source"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "build", "dist"))
    argv = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(argv, check=True)
    shutil.rmtree(source)
    return folder


@pytest.fixture(scope="session")
def hello(kernel: Kernel) -> BuiltModule:
    """The smallest Rust module, built for the kernel."""
    return Module(resources.rust("drivers/hello")).build(kernel)


@pytest.fixture(scope="session")
def e1000(kernel: Kernel, pytestconfig: pytest.Config) -> BuiltModule:
    """The driver for the e1000, built for the kernel: the Rust one, or the module named by `--r4l-module`."""
    return options.module(pytestconfig, resources.rust("drivers/e1000/tests"), kernel)


@pytest.fixture(scope="session")
def ask_the_machine() -> Callable[[Kernel, Sequence[Lab]], None]:
    """Check a lab's questions that have a command: its output on a kernel must be a right answer."""

    def ask(kernel: Kernel, labs: Sequence[Lab]) -> None:
        questions = [question for lab in labs for question in lab.questions if question.command]
        assert questions
        with VM(kernel, nics=[Nic("e1000")], snapshot=True) as vm:
            for question in questions:
                said = vm.run(question.command, check=True).stdout
                assert question.right(said), f"{question.id}: {said}"

    return ask


@pytest.fixture
def rig(kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> Iterator[Rig]:
    """A fresh VM with an e1000 on a user network and no driver loaded; afterwards its log must be clean."""
    with VM(kernel, nics=[Nic("e1000", options=NETWORK)], snapshot=True) as vm:
        rig = Rig(vm, kernel, hello, e1000)
        rig.begin()
        yield rig
        if vm.running:
            vm.klog.check()


@pytest.fixture
def loaded(rig: Rig) -> Rig:
    """The rig with the Rust driver loaded."""
    rig.load(rig.driver)
    return rig


@pytest.fixture
def online(loaded: Rig) -> Rig:
    """The rig with the driver loaded, an address and carrier."""
    loaded.up()
    return loaded


Tshark = Callable[..., list[list[str]]]


@pytest.fixture(scope="session")
def tshark(kernel: Kernel) -> Tshark:
    """Wireshark's reader: returns the packets of a capture that match a display filter, each as the values of some
    fields."""
    tools = kernel.toolchain.extended("wireshark")

    def read(pcap: Path, display_filter: str, *fields: str) -> list[list[str]]:
        wanted = [word for field in fields for word in ("-e", field)]
        argv: list[str | Path] = ["tshark", "-n", "-r", pcap, "-Y", display_filter, "-T", "fields", *wanted]
        output = tools.run(argv, Grant("test", reads=(pcap.parent,))).stdout.decode()
        return [line.split("\t") for line in output.splitlines()]

    return read


class OnTerminal:
    """The program r4l on a terminal of its own.

    Attributes:
        raw: all output so far.
    """

    LIMIT = 300.0
    """Seconds in which what is waited for must come: on a machine with other work, too."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "r4l", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.raw = ""
        self._told = 0

    def type(self, keys: str) -> None:
        r"""Type a text; ^C is `\x03`."""
        os.write(self._ours, keys.encode())

    def until(self, pattern: str) -> str:
        """Wait for a text; return the output from the end of the previous match to the end of this one."""
        end = time.monotonic() + self.LIMIT
        while not (match := re.search(pattern, self.raw[self._told :])):
            ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {self.raw[-4000:]!r}"
            assert self._read(), f"it ended without {pattern!r}: {self.raw[-4000:]!r}"
        shown = self.raw[self._told : self._told + match.end()]
        self._told += match.end()
        return shown

    def _read(self) -> bool:
        """Read output; return False at the end: EIO means that no process has the terminal open."""
        try:
            self.raw += os.read(self._ours, 1 << 16).decode(errors="replace")
        except OSError:
            return False
        return True

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        while self._read():
            pass
        return self._process.wait(self.LIMIT)

    def close(self) -> None:
        """End the program in any state."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)


@pytest.fixture
def on_terminal() -> Iterator[Callable[..., OnTerminal]]:
    """Starter of r4l on a terminal with the given arguments; the program is ended after the test."""
    started: list[OnTerminal] = []

    def start(*arguments: str) -> OnTerminal:
        started.append(OnTerminal(*arguments))
        return started[-1]

    yield start
    for program in started:
        program.close()
