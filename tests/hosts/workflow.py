# SPDX-License-Identifier: MIT
"""The steps of a GitHub workflow, read from the file itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    """What a job does next.

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
        on: the runner's label.
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
