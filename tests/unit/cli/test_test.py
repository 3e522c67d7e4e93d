# SPDX-License-Identifier: MIT
"""`r4l test`: pytest in a driver's folder, with r4l's exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from r4l import resources
from r4l.cli import watch
from r4l.watch.project import Project


def r4l_test(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "r4l", "test", *arguments]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/pytest.ini").write_text("[pytest]\n")
    (tmp_path / "mine/test_it.py").write_text(
        "def test_good(request):\n    assert request.config.getoption('--arch') == 'arm64'\n\n\n"
        "def test_bad(request):\n    assert request.config.getoption('--kernel') == ['debug']\n"
    )
    return tmp_path / "mine"


def test_options_and_arguments_reach_pytest(folder: Path) -> None:
    done = r4l_test(folder.parent, "mine", "--arch", "arm64", "--kernel", "debug")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    here = r4l_test(folder, "--arch", "arm64", "--", "-k", "good")
    assert here.returncode == 0, here.stdout + here.stderr
    assert "1 passed, 1 deselected" in here.stdout


def test_the_results_as_json(folder: Path) -> None:
    (folder / "test_it.py").write_text(
        "import pytest\nfrom r4l.errors import EnvironmentFault\n\n\n"
        "def test_good():\n    print('said')\n\n\ndef test_bad():\n    assert 1 == 2\n\n\n"
        "@pytest.mark.skip(reason='later')\ndef test_later():\n    pass\n"
    )
    done = r4l_test(folder, "--json", "--kernel", "debug")
    seen = json.loads(done.stdout)
    assert done.returncode == seen["exit_code"] == 123
    assert (seen["kernels"], seen["arch"]) == (["debug"], "x86_64")
    assert {name: seen[name] for name in ("passed", "failed", "skipped", "error")} == {
        "passed": 1,
        "failed": 1,
        "skipped": 1,
        "error": 0,
    }
    good, bad, later = seen["tests"]
    assert (good["name"], good["outcome"]) == ("test_it.py::test_good", "passed")
    assert good["seconds"] >= 0
    assert bad["outcome"] == "failed"
    assert "assert 1 == 2" in bad["text"]
    assert (later["outcome"], later["reason"]) == ("skipped", "Skipped: later")
    assert "1 failed, 1 passed, 1 skipped" in done.stderr, "pytest's own words"

    (folder / "test_it.py").write_text("import nothing_like_this\n")
    broken = json.loads(r4l_test(folder, "--json").stdout)
    assert [test["outcome"] for test in broken["tests"]] == ["failed"]
    refused = r4l_test(folder, "--json", "--", "--no-such-option")
    assert json.loads(refused.stdout)["exit_code"] == refused.returncode != 0


def test_quiet(folder: Path) -> None:
    done = r4l_test(folder, "-q", "--arch", "arm64", "--", "test_it.py::test_good")
    assert done.returncode == 0
    assert "test session starts" not in done.stdout


def test_each_kernel_reaches_pytest(folder: Path) -> None:
    (folder / "test_it.py").write_text(
        "def test_both(request):\n    assert request.config.getoption('--kernel') == ['stock', 'minimal']\n"
    )
    done = r4l_test(folder, "--kernel", "stock", "--kernel", "minimal")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_follows_the_dashes_is_never_the_folder(folder: Path) -> None:
    done = r4l_test(folder, "--arch", "arm64", "--", "test_it.py::test_good")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    before = r4l_test(folder.parent, "mine", "--arch", "arm64", "--", "test_it.py::test_good")
    assert before.returncode == 0, before.stdout + before.stderr


def test_so_it_is_with_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Loop:
        def __init__(self, project: Project, _kernel: object, _screen: object, arguments: object, *_rest: object):
            asked.append((project.folder, arguments))

        def forever(self) -> None:
            pass

    monkeypatch.setattr(watch, "Loop", Loop)
    monkeypatch.setattr(watch, "set_up", lambda *_arguments, **_rest: None)
    hello = resources.rust("drivers/hello")
    monkeypatch.chdir(hello)
    done = CliRunner().invoke(watch.command, ["--", "tests/test_hello.py", "-x"])
    assert done.exit_code == 0, done.exception
    done = CliRunner().invoke(watch.command, [str(hello), "--", "-x"])
    assert done.exit_code == 0, done.exception
    assert asked == [(hello.resolve(), ("tests/test_hello.py", "-x")), (hello.resolve(), ("-x",))]


def test_exit_codes(folder: Path) -> None:
    assert r4l_test(folder).returncode == 123, "a test fails"
    assert r4l_test(folder, "--", "-k", "nothing").returncode == 2, "no tests"
    assert r4l_test(folder, "--", "--no-such-option").returncode == 2
    missing = r4l_test(folder, "elsewhere")
    assert missing.returncode == 2
    assert "elsewhere is not a folder" in missing.stderr


SLOW = """
import time
from pathlib import Path

import pytest


@pytest.fixture
def slow_to_end():
    yield
    time.sleep(1.5)


def test_bad():
    assert False, "the failure seen so far"


def test_endless(slow_to_end):
    Path("running").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["terminal", "kill"])
def test_an_interrupt_leaves_pytest_the_time_to_tell_what_failed(tmp_path: Path, how: str) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(SLOW)
    argv = [sys.executable, "-m", "r4l", "test"]
    running = subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "running").exists():
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if how == "terminal":
            os.killpg(running.pid, signal.SIGINT)
        else:
            running.terminate()
        said, _ = running.communicate(timeout=45)
    finally:
        running.kill()
    assert running.returncode == 130
    assert "the failure seen so far" in said
    assert "1 failed" in said
    assert "interrupted" in said
