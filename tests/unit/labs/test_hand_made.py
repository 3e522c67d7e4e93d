# SPDX-License-Identifier: MIT
"""A hand-made bundle with correct hashes is refused by name, and the others are graded."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from r4l.camp.labs import attempts, bundle, grade
from r4l.camp.labs.bundle import BadBundle, Bundle
from r4l.camp.labs.check import LONGEST_ANSWER, LONGEST_OUTPUT, Check, Verdict
from r4l.camp.labs.grade import Grade
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import KernelRun, Outcome
from r4l.camp.labs.workspace import ANSWERS, LARGEST, LONGEST, MOST, STATE, Workspace
from r4l.cli import lab as cli
from r4l.cli.lab import teacher
from r4l.errors import EnvironmentFault, R4LError, UsageError
from r4l.kernel import Kernel

HELLO = Lab.named("hello")
KERNEL = cast(Kernel, SimpleNamespace(release="7.3.4", toolchain=SimpleNamespace(versions=lambda: {"rustc": "1.85.0"})))
VERDICT = Verdict("hello", "7.3.4", (Outcome("loads", "it loads", "checkpoint", True),))
ATTEMPT = {"when": "2026-01-01T00:00:00+00:00", "reached": 1, "of": 8, "kernel": "7.3.4", "next": "greets"}
GONE = object()
"""Value for a key of the manifest that is left out."""


def hand_made(
    folder: Path,
    name: str = "made.zip",
    *,
    manifest: dict[str, Any] | None = None,
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write a bundle in submit's format with changes and new hashes."""
    folder.mkdir(exist_ok=True)
    workspace, target = Workspace.start(HELLO, folder / f"{name} work"), folder / name
    (folder / "evidence").mkdir(exist_ok=True)
    bundle.write(target, workspace, "Li Hua", [KERNEL], VERDICT, folder / "evidence")
    with zipfile.ZipFile(target) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    table = {**json.loads(members.pop(bundle.MANIFEST)), **(manifest or {})}
    members |= files or {}
    table |= {"files": {member: bundle._hash(data) for member, data in members.items()}} if files else {}
    table = {key: value for key, value in table.items() if value is not GONE}
    table["hash"] = bundle._own_hash(table)
    with zipfile.ZipFile(target, "w") as archive:
        for member, data in {bundle.MANIFEST: json.dumps(table).encode(), **members}.items():
            archive.writestr(member, data)
    return target


def test_one_with_nothing_changed_is_read(tmp_path: Path) -> None:
    files = {"sources/more/hello.rs": b"// a source in a folder", "answers.toml": b'taint = "O"'}
    read = Bundle.read(hand_made(tmp_path, manifest={"student": "李华 [/b]"}, files=files))
    assert read.student == "李华 [/b]"
    assert set(read.unpack(tmp_path / "again").sources()) == {Path("hello.rs"), Path("more/hello.rs")}


