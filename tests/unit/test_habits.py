# SPDX-License-Identifier: MIT
"""Promises of CONTRIBUTING.md, and the work of hooks, workflow and Makefile."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(
    re.findall(r"^### (.+?)\n(.*?)(?=^##)", CONTRIBUTING.partition("## Recipes")[2], re.DOTALL | re.MULTILINE)
)
FILE = re.compile(r"`((?:src|tests|rust|docs|labs)/[\w./-]+)`|\]\(([\w./-]+\.md)\)")
CHECKER = ROOT / ".ci/commit_message.py"


def files_of(recipe: str) -> list[str]:
    """Paths that a recipe names; those with a capital `NAME` in them are made by it."""
    return [path or link for path, link in FILE.findall(recipe)]


def test_there_are_six_recipes() -> None:
    assert len(RECIPES) == 6


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_few_files_which_exist_and_a_red_test(name: str) -> None:
    files = files_of(RECIPES[name])
    made = [path for path in files if "NAME" in path]
    assert [path for path in files if path not in made and not (ROOT / path).exists()] == []
    assert len(set(files) - set(made)) <= 6
    assert "Red:" in RECIPES[name]
    assert re.findall(r"^(\d)\. ", RECIPES[name], re.MULTILINE)[:2] == ["1", "2"]


def targets() -> set[str]:
    """Targets of the Makefile."""
    lines = re.findall(r"^([a-z ]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return {target for line in lines for target in line.split()}


def test_targets_that_the_documents_name_are_there() -> None:
    named = set(re.findall(r"(?:`|\$ )make ([a-z]+)", CONTRIBUTING))
    assert named
    assert named <= targets()
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == targets()


def check(*arguments: str | Path, cwd: Path = ROOT) -> tuple[int, str]:
    """Exit code and complaints of the checker of commit messages."""
    argv = [sys.executable, CHECKER, *arguments]
    done = subprocess.run(argv, cwd=cwd, capture_output=True, encoding="utf-8", check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("klog: a panic is one\n\nIt was two.\n", ""),
        ("vm, net: a cable of each kind\n\nOne was wired wrongly.\n", ""),
        ("README: 数字\n\nMeasured again.\n", ""),
        (f"klog: {'x' * 66}\n\nWhy.\n", ""),
        (f"klog: {'x' * 67}\n\nWhy.\n", "73 characters"),
        (f"klog: {'数' * 66}\n\nWhy.\n", ""),
        ("A sentence about something\n\nWhy.\n", "not `room: what`"),
        ("klog:no blank\n\nWhy.\n", "not `room: what`"),
        ("klog: no body\n", "no body"),
        ("klog: comments are no body\n\n# Please enter the commit message\n", "no body"),
        (
            "klog: neither is the change itself\n\n# ------------------------ >8 ------------------------\ndiff\n",
            "no body",
        ),
        ("klog: body at once\nWhy.\n", "second line"),
        ("", "not `room: what`"),
        ("Merge branch 'main' into x\n", ""),
        ('Revert "klog: a panic is one"\n', ""),
        ("fixup! klog: a panic is one\n", ""),
    ],
)
def test_messages_of_commits(tmp_path: Path, message: str, said: str) -> None:
    file = tmp_path / "COMMIT_EDITMSG"
    file.write_text(message, encoding="utf-8")
    code, complaints = check(file)
    assert (code, said in complaints) == (1 if said else 0, True)
    assert bool(complaints) == bool(said)


def test_messages_of_a_range(tmp_path: Path) -> None:
    identity = {f"GIT_{who}_{what}": "li@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, env={**os.environ, **identity}, check=True, capture_output=True)

    git("init", "-q")
    for message in ("first", "vm: second\n\nWhy.", "third"):
        git("commit", "--allow-empty", "-qm", message)
    code, complaints = check("--range", "HEAD~2..HEAD", cwd=tmp_path)
    assert code == 1
    assert "third" in complaints
    assert "second" not in complaints
    assert check("--range", "HEAD~2..HEAD~1", cwd=tmp_path) == (0, "")


def test_calls_that_name_no_message() -> None:
    assert check()[0] == check("--range")[0] == check("--help")[0] == 2


def documents() -> dict[str, Any]:
    """The YAML files of hooks, workflow and templates, by path."""
    paths = [ROOT / ".pre-commit-config.yaml", *sorted((ROOT / ".github").rglob("*.yml"))]
    return {str(path.relative_to(ROOT)): yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}


def test_the_workflow_runs_the_two_commands() -> None:
    """tests/hosts/test_replay.py runs its steps on a machine that stands for the runner."""
    steps = documents()[".github/workflows/test.yml"]["jobs"]["test"]["steps"]
    runs = [step["run"] for step in steps if "run" in step]
    assert runs[-2:] == ["./r4l demo", "./r4l selftest"]


def test_hooks_call_what_is_there() -> None:
    hooks = [hook for repo in documents()[".pre-commit-config.yaml"]["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}, "nothing is downloaded"
    parts = tomllib.loads((ROOT / "tests/parts.toml").read_text(encoding="utf-8"))
    for hook in hooks:
        words = hook["entry"].split()
        assert all((ROOT / word).is_file() for word in words if "/" in word)
        assert {word for before, word in pairwise(words) if before == "--only"} <= parts.keys()


def test_forms_ask_for_something() -> None:
    forms = {path: form for path, form in documents().items() if "ISSUE_TEMPLATE" in path and "body" in form}
    assert len(forms) == 3
    for form in forms.values():
        assert {"name", "description", "body"} <= form.keys()
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))
        assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_the_changes_begin_with_what_is_not_released_and_go_back_in_time() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *released = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert first == "Unreleased"
    versions = [re.fullmatch(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)", line) for line in released]
    assert all(versions)
    dates = [match[2] for match in versions if match]
    assert dates == sorted(dates, reverse=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not versions or (versions[0] and versions[0][1] == project["version"])
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= {
        *("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    }


def required(name: str, extras: tuple[str, ...] = ("",)) -> dict[str, Requirement]:
    """All that a distribution needs here, itself and by what it needs, by name."""
    found: dict[str, Requirement] = {}
    for line in importlib.metadata.requires(name) or ():
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
            found[canonicalize_name(need.name)] = need
    for need in list(found.values()):
        found = {**required(need.name, ("", *need.extras)), **found}
    return found


def test_the_constraints_name_a_version_of_everything_and_one_that_will_do() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    needs = required("r4l", ("", "test"))
    assert len(needs) > 30
    assert needs.keys() - versions.keys() == set()
    for name, need in needs.items():
        assert need.specifier.contains(versions[canonicalize_name(name)]), (
            f"{need}: {versions[canonicalize_name(name)]}"
        )
