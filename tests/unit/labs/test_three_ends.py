# SPDX-License-Identifier: MIT
"""Results of a check: reached, missed, or not judged, which never counts against the student."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from r4l.camp.labs import bundle, grade, pages
from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.grade import Grade
from r4l.camp.labs.lab import Checkpoint, Lab, LocalizedText
from r4l.camp.labs.outcomes import KernelRun, Outcome, merged_outcomes
from r4l.camp.labs.running import Checks
from r4l.camp.labs.workspace import Workspace
from r4l.cli import lab as cli
from r4l.cli.lab import student, teacher
from r4l.cli.lab.shown import show
from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel
from r4l.terminal import Console

CHECKS = """
import errno, os, signal, time
import pytest
from r4l.errors import EnvironmentFault, GuestTimeout
from r4l.vm import BootPanic, NoAgent, QemuDied
from r4l.guest import ProtocolError

@pytest.mark.checkpoint("fine")
def test_fine():
    pass

@pytest.mark.checkpoint("missed")
def test_missed():
    assert False

@pytest.mark.checkpoint("space")
def test_space():
    raise OSError(errno.ENOSPC, "No space left on device")

@pytest.mark.checkpoint("memory")
def test_memory(monkeypatch):
    monkeypatch.setattr("r4l.shortage.SCARCE", 1 << 60)
    raise MemoryError

@pytest.mark.checkpoint("guests-number")
def test_a_guests_number(monkeypatch):
    monkeypatch.setattr("r4l.shortage.SCARCE", 0)
    bytearray(int("1" + 18 * "0"))

@pytest.mark.checkpoint("qemu")
def test_qemu():
    raise QemuDied("QEMU was killed by SIGKILL")

@pytest.mark.checkpoint("crash")
def test_crash():
    error = QemuDied("QEMU was killed by SIGABRT")
    error.booted = error.crashed = True
    raise error

@pytest.mark.checkpoint("flood")
def test_flood():
    raise ProtocolError("a line of 2 GiB")

@pytest.fixture
def machine():
    raise NoAgent("no agent within 120 s")

@pytest.mark.checkpoint("boots")
def test_boots(machine):
    pass

@pytest.fixture
def panics():
    error = BootPanic("the kernel panicked")
    error.booted = True
    raise error

@pytest.mark.checkpoint("kills init")
def test_kills_init(panics):
    pass

@pytest.mark.checkpoint("both")
@pytest.mark.parametrize("number", range(3))
def test_both(number):
    if number == 0:
        raise EnvironmentFault("the disk is full")
    assert number != 2, "and missed"

@pytest.mark.checkpoint("half")
@pytest.mark.parametrize("number", range(2))
def test_half(number):
    if number == 1:
        raise EnvironmentFault("the disk is full")
"""
REFUSES = """
@pytest.fixture
def no_entry():
    error = QemuDied("QEMU ended with exit code 1: Error loading uncompressed kernel without PVH ELF Note")
    error.refused = True
    raise error

@pytest.mark.checkpoint("refuses")
def test_refuses(no_entry):
    pass
"""
DIES = """
@pytest.mark.checkpoint("dies")
def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.checkpoint("after")
def test_after():
    pass