@pytest.mark.parametrize(
    "manifest",
    [
        {"verdict": GONE},
        {"verdict": 3},
        {"verdict": {}},
        {"verdict": {"reached": "x"}},
        {"verdict": {"reached": True}},
        {"verdict": {"reached": -1}},
        {"when": GONE},
        {"when": 3},
        {"when": "now\x1b[2J"},
        {"attempts": GONE},
        {"attempts": 3},
        {"attempts": [3]},
        {"attempts": [{"reached": "x"}]},
        {"attempts": [{"reached": 1}]},
        {"attempts": [{"reached": 1, "of": 1 << 40}]},
        {"attempts": [{"reached": 1, "of": 2, "when": ["2026"]}]},
        {"attempts": [{"reached": 1, "of": 2, "kernel": "x" * (LONGEST + 1)}]},
        {"attempts": [{"reached": 1, "of": 2, "kernel": "7\x1b[2J"}]},
        {"attempts": [{"reached": 1, "of": 2, "next": {"greets": "x"}}]},
        {"attempts": [{"reached": 1, "of": 2, "next": None}, ATTEMPT]},
        {"attempts": [ATTEMPT] * 1000 + [{**ATTEMPT, "of": "8"}]},
        {"attempts_made": "x"},
        {"attempts_made": None},
        {"attempts_made": True},
        {"attempts_made": -1},
        {"attempts_made": 1 << 64},
        {"student": GONE},
        {"student": 3},
        {"student": " "},
        {"student": "Li\x1b[2JHua"},
        {"student": "Li\nHua"},
        {"student": "x" * (LONGEST + 1)},
        {"files": []},
        {"files": 3},
        {"lab": ["hello"]},
        {"lab": "nonsense"},
    ],
)
def test_a_manifest_that_submit_does_not_write(tmp_path: Path, manifest: dict[str, Any]) -> None:
    with pytest.raises(BadBundle, match=r"^made\.zip "):
        Bundle.read(hand_made(tmp_path, manifest=manifest))


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize(
    "files",
    [
        {"answers.toml": b"taint = O"},
        {"answers.toml": b'taint = "\xff"'},
        {"answers.toml": b"taint = 0x" + b"f" * 9999},
        {"answers.toml": b"taint = " + b"[" * 9999},
        {"answers.toml": b"#" * (LARGEST + 1)},
        {"sources/hello.rs/hello.rs": b""},
        {"sources/Kbuild/hello.rs": b""},
        {"sources/answers.toml/hello.rs": b""},
        {"sources/.git/hello.rs": b""},
        {"sources//tmp/hello.rs": b""},
        {"sources/./hello.rs": b""},
        {"sources/hello.rs": bytes(LARGEST + 1)},
        {f"sources/{'x' * 300}/hello.rs": b""},
        {f"sources/{'x/' * 600}hello.rs": b""},
        {f"evidence/{'华' * 100}": b""},
        {"sources/\x1b[2J/hello.rs": b""},
        {f"sources/{number}/hello.rs": b"" for number in range(MOST + 1)},
    ],
    ids=range(17),
)
def test_files_that_no_workspace_has(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(BadBundle, match=r"^made\.zip ") as caught:
        Bundle.read(hand_made(tmp_path, files=files))
    assert caught.value.cause.isprintable()
    assert len(caught.value.cause) < 2 * LONGEST


def test_a_workspace_refuses_what_a_bundle_may_not_have(tmp_path: Path) -> None:
    workspace = Workspace.start(HELLO, tmp_path / "work")
    for number in range(MOST):
        (workspace.folder / str(number)).mkdir()
        (workspace.folder / str(number) / "hello.rs").touch()
    with pytest.raises(UsageError, match="more than"):
        workspace.sources()
    (workspace.folder / "0" / "hello.rs").unlink()
    (workspace.folder / "hello.rs").rename(workspace.folder / "0" / "hello.rs")
    assert len(workspace.sources()) == MOST
    (workspace.folder / "0").rename(workspace.folder / ("x" * 250))
    with pytest.raises(UsageError, match="not a valid name for a source"):
        workspace.sources()


def graded(read: Bundle, *_: object) -> Grade:
    """A grade made without a machine."""
    outcome = {"id": "loads", "title": "", "kind": "checkpoint", "passed": True, "expected": "", "seen": "", "read": ""}
    verdict = {"reached": 1, "of": 1, "full": True, "kernel": "7.3.4", "build": "", "outcomes": [outcome]}
    verdict["outcomes"] = [{**outcome, "detail": ""}]
    return Grade(read.student, "hello", "2026-01-01T00:00:00+00:00", "2026", 1, verdict, [{"reached": 1}])


def records(paths: list[Path], into: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Grade], int, str]:
    """Grade bundles without a machine; return the grades kept, the bytes of all that was written, and the output."""
    monkeypatch.setattr(teacher, "prepare_kernels", lambda *_: [])
    monkeypatch.setattr(grade, "_verdict", lambda *_: VERDICT.as_dict() | {"kernel": "7.3.4"})
    done = CliRunner().invoke(cli.command, ["grade", *map(str, paths), "--into", str(into), "--json"])
    assert done.exit_code == 0, done.output
    files = [path for path in into.rglob("*") if path.is_file()]
    return list(grade.kept(into)), sum(path.stat().st_size for path in files) + len(done.output), done.output


