# SPDX-License-Identifier: MIT
"""Starting processes, reading the console, work folders, all without QEMU."""

from __future__ import annotations

import errno
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.unit.unhandled import unhandled

from r4l.vm import accel, workdirs
from r4l.vm.accel import choose
from r4l.vm.console import SerialConsole
from r4l.vm.qemu import returncode_text
from r4l.vm.spawn import spawn

HOLDER = "import sys, pathlib; from r4l import inuse; print(inuse.hold(pathlib.Path(sys.argv[1])), flush=True); input()"
WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "sleep", "1000"]


def test_what_a_worker_thread_started_lives_on_after_it(tmp_path: Path) -> None:
    started = []

    def work() -> None:
        started.append(spawn(WITH_PARENT, log=tmp_path / "log"))
        time.sleep(0.5)  # until setpriv has asked for the signal

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    time.sleep(0.3)
    (process,) = started
    assert process.poll() is None
    process.kill()
    process.wait()


def test_spawning_works_in_a_forked_child(tmp_path: Path) -> None:
    spawn(["true"], log=tmp_path / "log").wait()
    child = os.fork()
    if child == 0:
        # A child that hangs is ended by the test's time-out.
        os._exit(spawn(["true"], log=tmp_path / "log").wait())
    assert os.waitpid(child, 0)[1] == 0


def test_missing_program_and_output_in_the_log(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        spawn(["/no/such/program"], log=tmp_path / "log")
    spawn(["sh", "-c", "echo out; echo err >&2"], log=tmp_path / "log").wait()
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_console_is_logged_whole_and_watched_by_lines(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    lines: list[str] = []
    ended = threading.Event()
    console = SerialConsole(ours, tmp_path / "console.log", lines.append, ended.set, unhandled)
    theirs.sendall(b"one\r\ntwo\xff\n/ # ")
    until = time.monotonic() + 5
    while console.unfinished != "/ # " and time.monotonic() < until:
        time.sleep(0.01)
    console.write(b"typed")
    assert theirs.recv(10) == b"typed"
    assert console.tail(1) == "/ # "
    theirs.close()
    assert ended.wait(5)
    assert lines == ["one\r", "two\ufffd", "/ # "]
    assert (tmp_path / "console.log").read_bytes() == b"one\r\ntwo\xff\n/ # "
    console.close()


def test_a_console_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    """Regression: the thread ended on a full disk, and nothing of the kernel's log arrived any more."""
    ours, theirs = socket.socketpair()
    failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    console = SerialConsole(ours, Path("/dev/full"), lambda _: None, lambda: None, failures.put)
    theirs.sendall(b"one\n")
    error = failures.get(timeout=10)
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    theirs.close()
    console.close()


def test_a_line_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def fail(line: str) -> None:
        raise ValueError(line)

    console = SerialConsole(ours, tmp_path / "console.log", fail, lambda: None, failures.put)
    theirs.sendall(b"one\n")
    assert str(failures.get(timeout=10)) == "one"
    theirs.close()
    console.close()


def test_console_log_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r4l.vm.console.LOG_LIMIT", 100_000)
    ours, theirs = socket.socketpair()
    ended = threading.Event()
    console = SerialConsole(ours, tmp_path / "console.log", lambda _line: None, ended.set, unhandled)
    for _ in range(100):
        theirs.sendall(b"x" * 9999 + b"\n")
    theirs.close()
    assert ended.wait(10)
    assert console.received == 1_000_000
    assert 100_000 <= (tmp_path / "console.log").stat().st_size < 400_000
    console.close()


def test_work_folders_of_the_dead_are_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    runs = tmp_path / "runs"
    mine = runs / f"20200101-000000-{os.getpid()}-aaaa"
    mine.mkdir(parents=True)
    for number in range(30):
        (runs / f"20210101-0000{number:02}-99999999-aaaa").mkdir()
    used = runs / "20200102-000000-99999999-aaaa"
    used.mkdir()
    # Its process is in another namespace of pids.
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"True\n"
        fresh = workdirs.make(None)
        assert used.exists()
        other.communicate(b"\n")
    fresh = workdirs.make(None)
    assert not used.exists()
    names = {path.name for path in runs.iterdir()}
    assert {mine.name, fresh.name} <= names
    assert len(names) == workdirs.KEPT + 2


def test_another_boot_begins_with_logs_of_its_own(tmp_path: Path) -> None:
    """Regression: the state that a second boot left behind had the first one's crash in its log, and each machine
    restored from it complained of that."""
    for name in workdirs.LOGS:
        (tmp_path / name).write_text("the first boot's")
    workdirs.begin_again(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["console.1.log", "qemu.1.log", "qmp.1.log"]
    workdirs.begin_again(tmp_path)
    assert workdirs.make(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_work_folder_used_again_begins_with_empty_logs(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_text("old")
    assert workdirs.make(tmp_path) == tmp_path
    assert not (tmp_path / "console.log").exists()


@pytest.mark.parametrize(
    ("code", "words"), [(1, "exit code 1"), (-9, "killed by SIGKILL"), (137, "killed by SIGKILL"), (134, "SIGABRT")]
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert words in returncode_text(code)


def test_no_kvm_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("R4L_ACCEL", raising=False)
    kernel = None  # not looked at
    monkeypatch.setattr(accel, "DEVICE", tmp_path / "kvm")
    assert choose(kernel).reason == "there is no /dev/kvm"  # type: ignore[arg-type]
    (tmp_path / "kvm").write_bytes(b"")
    assert "does not answer" in choose(kernel).reason  # type: ignore[arg-type]


def test_the_users_word_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_ACCEL", "kvm")
    assert choose(None).name == "kvm"  # type: ignore[arg-type]
    assert choose(None, "tcg").name == "tcg"  # type: ignore[arg-type]
