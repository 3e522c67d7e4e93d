# SPDX-License-Identifier: MIT
"""The labs in real machines: the reference answer gets full marks, the starter loads without them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from r4l.camp.labs import bundle, matrix
from r4l.camp.labs.check import Verdict
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import ANSWERS, Workspace
from r4l.kernel import Kernel

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

ROWS: dict[str, list[str]] = {
    "hello": ["A8"],
    "e1000": ["B10", "B11", "B12", "C4"],
    "cicv": ["C5", "C6", "C7"],
    "completion": ["C8"],
    "c-from-rust": ["B6"],
    "capture": ["A30"],
}
"""Rows that the documents set as homework, lab by lab."""
SAMPLE = {"hello", "cicv"}
"""Labs that represent all in the default selection of `r4l selftest`."""
KEY = 'vermagic = "vermagic"\ntaint = "O"\nas_y = "y"\n'
HIDDEN = """
import pytest
from r4l.camp.labs import see

@pytest.mark.checkpoint("again", title="It can be loaded twice")
def test_again(vm, module):
    for number in (1, 2):
        vm.insmod(module)
        vm.rmmod("hello")

@pytest.mark.checkpoint("author", title="It names its author")
def test_author(module):
    see("author", module.modinfo["author"], ["Li Hua"])
"""

KILLS = """
import os, signal
from pathlib import Path
import pytest

@pytest.mark.checkpoint("alive", title="The worker lives")
def test_alive(module):
    try:
        Path({mark!r}).open("x").write(str(os.getppid()))
    except FileExistsError:
        return
    os.kill(os.getppid(), signal.SIGKILL)
"""
"""A hidden check that kills the process that grades, the first time."""


def on_stock() -> list[Lab]:
    """Return the labs for the stock kernel. The others are tested with their kernels (tests/kernels/)."""
    return [lab for lab in Lab.all() if (lab.kernels, lab.arches, lab.config) == (("stock",), ("x86_64",), None)]


def graded_labs() -> list[object]:
    """Return the labs as parameters, each marked with its rows, and those beyond the sample as thorough."""

    def marks(lab: Lab) -> list[pytest.MarkDecorator]:
        rows = [pytest.mark.row(row) for row in ROWS.get(lab.name, [])]
        return rows if lab.name in SAMPLE else [*rows, pytest.mark.thorough]

    return [pytest.param(lab, id=lab.name, marks=marks(lab)) for lab in on_stock()]


def r4l_lab(*words: object, folder: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `r4l lab …` as a user does."""
    argv = [sys.executable, "-m", "r4l", "lab", *map(str, words)]
    env = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("lab", graded_labs())
def test_the_answer_has_the_full_mark_and_the_starter_has_not(lab: Lab, kernel: Kernel) -> None:
    for kind in ("answer", "starter"):
        (judged,) = matrix.run([lab], lambda _: [kernel], only=kind, exactly=True)
        assert judged.fine, judged.said


def test_the_machine_agrees_with_the_keys(
    kernel: Kernel, ask_the_machine: Callable[[Kernel, Sequence[Lab]], None]
) -> None:
    elsewhere = ("configure", "arm64")
    ask_the_machine(kernel, [lab for lab in Lab.all() if lab.name not in elsewhere])