def test_of_many_attempts_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a bundle's attempts were written to each record as they came, up to 16 MiB."""
    many = [{**ATTEMPT, "reached": number % 8, "more": ["x"] * 9} for number in range(50_000)]
    made = hand_made(tmp_path, manifest={"attempts": many, "attempts_made": GONE, "more": "x" * 100_000})
    (kept,), size, said = records([made], tmp_path / "class", monkeypatch)
    assert (kept.made, len(kept.attempts)) == (50_000, attempts.MOST)
    assert kept.attempts == [{**ATTEMPT, "reached": number % 8} for number in range(50_000 - attempts.MOST, 50_000)]
    assert json.loads(said)["grades"][0]["attempts_made"] == 50_000
    assert "after 50000 checks\n(… → " in (tmp_path / "class" / "Li-Hua.html").read_text()
    assert size < 200_000


def test_the_longest_texts_that_are_taken_keep_a_record_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = {key: "\U00020000" * LONGEST if isinstance(value, str) else value for key, value in ATTEMPT.items()}
    manifest = {"attempts": [longest] * 1000, "when": "\U00020000" * LONGEST}
    (kept,), size, _ = records([hand_made(tmp_path, manifest=manifest)], tmp_path / "class", monkeypatch)
    assert kept.made == 1000
    assert size < 4 << 20


def test_a_worker_gets_nothing_of_the_manifest_as_it_came(tmp_path: Path) -> None:
    verdict = {**VERDICT.as_dict(), "build": "x" * 1_000_000}
    made = hand_made(tmp_path, manifest={"attempts": [ATTEMPT] * 10_000, "verdict": verdict, "more": "x" * 1_000_000})
    assert len(pickle.dumps(Bundle.read(made).needed())) < 200_000


def test_what_submit_writes_of_many_attempts_grade_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.start(HELLO, tmp_path / "work")
    state = workspace.state() | {"attempts": [ATTEMPT] * 90_000}
    (workspace.folder / STATE).write_text(json.dumps(state, indent=1))
    workspace.note({"reached": 7, "of": 8, "kernel": "7.3.4", "next": ""})
    (tmp_path / "evidence").mkdir()
    target = tmp_path / "it.zip"
    bundle.write(target, workspace, "Li Hua", [KERNEL], VERDICT, tmp_path / "evidence")
    with zipfile.ZipFile(target) as archive:
        assert archive.getinfo(bundle.MANIFEST).file_size < 100_000
    (kept,), _, _ = records([target], tmp_path / "class", monkeypatch)
    assert (kept.made, kept.attempts[-1]["reached"], len(kept.attempts)) == (90_001, 7, attempts.MOST)


def test_a_bundle_and_a_grade_of_before_the_bound_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the first version, without `next`; of later ones, with all attempts.
    first = {key: value for key, value in ATTEMPT.items() if key != "next"}
    made = hand_made(tmp_path, manifest={"attempts": [first, ATTEMPT], "attempts_made": GONE})
    into = tmp_path / "class"
    (kept,), _, _ = records([made], into, monkeypatch)
    assert (kept.made, kept.attempts) == (2, [first, ATTEMPT])
    (file,) = (into / grade.RESULTS).iterdir()
    record = json.loads(file.read_text())
    del record["attempts_made"]
    file.write_text(json.dumps(record))
    assert [one.made for one in grade.kept(into)] == [2]
    assert CliRunner().invoke(cli.command, ["report", str(into)]).exit_code == 0
    assert "after 2 checks" in (into / "Li-Hua.html").read_text()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("answer", ["重新" * 170_000, "x" * 1_000_000, "ok " + "\\u001b" * 100_000])
def test_a_long_answer_is_judged_by_its_beginning(answer: str, tmp_path: Path) -> None:
    """Regression: it was stored whole, and a question's pattern took over twenty seconds for it."""
    workspace = Workspace.start(Lab.named("e1000"), tmp_path / "work")
    questions = [question.id for question in workspace.lab.questions]
    for question in questions:
        (workspace.folder / ANSWERS).write_text(f'{question} = "{answer}"', encoding="utf-8")
        (outcome,) = [one for one in Check(workspace, [])._answers() if one.id == question]
        assert outcome.passed is False
        assert len(outcome.seen) < LONGEST_ANSWER + 100
        assert outcome.seen.endswith(" characters more)")


