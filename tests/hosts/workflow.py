# SPDX-License-Identifier: MIT
"""The steps of a GitHub workflow, of a GitLab pipeline and of a Dockerfile, read from the files themselves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
"""An expression of GitHub that names a value of a context."""
GITHUB = {"runner.os": "Linux", "runner.arch": "X64"}
OPTIONAL = ("failure()", "github.event_name == 'pull_request'")
"""Conditions that do not hold for a push whose steps pass."""


@dataclass(frozen=True)
class Step:
    """A step of a job.

    Attributes:
        run: commands for a shell; empty for an action.
        uses: the action, without its version.
        options: those of the action.
        env: variables.
    """

    run: str = ""
    uses: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        on: the runner's label, or the image.
        steps: the steps that a push runs.
    """

    on: str
    steps: list[Step]


def github(text: str) -> Job:
    """Return the only job of a workflow.

    Raises:
        ValueError: it uses what is not imitated here.
    """
    data: dict[Any, Any] = yaml.safe_load(text)
    # YAML 1.1 takes the key `on` for a truth value.
    if "push" not in data[True]:
        raise ValueError("a push does not start it")
    (job,) = data["jobs"].values()
    if unknown := job.keys() - {"runs-on", "timeout-minutes", "env", "steps"}:
        raise ValueError(f"keys of a job that are not imitated: {unknown}")
    env = {**data.get("env", {}), **job.get("env", {})}
    # A condition of another kind is not among the keys that `_step` knows.
    steps = [_step(step, env) for step in job["steps"] if step.get("if") not in OPTIONAL]
    return Job(job["runs-on"], steps)


def _step(data: Mapping[str, Any], env: Mapping[str, str]) -> Step:
    if unknown := data.keys() - {"name", "run", "uses", "with", "env"}:
        raise ValueError(f"keys of a step that are not imitated: {unknown}")
    known = {**GITHUB, **{f"env.{name}": value for name, value in env.items()}}

    def filled(value: object) -> str:
        return EXPRESSION.sub(lambda match: known[match[1]], str(value))

    options = {name: filled(value) for name, value in data.get("with", {}).items()}
    own = {name: filled(value) for name, value in {**env, **data.get("env", {})}.items()}
    return Step(filled(data.get("run", "")), data.get("uses", "").partition("@")[0], options, own)


def gitlab(text: str) -> Job:
    """Return the only job of a pipeline: its script as one step, as GitLab's runner runs it.

    Raises:
        ValueError: it uses what is not imitated here.
    """
    ((_, job),) = yaml.safe_load(text).items()
    if unknown := job.keys() - {"image", "timeout", "variables", "before_script", "script"}:
        raise ValueError(f"keys of a job that are not imitated: {unknown}")
    lines = [*job.get("before_script", []), *job["script"]]
    return Job(job["image"], [Step("\n".join(lines), env=job.get("variables", {}))])


@dataclass(frozen=True)
class Layer:
    """A RUN of a Dockerfile, or its CMD, with all that holds for it.

    Attributes:
        words: the command.
        user: name of the user; empty for root.
        folder: working directory.
        env: variables.
    """

    words: list[str]
    user: str
    folder: str
    env: Mapping[str, str]


@dataclass(frozen=True)
class Image:
    """An image, as a Dockerfile makes it.

    Attributes:
        base: the image that it starts from.
        layers: its RUN lines.
        command: its CMD.
    """

    base: str
    layers: list[Layer]
    command: Layer


def dockerfile(text: str) -> Image:
    """Read a Dockerfile (docs.docker.com, "Dockerfile reference").

    Raises:
        ValueError: it has an instruction that is not imitated here.
    """
    base, user, folder, env = "", "", "/", dict[str, str]()
    layers: list[Layer] = []
    command: Layer | None = None
    for name, value in _instructions(text):
        match name:
            case "FROM":
                base = value
            case "ENV":
                env |= dict(word.split("=", 1) for word in shlex.split(value))
            case "USER":
                user = value
            case "WORKDIR":
                folder = value
            case "RUN":
                layers.append(Layer(["/bin/sh", "-c", value], user, folder, dict(env)))
            case "CMD":
                command = Layer(yaml.safe_load(value), user, folder, dict(env))
            case _:
                raise ValueError(f"an instruction that is not imitated: {name}")
    if not command:
        raise ValueError("it has no CMD")
    return Image(base, layers, command)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, value = line.strip().partition(" ")
        yield name.upper(), value.strip()
