# SPDX-License-Identifier: MIT
"""New driver folders as files: their content, and refused names. No kernel, no VM."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.hosts.workflow import dockerfile, github, gitlab

from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.scaffold import Template, create, guess_author, require_author
from r4l.scaffold.names import require_free, require_name

TEMPLATES = list(Template.all())


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home without any setup."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))


def rendered(template: str, name: str = "foo") -> dict[str, str]:
    return Template.named(template).render(name, "Li Hua")


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_folder_has_all_that_it_shall_have(template: str) -> None:
    files = rendered(template)
    source = Template.named(template).source.replace("NAME", "foo")
    expected = {source, "Kbuild", "Makefile", "README.md", ".gitignore", "rustfmt.toml", "pytest.ini"}
    expected |= {"tests/test_foo.py", ".github/workflows/test.yml", ".gitlab-ci.yml"}
    expected |= {"Dockerfile", ".devcontainer/devcontainer.json"}
    assert expected <= set(files)
    assert "obj-m := foo.o" in files["Kbuild"]
    assert "#![forbid(unsafe_code)]" in files[source]
    assert 'name: "foo"' in files[source]
    assert '"Li Hua"' in files[source]
    assert "/rust-project.json" in files[".gitignore"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_nothing_of_the_template_is_left(template: str) -> None:
    for path, text in rendered(template).items():
        assert not set(text) & set("«»"), path
        assert "NAME" not in path
        assert ".j2" not in path
        assert "dot_" not in path
        assert "SPDX-License-Identifier: GPL-2.0-only" in text[:100], path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not [line for line in text.splitlines() if line != line.rstrip()], path


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_python_parses_and_the_linter_has_nothing_to_say(template: str, tmp_path: Path) -> None:
    # The name decides on the order of what is imported.
    for name in ("foo", "zoo"):
        for path, text in rendered(template, name).items():
            if path.endswith(".py"):
                ast.parse(text, path)
                (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / path).write_text(text)
    options = ["--isolated", "--line-length=120", "."]
    for arguments in (["check", *options], ["format", "--check", *options]):
        argv = [sys.executable, "-m", "ruff", *arguments]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_workflow_is_yaml_that_runs_the_tests(template: str) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(rendered(template)[".github/workflows/test.yml"])
    # YAML 1.1 takes the key `on` for a truth value.
    assert set(workflow[True]) == {"push", "pull_request"}
    job = workflow["jobs"]["test"]
    cache = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/cache@"))
    assert cache["with"]["path"] == "${{ env.R4L_HOME }}"
    assert job["env"]["R4L_HOME"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert any(command.startswith("pip install r4l") for command in commands)
    assert commands[-1] == "python -m pytest -v"


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_pipeline_and_the_image_do_what_the_workflow_does(template: str) -> None:
    files = rendered(template)
    workflow = github(files[".github/workflows/test.yml"])
    commands = [step.run for step in workflow.steps if step.run and "sudo" not in step.run]
    pipeline = gitlab(files[".gitlab-ci.yml"])
    assert pipeline.steps[0].run.splitlines() == commands
    image = dockerfile(files["Dockerfile"])
    assert image.base == pipeline.on
    assert image.layers[-1].words[-1] == "r4l setup"
    assert image.command.words == ["r4l", "test"]
    user = image.command.user
    assert image.layers[-1].user == user != "", "root's files in the user's folder would be in the way"
    lines = files[".devcontainer/devcontainer.json"].splitlines()
    container = json.loads("\n".join(line for line in lines if not line.startswith("//")))
    assert container["remoteUser"] == user
    assert container["build"]["dockerfile"] == "../Dockerfile"


STRANGE: dict[str, tuple[Callable[[str], object], str, str]] = {
    "a matrix": (github, "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {}\n    steps: []\n", "strategy"),
    "a condition": (
        github,
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {run: ls, if: always()}\n",
        "if",
    ),
    "services": (gitlab, "a:\n  image: x\n  services: [y]\n  script: [ls]\n", "services"),
    "another instruction": (dockerfile, 'FROM x\nENTRYPOINT ["ls"]\nCMD []\n', "ENTRYPOINT"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_nothing_is_left_out_of_a_replay_in_silence(what: str) -> None:
    read, text, name = STRANGE[what]
    with pytest.raises(ValueError, match=name):
        read(text)


def test_the_name_of_an_interface_fits() -> None:
    name = "a" * 50
    assert f'c"{"a" * 12}%d"' in rendered("netdev", name)["main.rs"]
    assert f"{name}-y := main.o" in rendered("netdev", name)["Kbuild"]


@pytest.mark.parametrize(
    ("name", "cause", "remedy"),
    [
        ("my-driver", "only small letters", "use my_driver"),
        ("MyDriver", "only small letters", "use mydriver"),
        ("3com", "only small letters", "my_driver"),
        ("驱动", "only small letters", "my_driver"),
        ("a b", "only small letters", "use a_b"),
        ("a\n", "only small letters", "use a"),
        ("../foo", "is not a plain name", "change to the parent folder"),
        ("foo/bar", "is not a plain name", "change to the parent folder"),
        ("", "is not a plain name", "give a name"),
        ("loop", "a keyword of Rust", "loop_driver"),
        ("virtual", "a keyword of Rust", "virtual_driver"),
        ("kernel", "the name of a crate", "kernel_driver"),
        ("kit", "the name of a crate", "kit_driver"),
        ("null", "something in /dev", "null_driver"),
        ("main", "Kbuild has a file", "main_driver"),
        ("vmlinux", "Kbuild has a file", "vmlinux_driver"),
        ("obj", "Kbuild's own lists", "obj_driver"),
        ("subdir", "Kbuild's own lists", "subdir_driver"),
        ("x" * 51, "too long", "at most 50"),
    ],
)
def test_names_that_cannot_be(name: str, cause: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_name(name)
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("name", ["a", "foo", "foo_2", "x" * 50])
def test_names_that_can_be(name: str) -> None:
    assert require_name(name) == name


def test_what_the_kernel_has_itself(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/drivers/net/ethernet/intel/e1000/e1000.ko.xz:\nkernel/sound/snd-hda-intel.ko.xz: kernel/x.ko.xz\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/drivers/tty/serial/8250/8250.ko\nkernel/fs/ext4.ko\n")
    with pytest.raises(UsageError, match="a module called e1000"):
        require_free("e1000", tmp_path)
    with pytest.raises(UsageError, match="a module called snd_hda_intel"):
        require_free("snd_hda_intel", tmp_path)
    with pytest.raises(UsageError, match="a built-in driver called ext4"):
        require_free("ext4", tmp_path)
    require_free("e100", tmp_path)
    require_free("x", tmp_path)


@pytest.mark.usefixtures("no_kernel")
def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("mine", "file", "link"):
        with pytest.raises(UsageError, match="exists already"):
            create(name, Template.named("hello"), tmp_path)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["precious"]
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "home", "link", "mine"]


@pytest.mark.usefixtures("no_kernel")
def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "foo").mkdir()
    folder = create("foo", Template.named("hello"), tmp_path)
    assert (folder / "foo.rs").is_file()


@pytest.mark.usefixtures("no_kernel")
def test_a_path_that_make_cannot_take(tmp_path: Path) -> None:
    (tmp_path / "my drivers").mkdir()
    with pytest.raises(UsageError, match="has a space in its path"):
        create("foo", Template.named("hello"), tmp_path / "my drivers")
    assert not list((tmp_path / "my drivers").iterdir())


@pytest.mark.usefixtures("no_kernel")
def test_a_failure_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    write_text = Path.write_text

    def full_disk(self: Path, *arguments: Any, **rest: Any) -> int:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(self)
        return write_text(self, *arguments, **rest)

    (tmp_path / "parent").mkdir()
    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        create("foo", Template.named("hello"), tmp_path / "parent", author="Li Hua")
    assert len(written) == 3
    assert not list((tmp_path / "parent").iterdir())


@pytest.mark.parametrize("author", ["李华", 'Li "L" Hua', "a\\b", "", "a\nb", "{x}"])
def test_authors_that_a_module_cannot_name(author: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a module's metadata"):
        require_author(author)


def test_the_author_is_who_git_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\necho Li Hua\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert guess_author() == "Li Hua"
    git.write_text("#!/bin/sh\necho 李华\n")
    assert require_author(guess_author())


def test_a_user_that_only_a_number_is_known_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("shutil.which", lambda _program: None)
    assert guess_author() == "Unknown"


def test_an_unknown_template() -> None:
    with pytest.raises(UsageError, match="no template gpu") as caught:
        Template.named("gpu")
    assert "netdev" in caught.value.remedy


def test_the_command(tmp_path: Path) -> None:
    def r4l(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "R4L_HOME": str(tmp_path / "home")}
        argv = [sys.executable, "-m", "r4l", "new", *arguments]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)

    made = r4l("foo", "--template", "netdev", "--json")
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert said["folder"] == str(tmp_path / "foo")
    assert set(said["files"]) == set(rendered("netdev"))
    assert all((tmp_path / "foo" / file).is_file() for file in said["files"])
    again = r4l("foo", "--json")
    assert again.returncode == 2
    assert "exists" in json.loads(again.stdout)["cause"]
    assert r4l("foo", "--template", "gpu").returncode == 2
    assert r4l("bar", "--kernel", "nosuch").returncode == 2
    assert not (tmp_path / "bar").exists()
    corrected = r4l("bar")
    assert corrected.returncode == 0, corrected.stderr
    # Where r4l came by its launcher, the user's own Python has no pytest.
    assert "next: cd bar && r4l build . && r4l test" in corrected.stderr
    assert "python -m pytest" not in (tmp_path / "bar/README.md").read_text()


def test_kernels_are_asked_for_their_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ready:
        modules = tmp_path

    (tmp_path / "modules.dep").write_text("kernel/drivers/foo.ko.xz:\n")
    monkeypatch.setattr(Kernel, "ready", classmethod(lambda *_: Ready()))
    with pytest.raises(UsageError, match="a module called foo already"):
        create("foo", Template.named("hello"), tmp_path)
