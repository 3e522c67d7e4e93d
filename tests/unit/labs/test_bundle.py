# SPDX-License-Identifier: MIT
"""Bundles: a changed, damaged or false one is refused, and no file is unpacked elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import strategies as st

from r4l.camp.labs import bundle, grade, pages
from r4l.camp.labs.bundle import BadBundle, Bundle
from r4l.camp.labs.check import Verdict
from r4l.camp.labs.grade import Grade
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import Outcome
from r4l.camp.labs.student import require_student
from r4l.camp.labs.workspace import Workspace
from r4l.errors import UsageError
from r4l.kernel import Kernel

HELLO = Lab.named("hello")
KERNEL = cast(Kernel, SimpleNamespace(release="7.3.4", toolchain=SimpleNamespace(versions=lambda: {"rustc": "1.85.0"})))
VERDICT = Verdict("hello", "7.3.4", (Outcome("loads", "it loads", "checkpoint", True),))


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    """A bundle of the student 李华."""
    workspace = Workspace.start(HELLO, tmp_path / "work")
    (workspace.folder / "hello.rs").write_text("// 我的")
    evidence = tmp_path / "evidence"
    (evidence / "loads").mkdir(parents=True)
    (evidence / "loads" / "console.log").write_bytes(b"\xff log")
    target = tmp_path / bundle.file_name(HELLO, "李华")
    bundle.write(target, workspace, "李华", [KERNEL], VERDICT, evidence)
    return target


def remake(path: Path, change: dict[str, bytes | None], *, manifest: dict[str, Any] | None = None) -> Path:
    """Write the same bundle with other members."""
    with zipfile.ZipFile(path) as archive:
        members: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    if manifest:
        kept = members[bundle.MANIFEST]
        assert kept
        members[bundle.MANIFEST] = json.dumps({**json.loads(kept), **manifest}).encode()
    other = path.with_name("other.zip")
    with zipfile.ZipFile(other, "w") as archive:
        for name, data in {**members, **change}.items():
            if data is not None:
                archive.writestr(name, data)
    return other


def stated(path: Path) -> dict[str, Any]:
    """The manifest of a bundle."""
    with zipfile.ZipFile(path) as archive:
        manifest: dict[str, Any] = json.loads(archive.read(bundle.MANIFEST))
    return manifest


def test_it_is_read_as_it_was_written(handed_in: Path, tmp_path: Path) -> None:
    read = Bundle.read(handed_in)
    assert (read.student, read.lab.name, stated(handed_in)["kernel"]) == ("李华", "hello", "7.3.4")
    assert read.files["evidence/loads/console.log"] == b"\xff log"
    workspace = read.unpack(tmp_path / "again")
    assert (workspace.folder / "hello.rs").read_text() == "// 我的"
    assert (workspace.folder / "Kbuild").read_text() == (HELLO.starter / "Kbuild").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sources/hello.rs": b"// better"}, "changed by hand: sources/hello.rs"),
        ({"sources/hello.rs": None}, "changed by hand: sources/hello.rs"),
        ({"sources/more.rs": b""}, "changed by hand: sources/more.rs"),
        ({"../../etc/cron.d/x": b"x"}, "another place"),
        ({"/etc/x": b"x"}, "another place"),
        ({bundle.MANIFEST: None}, "not a lab's bundle"),
        ({bundle.MANIFEST: b"[]"}, "not a lab's bundle"),
        ({bundle.MANIFEST: b"{"}, "not a lab's bundle"),
    ],
)
def test_what_was_changed_is_refused(handed_in: Path, change: dict[str, bytes | None], said: str) -> None:
    with pytest.raises(BadBundle, match=said):
        Bundle.read(remake(handed_in, change))


def test_a_better_verdict_written_by_hand_is_refused(handed_in: Path) -> None:
    with pytest.raises(BadBundle, match="changed by hand"):
        Bundle.read(remake(handed_in, {}, manifest={"verdict": {"reached": 100, "of": 8}}))


def test_files_that_are_no_bundle(tmp_path: Path, handed_in: Path) -> None:
    for name, data in {"empty": b"", "text": b"hello", "cut": handed_in.read_bytes()[:-30]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadBundle, match="not a lab's bundle"):
            Bundle.read(tmp_path / name)
    with pytest.raises(BadBundle, match="cannot read"):
        Bundle.read(tmp_path / "none")
    with pytest.raises(BadBundle, match="cannot read"):
        Bundle.read(tmp_path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "endless", "hole"])
def test_what_would_be_read_for_ever(kind: str, tmp_path: Path) -> None:
    """Regression: the whole class waited for a pipe among the bundles."""
    path = tmp_path / "it.zip"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(BadBundle, match=r"it\.zip"):
        Bundle.read(path)


def test_a_damaged_bundle_is_refused_or_still_says_the_same(handed_in: Path) -> None:
    whole, data = Bundle.read(handed_in).files, bytearray(handed_in.read_bytes())
    refused = 0
    for place in range(60, len(data) - 60, 13):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        handed_in.write_bytes(damaged)
        try:
            assert Bundle.read(handed_in).files == whole
        except BadBundle:
            refused += 1
    assert refused > 10


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9):
            archive.writestr(f"zeros{number}", bytes(32 << 20))
    with pytest.raises(BadBundle, match="far larger"):
        Bundle.read(bomb)


MEMORY = """
import resource, sys
from pathlib import Path
from r4l.camp.labs.bundle import BadBundle, Bundle
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Bundle.read(Path(sys.argv[1]))
except BadBundle as error:
    print(error.cause)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