def test_from_start_to_grade(tmp_path: Path, kernel: Kernel) -> None:
    """Complete all steps of a student, in a folder whose path the kernel's Makefile cannot handle."""
    work = tmp_path / "李 华: 实验"
    r4l_lab("start", "hello", work, folder=tmp_path)
    (work / "conftest.py").write_text("raise SystemExit('the host ran it')")
    (work / "Kbuild").write_text(f"$(shell touch {tmp_path}/pwned)\nobj-m := hello.o\n")
    begun = json.loads(r4l_lab("check", work, "--json", folder=tmp_path, code=123).stdout)
    assert [entry["id"] for entry in begun["outcomes"] if entry["passed"]] == ["loads"]

    source = work / "hello.rs"
    source.write_text(source.read_text().replace("Ok(Hello)", "Ok(Helo)"))
    broken = r4l_lab("check", work, folder=tmp_path, code=123).stdout
    assert f"{source}:" in broken
    assert "Helo" in broken
    assert "cannot find" in broken
    assert "does not build: error" not in broken, "what the compiler says is said once"

    answer = Lab.named("hello").answer
    source.write_text((answer / "hello.rs").read_text().replace('"You"', '"Han Meimei"'))
    (work / ANSWERS).write_text(KEY)
    checked = r4l_lab("check", ".", folder=work, R4L_COMMAND="/opt/r4l").stdout
    assert checked.endswith("✓ 8 of 8 reached\nto hand it in: /opt/r4l lab submit .\n")
    handed_in = Path(r4l_lab("submit", work, "--name", "李华", folder=tmp_path).stdout.strip())

    hidden = tmp_path / "hidden" / "hello"
    hidden.mkdir(parents=True)
    (hidden / "test_more.py").write_text(HIDDEN)
    (tmp_path / "foreign.zip").write_bytes(b"PK not really")
    graded = r4l_lab("grade", handed_in, "foreign.zip", "--checks", hidden.parent, folder=tmp_path, code=2)
    assert "李华  hello  9/10" in graded.stdout
    assert "foreign.zip" in graded.stderr
    page = (tmp_path / "class" / "李华.html").read_text()
    assert "It names its author" in page
    assert "Han Meimei" in page
    assert not (tmp_path / "pwned").exists()


def handed_in(folder: Path, student: str, kernel: Kernel, answers: str) -> Path:
    """Make a bundle with the reference answer to `hello`."""
    lab = Lab.named("hello")
    workspace = Workspace.start(lab, folder / student)
    shutil.copy(lab.answer / "hello.rs", workspace.folder)
    (workspace.folder / ANSWERS).write_text(answers)
    target = folder / bundle.file_name(lab, student)
    bundle.write(target, workspace, student, [kernel], Verdict("hello", kernel.release, ()), folder / "no evidence")
    return target


@pytest.mark.thorough
def test_a_class_is_graded_on_a_cluster_while_a_worker_is_killed(tmp_path: Path, kernel: Kernel) -> None:
    from distributed import LocalCluster

    bundles = [handed_in(tmp_path, "li-hua", kernel, KEY), handed_in(tmp_path, "han-mei", kernel, "")]
    checks, mark = tmp_path / "hidden" / "hello", tmp_path / "killed"
    checks.mkdir(parents=True)
    (checks / "test_alive.py").write_text(KILLS.format(mark=str(mark)))
    with LocalCluster(n_workers=2, resources={"vm": 1}, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local:
        pids = {worker.process.pid for worker in local.workers.values()}
        words = ["grade", *bundles, "--checks", checks.parent, "--on", local.scheduler_address]
        graded = r4l_lab(*words, "--kernel", kernel.name, folder=tmp_path).stdout
        again = r4l_lab(*words, "--kernel", kernel.name, folder=tmp_path).stdout
    assert int(mark.read_text()) in pids, "no worker was killed"
    assert "li-hua  hello  9/9" in graded
    assert "han-mei  hello  6/9" in graded
    grades = list((tmp_path / "class/results").glob("*.json"))
    assert len(grades) == 2, "a bundle was graded twice, or never"
    assert again.count("graded before") == 2


def test_chinese_where_the_locale_is(tmp_path: Path) -> None:
    listed = r4l_lab("list", folder=tmp_path, LC_ALL="zh_CN.UTF-8", R4L_LABS=str(tmp_path)).stdout
    assert "用 Rust 写一个内核模块" in listed


def test_hints_say_more_each_time(tmp_path: Path) -> None:
    r4l_lab("start", "hello", tmp_path / "w", folder=tmp_path)
    first = r4l_lab("hint", "w", "greets", folder=tmp_path).stdout
    second = r4l_lab("hint", "w", "greets", folder=tmp_path).stdout
    assert "pr_info!" in first
    assert len(second) > len(first)
    assert "greets" in r4l_lab("hint", "w", "nonsense", folder=tmp_path, code=2).stderr