def test_the_compilers_output_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: up to 16 MiB were written into a bundle, which `grade` then refused, and into each record."""
    workspace = Workspace.start(HELLO, tmp_path / "work")
    run = KernelRun(build="error: first\n" + "x" * (16 << 20), warnings="warning: first\n" + "y" * (16 << 20))
    monkeypatch.setattr(Check, "_runs", lambda *_: [run])
    verdict = Check(workspace, []).run()
    for text in (verdict.build, verdict.warnings):
        assert ": first" in text
        assert text.endswith(" characters more)")
        assert len(text) < LONGEST_OUTPUT + 100


@pytest.mark.parametrize("attempts_there", [3, {}, [3], [{"reached": 1}], [{**ATTEMPT, "kernel": 3}]])
def test_a_damaged_record_of_attempts_is_told_before_anything_is_built(attempts_there: object, tmp_path: Path) -> None:
    """Regression: a check failed with an error of Python's at its end, and a list of the labs at its beginning."""
    workspace = Workspace.start(HELLO, tmp_path / "work")
    (workspace.folder / STATE).write_text(json.dumps(workspace.state() | {"attempts": attempts_there}))
    with pytest.raises(UsageError, match="damaged"):
        Workspace.find(workspace.folder)


def test_the_others_are_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: dict[str, Exception] = {
        "odd.zip": R4LError("it went wrong"),
        "full.zip": OSError(36, "File name too long"),
        "bug.zip": ValueError("not what we expected"),
        "deep.zip": RecursionError(),
    }

    def grade_one(read: Bundle, *_: object) -> Grade:
        if read.path.name in errors:
            raise errors[read.path.name]
        return graded(read)

    monkeypatch.setattr(teacher, "prepare_kernels", lambda *_: [])
    monkeypatch.setattr(grade, "grade", grade_one)
    paths = [hand_made(tmp_path, "bad.zip", manifest={"verdict": GONE})]
    paths += [hand_made(tmp_path, name) for name in errors]
    paths += [hand_made(tmp_path, "good.zip", manifest={"student": "李华 [/b]"}), tmp_path / "none.zip"]
    done = CliRunner().invoke(cli.command, ["grade", *map(str, paths), "--into", str(tmp_path / "class")])
    assert isinstance(done.exception, UsageError)
    assert "李华 [/b]  hello  1/1" in done.output
    for said in ("bad.zip", "odd.zip: it went wrong", "full.zip: [Errno 36] File name too long", "none.zip"):
        assert said in done.exception.cause
    # Regression: an error of a kind that nobody had thought of ended the whole grading.
    assert "bug.zip: not what we expected; deep.zip: RecursionError()" in done.exception.cause
    assert "李华 [/b]" in (tmp_path / "class" / "index.html").read_text()


def test_pages_are_written_where_a_later_kernel_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels: list[list[Kernel]] = [[]]

    def prepare(*_: object) -> list[Kernel]:
        if not kernels:
            raise EnvironmentFault("no network")
        return kernels.pop()

    monkeypatch.setattr(teacher, "prepare_kernels", prepare)
    monkeypatch.setattr(grade, "grade", graded)
    paths = [str(hand_made(tmp_path, name)) for name in ("one.zip", "two.zip")]
    done = CliRunner().invoke(cli.command, ["grade", *paths, "--into", str(tmp_path / "class")])
    assert isinstance(done.exception, EnvironmentFault)
    assert "Li Hua" in (tmp_path / "class" / "index.html").read_text()


def test_two_of_one_name_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "prepare_kernels", lambda *_: [])
    monkeypatch.setattr(grade, "grade", graded)
    paths = [str(hand_made(tmp_path, name)) for name in ("one.zip", "two.zip")]
    alone = CliRunner().invoke(cli.command, ["grade", paths[0], "--into", str(tmp_path / "class")])
    assert "second" not in alone.output
    both = CliRunner().invoke(cli.command, ["grade", *paths, "--into", str(tmp_path / "class")])
    assert both.exit_code == 0
    assert "note: two.zip is a second one of Li Hua for hello" in both.output
    assert "one.zip is a second" not in both.output