"""


def checks(folder: Path, text: str, only: Collection[str] | None = None, config: object = None) -> Checks:
    (folder / "checks").mkdir()
    (folder / "evidence").mkdir(exist_ok=True)
    (folder / "checks/test_one.py").write_text(text)
    lab = cast(Lab, SimpleNamespace(checks=folder / "checks", timeout=60, builds=False, config=config))
    kernel = cast(Kernel, SimpleNamespace(name="stock", arch="x86_64"))
    return Checks(lab, kernel, (), folder / "evidence", folder, only)


def test_how_checks_end(tmp_path: Path) -> None:
    with checks(tmp_path, CHECKS) as begun:
        found = begun.run(None)
    ends = {name: result["passed"] for name, result in found.items()}
    assert ends == {
        "fine": True,
        "missed": False,
        "space": None,
        "memory": None,
        "guests-number": False,
        "qemu": None,
        "crash": False,
        "flood": False,
        "boots": None,
        "kills init": False,
        "both": False,
        "half": None,
    }
    assert all(bool(result["fault"]) == (result["passed"] is None) for result in found.values())
    assert "and missed" in found["both"]["seen"]
    assert begun.fault == ""


@pytest.mark.parametrize("what", ["boots", "refuses"])
def test_a_students_own_kernel_may_fail_to_boot(what: str, tmp_path: Path) -> None:
    with checks(tmp_path, CHECKS + REFUSES, only=[what], config=object()) as begun:
        assert begun.run(None)[what]["passed"] is False


def test_a_kernel_of_r4ls_that_qemu_refuses_is_nobodys_fault(tmp_path: Path) -> None:
    with checks(tmp_path, CHECKS + REFUSES, only=["refuses"]) as begun:
        assert begun.run(None)["refuses"]["passed"] is None


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    with checks(tmp_path, CHECKS, only=["missed", "fine"]) as begun:
        assert list(begun.run(None)) == ["fine", "missed"]


def test_what_was_judged_stays_when_the_process_is_killed(tmp_path: Path) -> None:
    with checks(tmp_path, CHECKS + DIES) as begun:
        found = begun.run(None)
    assert found["fine"]["passed"] is True
    assert found["missed"]["passed"] is False
    assert "after" not in found
    assert "SIGKILL" in begun.fault
    (outcome,) = merged_outcomes([POINT], [KernelRun(results={}, fault=begun.fault)])
    assert (outcome.passed, outcome.fault) == (None, begun.fault)


FILLS = """
import pytest

@pytest.mark.checkpoint("fine")
def test_fine():
    pass

@pytest.mark.checkpoint("fills")
def test_fills(pytestconfig):
    place = pytestconfig.getoption("--lab-results")
    for number in range(1000):
        try:
            (place / str(number)).write_bytes(bytes({size}))
        except OSError:
            break
    {then}

@pytest.mark.checkpoint("after")
def test_after():
    pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize(("size", "then"), [(4096, "pass"), (1, "assert False")])
def test_a_disk_that_fills_during_the_checks(size: int, then: str, tmp_path: Path) -> None:
    """Regression: it was an internal error of pytest's, and the bundle was to be handed in again."""
    small = tmp_path / "evidence"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(small)], check=True)
    try:
        with checks(tmp_path, FILLS.format(size=size, then=then)) as begun:
            for number in range(40):
                (small / f"left-{number}").write_bytes(bytes(4096))
            found = begun.run(None)
        assert "no space or memory" in begun.fault
        assert found["fine"]["passed"] is True
        assert "after" not in found
    finally:
        subprocess.run(["umount", str(small)], check=True)


POINT = Checkpoint("time", LocalizedText("It measures time", ""), LocalizedText("handout 2", ""))
PASSED: dict[str, Any] = {"title": "", "passed": True, "skipped": "", "fault": ""}
MISSED = {**PASSED, "passed": False, "expected": "1", "seen": "0", "detail": ""}
UNJUDGED = {**PASSED, "passed": None, "fault": "the disk is full"}


@pytest.mark.parametrize(
    ("results", "passed", "fault"),
    [
        ((UNJUDGED, PASSED), None, "on one: the disk is full"),
        ((UNJUDGED, MISSED), False, ""),
        ((MISSED, UNJUDGED), False, ""),
        ((None, UNJUDGED), None, "on two: the disk is full"),
    ],
)
def test_of_several_kernels_a_miss_counts_then_a_fault(
    results: Sequence[dict[str, Any] | None], passed: bool | None, fault: str
) -> None:
    runs = [
        KernelRun(where, {"time": result} if result else {})
        for where, result in zip(("on one: ", "on two: "), results, strict=True)
    ]
    (outcome,) = merged_outcomes([POINT], runs)
    assert (outcome.passed, outcome.fault) == (passed, fault)


REACHED = Outcome("loads", "It loads", "checkpoint", True)
FAULT = Outcome("greets", "It greets", "checkpoint", None, fault="the disk is full")
NOT = Outcome("greets", "It greets", "checkpoint", False, expected="a word", seen="none")


