# SPDX-License-Identifier: MIT
"""`r4l watch` on a terminal, as a user has it: saves go in, verdicts come out."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from r4l import resources

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
LIMIT = 300.0
VERDICT = r"after the save \(.*\)"
OOPS = """
        // SAFETY: nothing makes this safe, it is the test's oops.
        unsafe { core::ptr::null_mut::<u32>().write_volatile(1) };
"""
HELLO = """
def test_hello(vm, module):
    vm.insmod(module)
    vm.klog.wait_for("Hello, world")
    vm.rmmod(module.name)
"""


class Watch:
    """The program on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "r4l", "watch", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.raw = ""
        self._told = 0

    def until(self, pattern: str) -> str:
        """Wait for a text; returns all that was shown since the last that was waited for, up to its end."""
        end = time.monotonic() + LIMIT
        while True:
            match = re.search(pattern, self.raw[self._told :])
            if match:
                shown = self.raw[self._told : self._told + match.end()]
                self._told += match.end()
                return shown
            ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {self.raw}"
            try:
                self.raw += os.read(self._ours, 1 << 16).decode(errors="replace")
            except OSError:
                raise AssertionError(f"it ended without {pattern!r}: {self.raw}") from None

    def verdict(self) -> str:
        """The next verdict, with all that was shown before it; without colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.until(VERDICT))

    def interrupt(self) -> int:
        """^C, as it is typed; returns the exit code."""
        os.write(self._ours, b"\x03")
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        try:
            while data := os.read(self._ours, 1 << 16):
                self.raw += data.decode(errors="replace")
        except OSError:
            pass  # EIO: nobody has the terminal open any more
        return self._process.wait(60)

    def close(self) -> None:
        """End it, however it is."""
        if self._process.poll() is None:
            self._process.terminate()
            self.wait()
        os.close(self._ours)


@pytest.fixture
def watch() -> Iterator[Callable[..., Watch]]:
    """Starts the program; it is gone after the test."""
    started: list[Watch] = []

    def start(*arguments: str) -> Watch:
        started.append(Watch(*arguments))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A driver's folder with a test."""
    shutil.copytree(resources.rust("drivers/hello"), tmp_path / "hello")
    (tmp_path / "hello/pytest.ini").write_text("[pytest]\n")
    (tmp_path / "hello/test_hello.py").write_text(HELLO)
    return tmp_path / "hello"


def save_by_rename(file: Path, text: str) -> None:
    """As vim does."""
    fresh = file.with_name("4913")
    fresh.write_text(text)
    fresh.rename(file)


def test_from_save_to_verdict(watch: Callable[..., Watch], folder: Path) -> None:
    source = folder / "hello.rs"
    good = source.read_text()
    watching = watch(str(folder))
    first = watching.verdict()
    assert "1 passed" in first
    assert "✓ passed" in first

    source.write_text(good.replace("Ok(Hello)", 'Ok("hello")'))
    shown = watching.verdict()
    assert "error[E0308]: mismatched types" in shown
    assert "hello.rs:22:" in shown
    assert "✗ does not build" in shown
    assert "\x1b[" in watching.raw.partition("mismatched types")[0].rpartition("error")[2], "rustc's own colours"

    save_by_rename(
        source, good.replace("#![forbid(unsafe_code)]", "").replace("        Ok(Hello)", f"{OOPS}        Ok(Hello)")
    )
    shown = watching.verdict()
    assert "NULL pointer dereference" in shown
    assert "4913" not in shown, "the editor's trial file is of no interest"
    assert "in init_module [hello]" in shown, "the place: rustc puts init into it"
    assert "✗ failed" in shown

    save_by_rename(source, good)
    assert "✓ passed" in watching.verdict()

    test = folder / "test_other.py"
    test.write_text("def test_nothing():\n    pass\n")
    shown = watching.verdict()
    assert "test_other.py" in shown
    assert "1 passed" in shown, "that file, and no other"

    test.write_bytes(b"\xff\xfe")
    assert "✗" in watching.verdict(), "a file that is no text"
    test.unlink()
    assert watching.interrupt() == 130


def test_a_save_in_the_middle_of_a_run_begins_anew(watch: Callable[..., Watch], folder: Path, tmp_path: Path) -> None:
    (folder / "test_hello.py").write_text(
        "import os, pathlib, time\n\n\ndef test_long(vm):\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}} {{vm.pid}}')\n    time.sleep(3600)\n"
    )
    watching = watch(str(folder))
    end = time.monotonic() + LIMIT
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        assert time.monotonic() < end, watching.raw
        time.sleep(0.1)
    pids = (tmp_path / "pid").read_text().split()
    (folder / "test_hello.py").write_text(HELLO)
    watching.until("begun anew")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "the run and its VM are gone"
    assert "1 passed" in watching.verdict()


def test_without_tests_the_module_is_loaded(watch: Callable[..., Watch], folder: Path) -> None:
    (folder / "test_hello.py").unlink()
    source = folder / "hello.rs"
    watching = watch(str(folder))
    shown = watching.verdict()
    assert "Hello, world" in shown
    assert "Goodbye" in shown
    assert "✓ passed" in shown
    source.write_text(source.read_text().replace("Ok(Hello)", "Err(EINVAL)"))
    shown = watching.verdict()
    assert "did not load hello.ko" in shown
    assert "✗ failed" in shown


def test_a_folder_that_is_removed_meanwhile(watch: Callable[..., Watch], folder: Path) -> None:
    watching = watch(str(folder))
    watching.verdict()
    (folder / "Kbuild").rename(folder / "Kbuild.away")
    (folder / "Makefile").unlink()
    assert "holds no module" in watching.verdict()
    shutil.rmtree(folder)
    assert watching.wait() == 2
    assert "is gone" in watching.raw


def test_a_folder_without_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "r4l", "watch", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "holds no module" in done.stderr
