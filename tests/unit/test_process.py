# SPDX-License-Identifier: MIT
"""Long-running programs: logs, failures, full disks, ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r4l.errors import BuildError, EnvironmentFault, R4LError
from r4l.process import run_logged


def broken(code: int, tail: str) -> R4LError:
    return BuildError(f"it ended with {code}", detail=tail)


def test_output_goes_to_the_log_and_line_by_line_to_the_caller(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "logs/x.log"
    assert run_logged(["sh", "-c", "echo one; echo two >&2"], log, broken, say=lines.append) == "one\ntwo"
    assert lines == ["one", "two"]
    assert log.read_text().splitlines()[1:] == ["one", "two"]


def test_a_failure_has_the_last_lines_and_the_log(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="it ended with 3") as caught:
        run_logged(["sh", "-c", "seq 100; exit 3"], tmp_path / "x.log", broken)
    assert caught.value.detail.splitlines()[-1] == "100"
    assert len(caught.value.detail.splitlines()) == 25
    assert caught.value.log == tmp_path / "x.log"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("bound", ["size=1m", "nr_inodes=2"])
def test_a_full_disk_is_named_as_such(bound: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", bound, "none", str(small)], check=True)
    script = f"head -c 3000000 /dev/zero > {small}/a && touch {small}/b"
    try:
        with pytest.raises(EnvironmentFault, match="the disk is full"):
            run_logged(["sh", "-c", script], tmp_path / "x.log", broken, folders=[small])
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_words_alone_fill_no_disk(tmp_path: Path) -> None:
    """Regression: a student whose source prints them was not judged."""
    script = "echo 'error: No space left on device'; head -c 100000 /dev/zero > /dev/full"
    with pytest.raises(BuildError, match="it ended with 1"):
        run_logged(["sh", "-c", script], tmp_path / "x.log", broken, folders=[tmp_path])


@pytest.mark.parametrize("words", ["Killed", "rustc (signal: 9, SIGKILL: kill)", "make: *** [x.o] Error 137"])
def test_words_alone_kill_no_program(words: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="it ended with 1"):
        run_logged(["sh", "-c", f"echo '{words}'; exit 1"], tmp_path / "x.log", broken)


def test_a_program_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="no-such-program is not installed"):
        run_logged(["no-such-program"], tmp_path / "x.log", broken)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_we_started_ends_with_us(tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "import sys; from pathlib import Path; from r4l.process import run_logged\n"
        "run_logged(['sh', '-c', 'echo $$; exec sleep 60'], Path(sys.argv[1]), lambda c, t: SystemExit(1), say=print)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-u", "-c", script, str(tmp_path / "x.log")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    owner.send_signal(number)
    owner.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{child}").exists():
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()


def test_colours_are_for_whoever_shows_them(tmp_path: Path) -> None:
    lines: list[str] = []
    log = tmp_path / "x.log"
    script = r"test -t 1 && printf '\033[1;31mred\033[0m\nplain\nno end'"
    printed = run_logged(["sh", "-c", script], log, broken, say=lines.append, color=True)
    assert lines == ["\x1b[1;31mred\x1b[0m", "plain", "no end"]
    assert printed == "red\nplain\nno end"
    assert log.read_text().splitlines()[1:] == ["red", "plain", "no end"]
