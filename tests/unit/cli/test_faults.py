# SPDX-License-Identifier: MIT
"""Errors of the operating system are reported with one cause and one remedy, and not as bugs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from r4l.cli import _failed
from r4l.cli.faults import ReaderGone, fault_of, reader_may_go
from r4l.errors import EnvironmentFault


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