@pytest.mark.parametrize(
    ("outcomes", "code", "said"),
    [
        ((REACHED, FAULT), 120, "1 of 2 reached, 1 could not be judged"),
        ((NOT, FAULT), 123, "0 of 2 reached, 1 could not be judged"),
        ((REACHED,), 0, "1 of 1 reached"),
    ],
)
def test_a_check_shows_what_it_could_not_judge(
    outcomes: tuple[Outcome, ...], code: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "work")
    monkeypatch.setattr(student, "prepare_kernels", lambda *_: [])
    monkeypatch.setattr(Check, "run", lambda _self: Verdict("hello", "7.3.4", outcomes))
    done = CliRunner().invoke(cli.command, ["check", str(workspace.folder)])
    assert getattr(done.exception, "exit_code", 0) == code
    assert said in done.output + str(done.exception)
    if FAULT in outcomes:
        assert "? greets" in done.output
        assert "the disk is full" in done.output
        assert workspace.state()["attempts"] == [], "no attempt of the student's"
    shown = CliRunner().invoke(cli.command, ["check", str(workspace.folder), "--json"])
    assert shown.exit_code == code
    assert json.loads(shown.output)["unjudged"] == (FAULT in outcomes)


@pytest.fixture
def handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that claims both checkpoints reached."""
    monkeypatch.setattr(teacher, "prepare_kernels", lambda *_: [])
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "work")
    (tmp_path / "evidence").mkdir()
    verdict = Verdict("hello", "7.3.4", (REACHED, Outcome("greets", "It greets", "checkpoint", True)))
    kernel = cast(Kernel, SimpleNamespace(toolchain=SimpleNamespace(versions=dict)))
    bundle.write(tmp_path / "it.zip", workspace, "李华", [kernel], verdict, tmp_path / "evidence")
    return tmp_path / "it.zip"


Runs = list[Collection[str] | None]
Machine = Callable[..., Runs]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose checks end as given, one run after the other; records the requested checkpoints."""

    def ends(*planned: tuple[Outcome, ...] | Exception) -> Runs:
        asked: Runs = []
        left = list(planned)

        def run(check: Check) -> Verdict:
            asked.append(check.only)
            end = left.pop(0)
            if isinstance(end, Exception):
                raise end
            return Verdict("hello", "7.3.4", end)

        monkeypatch.setattr(Check, "run", run)
        return asked

    return ends


def graded(path: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.command, ["grade", str(path), "--into", str(path.parent / "class"), *arguments])
    return getattr(done.exception, "exit_code", done.exit_code), done.output + str(done.exception or "")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((path.parent / "class/class.csv").read_text())))


def test_the_next_grade_tries_again_what_was_not_judged_and_only_that(handed_in: Path, machine: Machine) -> None:
    asked = machine((REACHED, FAULT), (Outcome("loads", "", "checkpoint", None, seen="not asked"), NOT))
    code, said = graded(handed_in)
    assert code == 120
    assert "1/2  1 could not be judged" in said
    assert "claims" not in said, "what was not judged may be what the bundle claims"
    (row,) = rows(handed_in)
    assert (row["reached"], row["open"], row["unjudged"]) == ("1", "", "greets")
    page = (handed_in.parent / "class/李华.html").read_text()
    assert "1 not judged" in (handed_in.parent / "class/index.html").read_text()
    assert "could not be judged</span> the disk is full" in page

    code, said = graded(handed_in)
    assert code == 0
    assert "1/2" in said
    assert "claims 2" in said
    (row,) = rows(handed_in)
    assert (row["reached"], row["open"], row["unjudged"]) == ("1", "greets", "")
    assert asked == [None, {"greets"}]

    code, said = graded(handed_in)
    assert (code, len(asked)) == (0, 2), "what is judged is judged"
    assert "graded before" in said


def test_grades_as_json(handed_in: Path, machine: Machine) -> None:
    machine((REACHED, Outcome("greets", "It greets", "checkpoint", False)))
    code, said = graded(handed_in, "--json")
    assert code == 0
    seen = json.loads(said[: said.rindex("}") + 1])
    (grade,) = seen["grades"]
    assert (grade["student"], grade["lab"], grade["mark"], grade["believed"]) == ("李华", "hello", "1/2", False)
    assert (seen["not_graded"], seen["not_judged"]) == ([], [])
    assert Path(seen["pages"]).is_file()
    (handed_in.parent / "bad.zip").write_bytes(b"no bundle")
    code, said = graded(handed_in.parent / "bad.zip", "--json")
    assert code == 2
    assert "bad.zip" in json.loads(said[: said.rindex("}") + 1])["not_graded"][0]