"""Program that reads a bundle, and prints the reason of its refusal and the KiB used."""


def refused_with(path: Path) -> tuple[str, int]:
    """Return the reason why a bundle is refused, and the MiB used."""
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
    cause, kibibytes = done.stdout.splitlines()
    return cause, int(kibibytes) >> 10


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("claimed", [100, 64 << 20])
def test_a_bomb_takes_no_memory(tmp_path: Path, method: int, claimed: int) -> None:
    """The stated size is not trusted. With bzip2 the bundles had 459 bytes, and took 844 MiB."""
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", method) as archive:
        archive.writestr("sources/hello.rs", bytes(64 << 20))
        (info,) = archive.infolist()
        info.file_size = claimed
    cause, mebibytes = refused_with(bomb)
    assert re.search(r"packed in a way|far larger|not a lab's bundle", cause), cause
    assert mebibytes < 40


def test_a_list_of_members_has_a_bound(tmp_path: Path) -> None:
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(bundle.MOST + 1):
            archive.writestr(f"evidence/{number}", b"")
    with pytest.raises(BadBundle, match="far larger"):
        Bundle.read(many)
    with many.open("r+b") as file:
        # A list that says that it is short: zipfile reads by its length, which is bounded too.
        file.seek(-bundle.END.size, 2)
        end = list(bundle.END.unpack(file.read()))
        end[3] = end[4] = 1
        file.seek(-bundle.END.size, 2)
        file.write(bundle.END.pack(*end))
    with pytest.raises(BadBundle, match="far larger"):
        Bundle.read(many)


def test_a_list_of_members_has_a_bound_in_zip64(tmp_path: Path) -> None:
    """Regression: zipfile believes the numbers of ZIP64, and the checked ones said that there is one entry."""
    long = tmp_path / "long.zip"
    name, number = b"d/", 200_000
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", *(20, 3, 20), *[0] * 8, len(name), *[0] * 6) + name
    size = number * len(entry)
    end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, number, number, size, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, size, 1)
    assert len(locator) == bundle.LOCATOR
    long.write_bytes(entry * number + end + locator + bundle.END.pack(b"PK\5\6", 0, 0, 1, 1, len(entry), 0, 0))
    with zipfile.ZipFile(long) as archive:
        assert len(archive.infolist()) == number
    cause, mebibytes = refused_with(long)
    assert "far larger" in cause
    assert mebibytes < 40


def test_two_members_of_one_name_are_refused(handed_in: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(handed_in, "a") as archive:
        archive.writestr("sources/hello.rs", b"// another")
    with pytest.raises(BadBundle, match="two files of one name"):
        Bundle.read(handed_in)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=90)


