# SPDX-License-Identifier: MIT
"""The table of the parts: every test belongs to a part, every file of the project affects one."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from r4l.cli.selftest import command
from r4l.selftest import parts
from r4l.selftest.parts import Part
from r4l.selftest.touched import changed_files, within

CHECKOUT = Path(__file__).parents[3]
TABLE = parts.table(CHECKOUT)
MARK = f"pytest.mark.{parts.THOROUGH}"


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True)
    return [name.decode() for name in done.stdout.split(b"\0") if name]


def test_every_file_with_tests_belongs_to_a_part() -> None:
    files = [
        name for name in tracked() if re.search(r"(^|/)test_[^/]*\.py$", name) and name.startswith(("tests/", "rust/"))
    ]
    assert len(files) > 100
    for file in files:
        if "/fixtures/" in file:
            continue
        owners = [
            part.name
            for part in TABLE.values()
            for word in part.pytest
            if file == word.split("::")[0] or file.startswith(f"{word}/")
        ]
        assert owners, f"{file} is run by no part of tests/parts.toml"


def test_every_file_of_the_project_is_some_parts() -> None:
    for file in tracked():
        assert any(part.is_about(file) for part in TABLE.values()), f"{file} is in no `paths` of tests/parts.toml"


def test_every_path_of_the_table_is_there() -> None:
    for part in TABLE.values():
        words = [word.split("::")[0] for word in part.pytest if word.startswith(("tests/", "rust/"))]
        for path in [*part.paths, *words]:
            assert (CHECKOUT / path).exists(), f"{part.name}: there is no {path}"
            assert not path or path.endswith("/") == (CHECKOUT / path).is_dir() or path in words


def test_a_part_is_about_its_own_tests() -> None:
    """Otherwise --touched would not run it, and --continue would take it for passed, when its tests were changed."""
    for part in TABLE.values():
        words = [word.split("::")[0] for word in part.pytest if word.startswith(("tests/", "rust/"))]
        for path in words:
            assert part.is_about(f"{path}/x" if (CHECKOUT / path).is_dir() else path), f"{part.name}: {path}"


def test_thorough_tests_are_in_parts_that_say_so() -> None:
    """Otherwise the default selection would run them, or --touched would find no test."""
    marked = [name for name in tracked() if name.endswith(".py") and MARK in (CHECKOUT / name).read_text("utf-8")]
    for part in TABLE.values():
        if part.default:
            own = [name for name in marked for word in part.pytest if name == word or name.startswith(f"{word}/")]
            left_out = part.name == "arm64"  # by name: they are in drivers-arm64
            assert bool(own) == (part.thorough or left_out), f"{part.name}: {own}"


def test_the_default_runs_no_kernel_from_source() -> None:
    assert {part.needs for part in TABLE.values() if part.default} <= {None, ("stock", "x86_64"), ("stock", "arm64")}


def part(**values: object) -> Part:
    return Part("x", "about", 1.0, ("src/",), pytest=("tests/x",), **values)  # type: ignore[arg-type]


def test_a_command_has_a_worker_for_each_processor() -> None:
    (argv,) = part(workers="cores").commands(["-k", "ping"])
    count = os.cpu_count() or 1
    assert argv[-2:] == ["-k", "ping"]
    assert (["-n", str(count), "--dist", "worksteal"] == argv[4:8]) == (count > 1)
    assert "-n" not in part().commands()[0]


def test_selections_of_a_part() -> None:
    thorough = part(default=True, thorough=True)
    assert thorough.commands(selection="sample")[0][-2:] == ["-m", "not thorough"]
    assert thorough.commands(selection="rest")[0][-2:] == ["-m", "thorough"]
    assert thorough.commands()[0][-1] == "tests/x"
    assert part(default=True).commands(selection="sample")[0][-1] == "tests/x"
    assert (thorough.rest, part(default=True).rest, part().rest) == ("rest", None, "all")


def test_paths_are_files_folders_or_everything() -> None:
    about = Part("x", "", 1.0, ("src/r4l/ide/", "r4l"))
    assert [about.is_about(name) for name in ("src/r4l/ide/a.py", "r4l", "r4lx", "src/r4l/idea.py")] == [
        *(True, True, False, False)
    ]
    assert Part("x", "", 1.0, ("",)).is_about("anything")


def test_parts_within_a_time_the_short_ones_first() -> None:
    some = [Part(name, "", minutes, ()) for name, minutes in (("a", 10), ("b", 3), ("c", 5), ("d", 30))]
    fitting, rest = within(some, 9)
    assert ([p.name for p in fitting], [p.name for p in rest]) == (["b", "c"], ["a", "d"])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with an old commit of `old`, and new ones of `new` and `new folder/ä`."""
    for name, day in (("old", "2026-02-01T22:00"), ("new", "2026-02-02T01:00"), ("new folder/ä", "2026-02-02T23:00")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        environment = {**os.environ, **{f"GIT_{role}_DATE": f"{day}:00Z" for role in ("AUTHOR", "COMMITTER")}}
        identity = ["-c", "user.name=Li Hua", "-c", "user.email=li@example.org"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", name]):
            subprocess.run(["git", *identity, *words], cwd=tmp_path, env=environment, check=True)
    return tmp_path


def test_files_of_the_last_day_and_since_a_commit(repository: Path) -> None:
    assert changed_files(repository, None) == {"new", "new folder/ä"}
    assert changed_files(repository, "HEAD~1") == {"new folder/ä"}


def test_work_that_is_not_committed_counts_as_changed(repository: Path) -> None:
    (repository / "new").write_text("edited")
    (repository / "untracked ü").touch()
    (repository / ".gitignore").write_text("ignored\n")
    (repository / "ignored").touch()
    work = {"new", "untracked ü", ".gitignore"}
    assert changed_files(repository, "HEAD") == work
    assert changed_files(repository, "HEAD~1") == work | {"new folder/ä"}
    assert changed_files(repository, None) == work | {"new folder/ä"}


def test_a_file_that_was_moved_has_changed_at_its_old_place_too(repository: Path) -> None:
    """Regression: git told the new name only, and the parts that the file was taken from were not tested."""
    identity = ["-c", "user.name=Li Hua", "-c", "user.email=li@example.org"]
    (repository / "long").write_text("a line\n" * 30)
    for words in (["add", "-A"], ["commit", "-qm", "long"], ["mv", "long", "moved\nand quoted"]):
        subprocess.run(["git", *identity, *words], cwd=repository, check=True)
    assert changed_files(repository, "HEAD") == {"long", "moved\nand quoted"}
    subprocess.run(["git", *identity, "commit", "-qam", "moved"], cwd=repository, check=True)
    assert changed_files(repository, "HEAD~1") == {"long", "moved\nand quoted"}
    (repository / "moved\nand quoted").rename(repository / "again")
    subprocess.run(["git", *identity, "commit", "-qam", "gone"], cwd=repository, check=True)
    assert {"long", "moved\nand quoted"} <= changed_files(repository, None)


def test_changes_of_the_other_branch_do_not_count(repository: Path) -> None:
    git = ["git", "-C", str(repository), "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["branch", "other"], ["commit", "-q", "--allow-empty", "-m", "x"], ["switch", "-q", "other"]):
        subprocess.run([*git, *words], check=True)
    (repository / "theirs").touch()
    for words in (["add", "-A"], ["commit", "-q", "-m", "x"], ["switch", "-q", "-"]):
        subprocess.run([*git, *words], check=True)
    (repository / "ours").touch()
    assert changed_files(repository, "other") == {"ours"}


def test_that_nothing_is_touched_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r4l.cli.selftest.changed_files", lambda *_: set())
    done = selftest("--list", "--touched", "HEAD")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "leaves out nothing" in done.stderr


def selftest(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_the_list_names_what_would_run() -> None:
    default = selftest("--list").stdout.split()
    everything = selftest("--list", "--all").stdout
    assert "vm" in default
    assert "mutants" not in default
    assert [line.split()[0] for line in everything.splitlines()] == list(TABLE)
    assert selftest("--list", "--only", "editor").stdout.startswith("editor ")


def test_mistakes() -> None:
    for arguments, word in [
        (["--only", "nosuch"], "no part nosuch"),
        (["--all", "--only", "vm"], "exclude each other"),
        (["--minutes", "3"], "--touched"),
        (["--touched", "no-such-commit", "--list"], "git cannot list the changed files"),
    ]:
        assert word in str(selftest(*arguments).exception)