def test_what_could_not_be_judged_is_in_the_json(
    handed_in: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the fault of a worker on another computer was in no field."""
    machine((REACHED, FAULT))
    code, said = graded(handed_in, "--json")
    assert code == 120
    assert json.loads(said[: said.rindex("}") + 1])["not_judged"] == [f"{handed_in.name}: greets"]

    def lost(*_: object, **__: object) -> Iterator[tuple[SimpleNamespace, Exception]]:
        yield SimpleNamespace(path=handed_in), EnvironmentFault("its disk is full")

    monkeypatch.setattr("r4l.cluster.require", lambda: None)
    monkeypatch.setattr(teacher, "_graded_there", lost)
    code, said = graded(handed_in, "--json", "--on", "tcp://127.0.0.1:9")
    assert code == 120
    seen = json.loads(said[: said.rindex("}") + 1])
    assert seen["not_judged"] == [f"{handed_in.name}: the worker: its disk is full"]
    assert (seen["grades"], seen["not_graded"]) == ([], [])


def test_a_grade_is_made_anew_where_it_is_asked_for_or_the_checks_are_others(
    handed_in: Path, machine: Machine, tmp_path: Path
) -> None:
    asked = machine(*[(REACHED,)] * 4)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "test_more.py").write_text("one")
    graded(handed_in)
    graded(handed_in, "--again")
    graded(handed_in, "--checks", str(hidden))
    graded(handed_in, "--checks", str(hidden))
    assert len(asked) == 3
    (hidden / "test_more.py").write_text("two")
    graded(handed_in, "--checks", str(hidden))
    assert len(asked) == 4


def test_a_machine_that_cannot_begin_fails_nobody(handed_in: Path, machine: Machine) -> None:
    machine(EnvironmentFault("the disk is full"), (REACHED, Outcome("greets", "", "checkpoint", True)))
    code, said = graded(handed_in)
    assert code == 120
    assert "not graded" not in said
    (row,) = rows(handed_in)
    assert row["reached"] == "0"
    assert "loads" in row["unjudged"].split()
    code, _ = graded(handed_in)
    assert code == 0
    assert rows(handed_in)[0]["unjudged"] == ""


def test_hidden_checks_that_were_not_run_are_not_forgotten(handed_in: Path, machine: Machine, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "test_more.py").write_text("one")
    asked = machine(EnvironmentFault("the disk is full"), (REACHED, Outcome("secret", "", "hidden", True)))
    assert graded(handed_in, "--checks", str(hidden))[0] == 120
    assert "hidden-checks" in rows(handed_in)[0]["unjudged"]
    assert graded(handed_in, "--checks", str(hidden))[0] == 0
    assert asked == [None, None]
    assert (rows(handed_in)[0]["reached"], rows(handed_in)[0]["unjudged"]) == ("2", "")


def test_pages_of_grades_that_were_kept_before_there_were_three_ends(tmp_path: Path) -> None:
    entry = {
        "id": "loads",
        "title": "",
        "kind": "checkpoint",
        "passed": None,
        "expected": "",
        "seen": "x",
        "read": "",
        "detail": "",
    }
    verdict = {"reached": 0, "of": 1, "full": False, "kernel": "7.3.4", "build": "", "outcomes": [entry]}
    old = Grade("A", "hello", "2026-01-01T00:00:00+00:00", "2026", 0, verdict, [])
    grade.keep(old, tmp_path, "a")
    assert "not judged" not in pages.write(tmp_path, grade.kept(tmp_path)).read_text()


def test_of_equal_grades_the_one_that_judged_more_is_shown() -> None:
    def of(when: str, *outcomes: Outcome) -> Grade:
        return Grade("A", "hello", when, "2026", 0, Verdict("hello", "7.3.4", outcomes).as_dict(), [])

    (student,) = pages.students([of("1", REACHED, FAULT), of("2", REACHED, NOT)])
    assert student.best["hello"].when == "2"


def test_a_screen_shows_no_reading_for_what_was_not_judged() -> None:
    said = io.StringIO()
    show(Verdict("hello", "7.3.4", (FAULT,)), Console(file=said, soft_wrap=True))
    assert "could not be judged the disk is full" in said.getvalue()
