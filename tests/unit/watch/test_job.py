# SPDX-License-Identifier: MIT
"""Runs in a child of their own, without a build and a machine."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r4l.watch.job import JobResult

Watched = Callable[..., tuple[JobResult, str]]

SCRIPT = """
import errno, os, pickle, sys
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from r4l.watch import job as jobs

folder, answers = Path(sys.argv[1]), Path(sys.argv[2])
kernel = SimpleNamespace(name="stock", arch="x86_64")
jobs._build = lambda job, kernel, outcome: []
jobs._load = lambda job, kernel, modules, outcome: print("loaded")
def disk_full(*_):
    raise OSError(errno.ENOSPC, "No space left on device", "/x")
def vanish(*_):
    raise FileNotFoundError(errno.ENOENT, "No such file", "/x/4913")
def leave(*_):
    sys.exit(3)
exec(sys.argv[3])
given = dict(folder=folder, kernel=kernel, tests=(), everything=True, cwd=folder)
job = jobs.Job(**{**given, **eval(sys.argv[4])})
context = get_context("fork")
(screen, shown), (answer, sent) = context.Pipe(False), context.Pipe(False)
run = context.Process(target=jobs.main, args=(job, shown, sent))
run.start()
shown.close(), sent.close()
said = b""
while piece := os.read(screen.fileno(), 1 << 16):
    said += piece
sys.stderr.write(said.decode())
answers.write_bytes(pickle.dumps((answer.recv(), said)))
"""


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Runner of a folder's tests as `r4l watch` runs them; the folder is `driver`."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")

    def run(setting: str = "", encoding: str = "utf-8", **words: Any) -> tuple[JobResult, str]:
        answers = tmp_path / "answers"
        script = [sys.executable, "-c", SCRIPT, str(folder), str(answers), setting, repr(words).replace("Posix", "")]
        subprocess.run(script, check=True, env={**os.environ, "PYTHONIOENCODING": encoding})
        outcome, said = pickle.loads(answers.read_bytes())
        return outcome, said.decode()

    return run


def write(tmp_path: Path, **files: str) -> None:
    """Write files of the driver; `__` of their names is a slash."""
    for name, text in files.items():
        file = tmp_path / "driver" / (name.replace("__", "/") + ".py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


GOOD, BAD = "def test_good():\n    pass\n", "def test_bad():\n    assert False\n"


def test_all_tests_are_those_that_pytest_finds(tmp_path: Path, watched: Watched) -> None:
    """Regression: files of other names were left out, with "passed", and those of other folders taken in."""
    write(tmp_path, check_a=BAD, test_b=BAD, env__test_c=BAD, not__check_d=BAD)
    (tmp_path / "driver/pytest.ini").write_text("[pytest]\npython_files = check_*.py\nnorecursedirs = not\n")
    (tmp_path / "driver/env/pyvenv.cfg").write_text("")
    outcome, said = watched()
    assert outcome.code == 123
    assert "1 failed" in said
    assert "check_a.py" in said


def test_one_file(tmp_path: Path, watched: Watched) -> None:
    write(tmp_path, test_a=BAD, test_b=GOOD)
    outcome, said = watched(tests=(tmp_path / "driver/test_b.py",), everything=False)
    assert outcome.code == 0
    assert "1 passed" in said


def test_without_tests_the_module_is_loaded(tmp_path: Path, watched: Watched) -> None:
    write(tmp_path, helper="")
    outcome, said = watched()
    assert outcome.code == 0
    assert "loaded" in said
    assert "tests" not in [name for name, _ in outcome.steps]


def test_tests_that_are_all_left_out(tmp_path: Path, watched: Watched) -> None:
    write(tmp_path, test_a=GOOD)
    outcome, said = watched(arguments=("-k", "other"))
    assert outcome.code == 2
    assert "loaded" not in said


def test_a_saved_file_without_tests(tmp_path: Path, watched: Watched) -> None:
    write(tmp_path, test_a="")
    outcome, said = watched(tests=(tmp_path / "driver/test_a.py",), everything=False)
    assert outcome.code == 2
    assert "loaded" not in said


@pytest.mark.parametrize("option", ["--lf", "--ff"])
def test_the_failures_of_the_last_run(tmp_path: Path, watched: Watched, option: str) -> None:
    """Regression: pytest knew neither option."""
    write(tmp_path, test_a=GOOD, test_b=BAD)
    assert watched()[0].code == 123
    outcome, said = watched(arguments=(option, "-v"))
    assert outcome.code == 123
    assert "1 failed" in said
    assert ("1 passed" in said) is (option == "--ff")


def test_output_of_any_encoding(tmp_path: Path, watched: Watched) -> None:
    """Regression: a traceback, and "the run was killed"."""
    write(tmp_path, test_a="def test_a():\n    print('☃ \\udc80')\n    assert False\n")
    outcome, said = watched(encoding="latin-1")
    assert outcome.code == 123
    assert "☃" in said


@pytest.mark.parametrize(
    ("setting", "code", "cause"),
    [
        ("jobs._build = disk_full", 120, "the disk is full"),
        ("jobs._test = vanish", 125, "the run has failed: FileNotFoundError: [Errno 2] No such file: '/x/4913'"),
        ("jobs._test = leave", 125, "the run has failed: SystemExit: 3"),
    ],
)
def test_any_error_has_a_cause(watched: Watched, setting: str, code: int, cause: str) -> None:
    """Regression: the same."""
    outcome, said = watched(setting)
    assert outcome.code == code
    assert outcome.error
    assert outcome.error.cause == cause
    assert not said


def test_the_users_own_kernel_is_looked_at_in_each_run(watched: Watched) -> None:
    """The user may have built it again."""
    setting = (
        "jobs.Kernel = SimpleNamespace(get=lambda name, arch: SimpleNamespace(name=name, arch=arch, new=True))\n"
        "kernel.name = '/linux'\njobs._build = lambda job, kernel, outcome: print(kernel.new)\n"
        "jobs._test = lambda job, kernel: (0, False)"
    )
    assert watched(setting)[1] == "True\n"
