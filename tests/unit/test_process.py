# SPDX-License-Identifier: MIT
"""Long-running programs: logs, failures, full disks, ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r4l import process
from r4l.errors import BuildError, EnvironmentFault, R4LError
from r4l.process import run_here, run_logged


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


def test_a_program_that_does_not_end_is_killed_in_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "TOGETHER", 0.1)
    monkeypatch.setattr(process, "PATIENCE", 0.5)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    # It interrupts us as soon as it is deaf to us.
    script = "trap '' INT; echo $$ > pid; kill -INT $PPID; while :; do sleep 0.1; done"
    with pytest.raises(KeyboardInterrupt):
        run_here(["sh", "-c", script], tmp_path)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_exit_code_of_a_program_in_our_terminal(tmp_path: Path) -> None:
    assert run_here(["sh", "-c", "exit 3"], tmp_path) == 3


SOURCES = Path(process.__file__).parent
PYTEST = {"cli/test.py", "cli/rows.py", "camp/labs/running.py"}
"""Files that start pytest, in the folder of the tests."""


def test_python_is_started_without_the_current_folder() -> None:
    """Regression: the launcher and `r4l run --keep` imported modules of the folder that they were called in."""
    begun = re.compile(r"""sys\.executable,\s*["']-[mc]["']""")
    files = {file.relative_to(SOURCES).as_posix(): file.read_text(encoding="utf-8") for file in SOURCES.rglob("*.py")}
    assert {name for name, text in files.items() if begun.search(text)} == PYTEST


def test_pythons_that_a_library_starts_leave_the_current_folder_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("print('hostile')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    argv = [sys.executable, "-c", "import click"]
    with process.safe_path():
        assert subprocess.run(argv, capture_output=True, check=True).stdout == b""
    assert "PYTHONSAFEPATH" not in os.environ
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b"hostile\n"


def test_the_users_own_safe_path_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    with process.safe_path():
        pass
    assert os.environ["PYTHONSAFEPATH"] == "1"
