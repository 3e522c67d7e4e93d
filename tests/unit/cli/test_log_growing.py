# SPDX-License-Identifier: MIT
"""`r4l log` on a pipe that stays open, as of `dmesg -w`: complaints are shown while it is."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "klog/golden"
WARN = (GOLDEN / "crashers/warn.log").read_bytes()
OOPS = (GOLDEN / "crashers/oops.log").read_bytes()
LATER = b"[  999.000000] something else\n"
LIMIT = 60.0


class Reading:
    """A running `r4l log` whose standard input stays open."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "r4l", "log", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.shown = ""

    def write(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def until(self, words: str) -> str:
        """Return what was shown, once these words were."""
        assert self.process.stdout
        end = time.monotonic() + LIMIT
        while words not in self.shown:
            assert select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0], self.shown
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, self.shown
            self.shown += data.decode()
        return self.shown

    def end(self) -> tuple[str, int]:
        """Close the input; return what was shown in all, and the exit code."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.shown += self.process.stdout.read().decode()
        return self.shown, self.process.wait()


@pytest.fixture
def reading() -> Iterator[Callable[..., Reading]]:
    begun: list[Reading] = []

    def begin(*arguments: str) -> Reading:
        begun.append(Reading(*arguments))
        return begun[-1]

    yield begin
    for each in begun:
        each.process.kill()
        each.process.wait()
        for pipe in (each.process.stdin, each.process.stdout):
            assert pipe
            pipe.close()


def test_a_complaint_is_shown_while_the_log_goes_on(reading: Callable[..., Reading]) -> None:
    log = reading()
    log.write(WARN)
    shown = log.until("do_one_initcall")
    assert "! warning  the task went on" in shown
    assert "the log goes on" in shown
    log.write(LATER)
    log.write(OOPS)
    assert "→ crash::traps::null_dereference+" in log.until("null_dereference+")
    shown, code = log.end()
    assert code == 123
    assert shown.rstrip().endswith("standard input  2 complaints, 1 fatal")
    assert shown.count("! warning") == shown.count("✗ oops") == 1


def test_a_log_that_always_has_something_to_say(reading: Callable[..., Reading]) -> None:
    """No moment is idle."""
    log = reading()
    log.write(WARN)
    end = time.monotonic() + LIMIT
    number = 0
    assert log.process.stdout
    while not select.select([log.process.stdout], [], [], 0.05)[0]:
        number += 1
        log.write(b"[  999.%06d] chatter\n" % number)
        assert time.monotonic() < end
    assert "! warning" in log.until("do_one_initcall")
    assert log.end()[1] == 123


def test_a_pipe_that_ends_is_shown_like_a_file(reading: Callable[..., Reading]) -> None:
    log = reading()
    log.write(WARN)
    shown, code = log.end()
    assert code == 123
    assert shown.startswith("standard input  1 complaint\n\n! warning")
    assert "goes on" not in shown


def test_a_complaint_that_is_interrupted_is_shown(reading: Callable[..., Reading]) -> None:
    log = reading()
    log.write(LATER)
    log.until("the log goes on")
    log.write(b"".join(WARN.splitlines(keepends=True)[:-3]))
    log.write(b"[ 1000.000000] ")
    time.sleep(0.2)
    log.process.send_signal(signal.SIGINT)
    shown, code = log.end()
    assert "! warning" in shown
    assert "1 complaint" in shown
    assert code == 130


def test_json_is_one_list_at_the_end(reading: Callable[..., Reading]) -> None:
    log = reading("--json")
    log.write(WARN + LATER)
    assert log.process.stdout
    assert not select.select([log.process.stdout], [], [], 4.0)[0]
    log.write(OOPS)
    shown, code = log.end()
    assert [complaint["kind"] for complaint in json.loads(shown)[0]["complaints"]] == ["warning", "oops"]
    assert code == 123


def test_a_named_pipe(reading: Callable[..., Reading], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    log = reading(str(tmp_path / "pipe"))
    with (tmp_path / "pipe").open("wb") as pipe:
        pipe.write(WARN)
        pipe.flush()
        assert f"{tmp_path}/pipe  the log goes on" in log.until("do_one_initcall")
    assert log.end()[1] == 123


def test_nothing_is_an_empty_log() -> None:
    shown, code = Reading().end()
    assert ("! the log is empty" in shown, code) == (True, 0)
    later = Reading()
    later.write(b"\n")
    later.until("the log goes on")
    shown, code = later.end()
    assert ("! the log is empty" in shown, "✓" in shown, code) == (True, False, 0)


def test_a_pipe_that_does_not_wait_is_waited_for() -> None:
    """Regression: nothing yet was taken for the end."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    process = subprocess.Popen(
        [sys.executable, "-m", "r4l", "log"], stdin=reads, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    os.close(reads)
    with process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        os.write(writes, WARN)
        os.close(writes)
        shown = process.communicate(timeout=LIMIT)[0].decode()
    assert (process.returncode, "1 complaint" in shown) == (123, True)
