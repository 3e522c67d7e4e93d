# SPDX-License-Identifier: MIT
"""Errors of the operating system are reported with one cause and one remedy, and not as bugs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from r4l.cli import _failed, _interrupted
from r4l.cli.faults import ReaderGone, fault_of, reader_may_go
from r4l.errors import EnvironmentFault
from r4l.stages import Stages


def r4l(*arguments: str, **rest: Any) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "r4l", *arguments]
    return subprocess.run(argv, stderr=subprocess.PIPE, text=True, check=False, **{"stdout": subprocess.PIPE, **rest})


def require_fault(done: subprocess.CompletedProcess[str], cause: str, remedy: str) -> None:
    assert done.returncode == 120, done.stderr
    assert cause in done.stderr
    assert f"remedy: {remedy}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug in r4l" not in done.stderr


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "toolchain").touch()
    done = r4l("kernel", "list", env={**os.environ, "R4L_HOME": str(tmp_path)})
    require_fault(done, f"cannot read or write {tmp_path}/toolchain: File exists", "set R4L_HOME to a folder")


def test_a_file_that_cannot_be_written_is_no_bug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "no/such/x.pcap").write_bytes(b"")
    assert _failed(caught.value) == 120
    said = capsys.readouterr().err
    assert f"cannot read or write {tmp_path}/no/such/x.pcap: No such file or directory" in said
    assert "remedy: check that the file exists" in said


def test_a_bug_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert _failed(ValueError("boo")) == 125
    assert "this is a bug in r4l" in capsys.readouterr().err
    assert fault_of(ConnectionResetError(104, "Connection reset by peer")) is None
    assert fault_of(RuntimeError("boo")) is None


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"], ["rows", "--json"], ["lab", "list"]])
def test_a_full_disk_behind_stdout(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = r4l(*arguments, stdout=full)
    require_fault(done, "cannot write: No space left on device", "free some space")


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"], ["lab", "list"], ["new", "--help"]])
def test_a_reader_that_has_gone_is_no_failure(arguments: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = r4l(*arguments, stdout=theirs)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")


def test_only_our_own_output_makes_a_lost_reader() -> None:
    with pytest.raises(ConnectionError, match="talks to"), reader_may_go():
        raise BrokenPipeError(32, "Broken pipe")
    with pytest.raises(SystemExit), reader_may_go():
        raise SystemExit(1)
    with pytest.raises(ReaderGone), reader_may_go():
        _end_as_rich_does()


def _end_as_rich_does() -> None:
    try:
        raise BrokenPipeError(32, "Broken pipe")
    except BrokenPipeError:
        raise SystemExit(1)  # noqa: B904 (nor does Rich name a cause)


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    # The shell removes it under its own feet.
    argv = ["sh", "-c", f"rmdir {tmp_path}/gone; exec {sys.executable} -m r4l new foo"]
    done = subprocess.run(argv, cwd=tmp_path / "gone", capture_output=True, text=True, check=False)
    require_fault(done, "the current folder no longer exists", "change to another folder with cd")


def test_no_home() -> None:
    done = r4l("kernel", "list", env={**os.environ, "R4L_HOME": "~no_such_user/x"})
    require_fault(done, "cannot determine home directory", "set HOME")
    with pytest.raises(RuntimeError) as caught:
        Path("~no_such_user").expanduser()
    assert isinstance(fault_of(caught.value), EnvironmentFault)


CLOSED = ("<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("words", ["completion bash", "log {log}", "build --nosuch"])
def test_streams_that_the_caller_has_closed(closed: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    command = f"exec {sys.executable} -m r4l {words.format(log=tmp_path / 'log')}"
    done, usual = (
        subprocess.run(["sh", "-c", f"{command} {how}"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        for how in (closed, "")
    )
    assert done.returncode == usual.returncode
    assert done.stdout == (b"" if ">&-" in closed.split() else usual.stdout)
    assert done.stderr == (b"" if "2>&-" in closed.split() else usual.stderr)


@pytest.mark.parametrize("words", ["log", "log -", "log - --json"])
def test_a_log_from_standard_input_that_is_closed(words: str) -> None:
    argv = ["sh", "-c", f"exec {sys.executable} -m r4l {words} <&-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pipe" in (json.loads(done.stdout)["remedy"] if "--json" in words else done.stderr)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["log", "/no/such"], 120), (["log", "--nosuch"], 2), (["build", "/"], 2), (["log", "/no/such", "{oops}"], 123)],
)
def test_a_full_disk_behind_stderr_leaves_the_exit_code(words: list[str], code: int) -> None:
    oops = str(Path(__file__).parents[1] / "klog/golden/crashers/oops.log")
    argv = [sys.executable, "-m", "r4l", *(word.format(oops=oops) for word in words)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.returncode == code


@pytest.mark.parametrize("words", [["build", "--kernel"], ["kernel", "build", "--kdir"], ["lab", "check", "--arch"]])
def test_an_option_without_its_value_is_an_error_of_json(words: list[str]) -> None:
    done = r4l(*words[:-1], "--json", words[-1])
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert "requires an argument" in said["cause"]
    assert said["remedy"] == f"see `r4l {' '.join(words[:-1])} --help`"


def test_an_interrupt_promises_to_continue_only_what_was_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stages, "begun", False)
    assert _interrupted() == 130
    assert capsys.readouterr().err == "interrupted\n"
    with Stages().stage("a stage"):
        assert _interrupted() == 130
    assert "the next run continues" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["build", "run", "ide", "debug", "bench", "watch", "graft --into .", "sweep"])
def test_a_link_that_leads_in_a_circle(words: str, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    done = r4l(*words.split(), "one", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "leads in a circle" in done.stderr
