# SPDX-License-Identifier: MIT
"""Parts that passed on the very same files (`r4l selftest --continue`)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from r4l import selftest
from r4l.cli.selftest import command
from r4l.errors import UsageError
from r4l.kernel import named
from r4l.selftest import passed
from r4l.selftest.parts import Part

ONE = Part("one", "", 1.0, ("",), modules=(("this",),))
TWO = Part("two", "", 1.0, ("",), modules=(("no_such_module",),))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "a").write_text("1", encoding="utf-8")
    me = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "a"], [*me, "commit", "-q", "-m", "a"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    monkeypatch.setattr(selftest, "checkout", lambda: folder)
    return folder


def names(parts: list[Part]) -> list[str]:
    return [part.name for part in parts]


def test_what_passed_is_left_out_and_what_failed_runs_again(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert selftest.run([ONE, TWO]) != 0
    assert names(passed.left([ONE, TWO], "all", passed.files(checkout))) == ["two"]
    capfd.readouterr()
    assert selftest.run([ONE, TWO], go_on=True) != 0
    said = capfd.readouterr()
    assert "passed before on these files: one" in said.err
    assert "Beautiful is better" not in said.out  # which `python -m this` prints


@pytest.mark.parametrize("change", ["changed", "new", "removed", "committed"])
def test_other_files_are_another_run(checkout: Path, change: str) -> None:
    assert selftest.run([ONE]) == 0
    if change == "new":
        (checkout / "b").write_text("1", encoding="utf-8")
    elif change == "removed":
        (checkout / "a").unlink()
    else:
        (checkout / "a").write_text("2", encoding="utf-8")
    if change == "committed":
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@x.x", "commit", "-qam", "b"], cwd=checkout, check=True
        )
    assert names(passed.left([ONE], "all", passed.files(checkout))) == ["one"]


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("docs/page.md", ["all", "reads"]),
        ("README.md", ["all"]),
        ("tests/vm/test_x.py", ["all", "vm"]),
        ("tests/fixtures/x.c", ["all", "vm", "hosts", "reads", "drivers"]),
        ("rust/drivers/x/tests/test_x.py", ["all", "drivers"]),
        ("rust/drivers/x/tests/models/x.py", ["all", "vm", "hosts", "reads", "drivers"]),
        ("rust/drivers/x/x.rs", ["all", "vm", "hosts", "reads", "drivers"]),
        ("tests/conftest.py", ["all", "vm", "hosts", "reads", "drivers"]),
        ("src/r4l/home.py", ["all", "vm", "hosts", "reads", "drivers"]),
    ],
)
def test_texts_and_tests_of_others_influence_no_part(checkout: Path, file: str, again: list[str]) -> None:
    about = {
        "all": ("",),
        "vm": ("tests/vm/",),
        "hosts": ("tests/hosts/",),
        "reads": ("docs/page.md",),
        "drivers": ("rust/",),
    }
    parts = [Part(name, "", 1.0, paths, modules=(("this",),)) for name, paths in about.items()]
    assert selftest.run(parts) == 0
    assert passed.left(parts, "all", passed.files(checkout)) == []
    (checkout / file).parent.mkdir(parents=True, exist_ok=True)
    (checkout / file).write_text("1", encoding="utf-8")
    assert names(passed.left(parts, "all", passed.files(checkout))) == again


@pytest.mark.parametrize("change", ["kernel", "no kernel", "variable", "python", "launcher's variable"])
def test_another_kernel_or_setting_is_another_run(checkout: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Regression: after an update of the kernel, what had passed on the old one was left out."""
    made = SimpleNamespace(key="old")
    monkeypatch.setattr(named, "ready", lambda name, *, arch: made if change != "no kernel" else None)
    monkeypatch.setattr(selftest, "set_up", lambda *_, **__: made)
    monkeypatch.setattr("r4l.selftest.ahead.Ahead._work", lambda ahead: ahead._failed(OSError()))
    monkeypatch.delenv("R4L_ACCEL", raising=False)
    parts = [ONE, Part("vm", "", 1.0, ("",), modules=(("this",),), needs=("stock", "x86_64"))]
    assert selftest.run(parts) == 0
    assert passed.left(parts, "all", passed.files(checkout)) == []
    match change:
        case "kernel":
            made.key = "new"
        case "no kernel":

            def gone(name: str, *, arch: str) -> None:
                raise UsageError("there is no such kernel")

            monkeypatch.setattr(named, "ready", gone)
        case "variable":
            monkeypatch.setenv("R4L_ACCEL", "tcg")
        case "python":
            monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
        case _:
            monkeypatch.setenv("R4L_COMMAND", "r4l")
    expected = {"kernel": ["vm"], "variable": ["one", "vm"], "python": ["one", "vm"]}.get(change, [])
    assert names(passed.left(parts, "all", passed.files(checkout))) == expected


def test_a_commit_of_tested_changes_is_no_change(checkout: Path) -> None:
    (checkout / "a").write_text("2", encoding="utf-8")
    (checkout / "中文").write_text("2", encoding="utf-8")
    assert selftest.run([ONE]) == 0
    subprocess.run(["git", "add", "."], cwd=checkout, check=True)
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x.x", "commit", "-qm", "b"], cwd=checkout, check=True
    )
    assert passed.left([ONE], "all", passed.files(checkout)) == []


def test_a_new_link_that_leads_nowhere(checkout: Path) -> None:
    (checkout / "link").symlink_to("nowhere")
    assert selftest.run([ONE]) == 0


def test_a_file_changed_meanwhile_is_not_what_was_tested(checkout: Path) -> None:
    (checkout / "changes.py").write_text("open('a', 'a').write('2')\n", encoding="utf-8")
    part = Part("x", "", 1.0, ("",), modules=(("changes",),))
    assert selftest.run([part]) == 0
    assert names(passed.left([part], "all", passed.files(checkout))) == ["x"]


def test_a_sample_is_not_all_and_all_is_a_sample_too(checkout: Path) -> None:
    part = Part("x", "", 1.0, ("",), modules=(("this",),), default=True, thorough=True)
    files = passed.files(checkout)
    assert selftest.run([part], selection="sample") == 0
    assert (passed.left([part], "sample", files), passed.left([part], "all", files)) == ([], [part])
    assert selftest.run([part], selection="all") == 0
    assert (passed.left([part], "sample", files), passed.left([part], None, files)) == ([], [])


def test_words_for_pytest_are_no_whole_part(checkout: Path) -> None:
    assert selftest.run([ONE], ["-k", "nothing"]) == 0
    assert passed.left([ONE], "all", passed.files(checkout)) == [ONE]
    done = CliRunner().invoke(command, ["--all", "--continue", "--", "-k", "ping"])
    assert isinstance(done.exception, UsageError)


def test_a_source_archive_without_git(checkout: Path) -> None:
    subprocess.run(["rm", "-r", ".git"], cwd=checkout, check=True)
    assert selftest.run([ONE]) == 0
    with pytest.raises(UsageError):
        selftest.run([ONE], go_on=True)