@hypothesis.given(
    evidence=st.dictionaries(NAMES, st.integers(0, 40), max_size=4),
    source=st.text(max_size=50),
    answers=st.binary(max_size=50),
    student=st.text(st.characters(codec="utf-8"), max_size=30),
)
@hypothesis.example(evidence={"nic0.pcap": 17, "console.log": 3}, source="", answers=b"", student="Li Hua")
@hypothesis.example(evidence={f"{n}.pcap": 15 for n in range(4)}, source="", answers=b"", student="Li Hua")
@hypothesis.example(evidence={"\x1b]0;x": 1, "a\\b": 1, "ä" * 90: 1}, source="", answers=b"", student="Li Hua")
@hypothesis.settings(max_examples=25)
def test_what_submit_writes_grade_takes(
    evidence: dict[str, int], source: str, answers: bytes, student: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """If `grade` would refuse it, `submit` reports that; sizes are in MiB of a bundle's 64."""
    top = tmp_path_factory.mktemp("submit")
    workspace = Workspace.start(HELLO, top / "work")
    (workspace.folder / "hello.rs").write_text(source, encoding="utf-8")
    (workspace.folder / "answers.toml").write_bytes(answers)
    (top / "evidence").mkdir()
    for name, size in evidence.items():
        with contextlib.suppress(OSError), (top / "evidence" / name).open("wb") as file:
            file.truncate(size << 20)
    target = top / "it.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "LARGEST", 64 << 20)
        try:
            name = require_student(student)
            workspace.answers()
            bundle.write(target, workspace, name, [KERNEL], VERDICT, top / "evidence")
        except UsageError:
            assert not target.exists()
            return
        read = Bundle.read(target)
        left_out = stated(target)["left_out"]
        assert len(left_out) + sum(name.startswith("evidence/") for name in read.files) == sum(
            path.is_file() for path in (top / "evidence").iterdir()
        )
        again = read.unpack(top / "again")
        assert again.sources() == workspace.sources()
        assert again.answers() == workspace.answers()
    shutil.rmtree(top)


def test_an_interrupted_submit_leaves_nothing(tmp_path: Path, handed_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", interrupted)
    target = tmp_path / "b.zip"
    with pytest.raises(KeyboardInterrupt):
        bundle.write(target, Workspace.find(tmp_path / "work"), "x", [KERNEL], VERDICT, tmp_path / "evidence")
    assert not target.exists()
    assert not list(tmp_path.glob(".b.zip*"))


def a_grade(student: str, reached: int, *, when: str = "2026-01-01T00:00:00+00:00", claimed: int = 1) -> Grade:
    outcomes = [
        {"id": "loads", "title": "<b>loads", "kind": "checkpoint", "passed": reached > 0, "expected": "", "seen": ""}
    ]
    outcomes[0] |= {"read": "", "detail": "<script>"}
    verdict = {"reached": reached, "of": 1, "full": reached == 1, "outcomes": outcomes, "kernel": "7.3.4", "build": ""}
    return Grade(student, "hello", when, when, claimed, verdict, [{"reached": reached}])


def test_a_class_keeps_its_grades_and_shows_the_best(tmp_path: Path) -> None:
    grade.keep(a_grade("李华", 1, when="2026-01-02T00:00:00+00:00"), tmp_path, "a")
    grade.keep(a_grade("李华", 0, when="2026-01-03T00:00:00+00:00"), tmp_path, "a")
    grade.keep(a_grade("=cmd()", 0), tmp_path, "b")
    index = pages.write(tmp_path, grade.kept(tmp_path)).read_text()
    assert "1/1" in index
    assert "claimed 1" in index
    table = (tmp_path / "class.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in table[1:]] == [["'=cmd()", "hello", "0"], ["李华", "hello", "1"]]
    page = (tmp_path / "李华.html").read_text()
    assert "<script>" not in page
    assert "<b>loads" not in page


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("  =1+1", "  '=1+1"),
        ("\u3000＝1+1", "\u3000'＝1+1"),
        ("＋1", "'＋1"),
        ("－1", "'－1"),
        ("＠SUM(1)", "'＠SUM(1)"),
        ("Li;=cmd|'/C calc'!A0", "Li;'=cmd|'/C calc'!A0"),
        ("Li; -1", "Li; '-1"),
        ("Li,@x", "Li,'@x"),
        ("|calc", "'|calc"),
        ("Anne-Marie O'Neil + Co", "Anne-Marie O'Neil + Co"),
        ("7.3.4+deb13-amd64, 7.2", "7.3.4+deb13-amd64, 7.2"),
    ],
)
def test_no_cell_is_a_formula_in_any_language(name: str, cell: str) -> None:
    """Regression: signs after a separator of another language, after blanks, and in their wide forms passed."""
    assert pages._plain(name) == cell


def test_grades_of_one_second_are_both_kept(tmp_path: Path) -> None:
    """Regression: the second replaced the first, which may be the better one."""
    for reached in (1, 0, 1):
        grade.keep(a_grade("李华", reached, when="2026-01-02T00:00:00+00:00"), tmp_path, "a")
    assert [one.verdict["reached"] for one in grade.kept(tmp_path)] == [1, 0, 1], "in their order"
    assert not list(tmp_path.rglob("*.partial"))


def test_a_page_says_where_to_read_about_what_was_missed(tmp_path: Path) -> None:
    for student, reached in (("missed", 0), ("reached", 1)):
        graded = a_grade(student, reached)
        graded.verdict["outcomes"][0]["read"] = "handout, 1. A hook"
        grade.keep(graded, tmp_path, student)
    pages.write(tmp_path, grade.kept(tmp_path))
    assert "handout, 1. A hook" in (tmp_path / "missed.html").read_text()
    assert "handout, 1. A hook" not in (tmp_path / "reached.html").read_text()


def test_hidden_checks_do_not_excuse_a_false_claim() -> None:
    honest = a_grade("x", 1)
    assert honest.believed
    honest.verdict["outcomes"][0]["kind"] = "hidden"
    assert not honest.believed


def test_the_graders_folder_is_told_when_it_is_empty_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no grades"):
        list(grade.kept(tmp_path))
    (tmp_path / grade.RESULTS).mkdir()
    (tmp_path / grade.RESULTS / "x.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be read"):
        list(grade.kept(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [grade.RESULTS]


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": {}},
        {"verdict": None},
        {"verdict": {"reached": 1, "of": 1, "kernel": "7", "build": "", "outcomes": []}},
        {"verdict": {**a_grade("x", 1).verdict, "outcomes": [{}]}},
        {"verdict": {**a_grade("x", 1).verdict, "outcomes": [1]}},
        {"verdict": {**a_grade("x", 1).verdict, "reached": "1"}},
        {"attempts": 5},
        {"attempts": [{}]},
        {"claimed": "all"},
        {"student": None},
        {"when": 5},
        {"more": 1},
    ],
)
def test_a_damaged_grade_is_told(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / grade.RESULTS).mkdir()
    file = tmp_path / grade.RESULTS / "x.json"
    data = asdict(a_grade("x", 1))
    file.write_text(json.dumps(data))
    pages.write(tmp_path, grade.kept(tmp_path))
    for text in (json.dumps({**data, **change}), "[" * 100_000):
        file.write_text(text)
        with pytest.raises(UsageError, match="cannot be read"):
            pages.write(tmp_path, grade.kept(tmp_path))


def test_hidden_checks_are_those_of_the_lab(tmp_path: Path) -> None:
    assert grade.hidden_checks(tmp_path, HELLO) == [tmp_path]
    (tmp_path / "helpers").mkdir()
    assert grade.hidden_checks(tmp_path, HELLO) == [tmp_path]
    (tmp_path / "04-e1000").mkdir()
    assert grade.hidden_checks(tmp_path, HELLO) == []
    assert grade.hidden_checks(tmp_path, Lab.named("e1000")) == [tmp_path / "04-e1000"]
    (tmp_path / "hello").mkdir()
    assert grade.hidden_checks(tmp_path, HELLO) == [tmp_path / "hello"]
