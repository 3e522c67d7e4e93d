# SPDX-License-Identifier: MIT
"""The project's own tests, part by part, each a command that can be run by hand too."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from r4l import resources
from r4l.errors import EnvironmentFault
from r4l.setup import set_up
from r4l.stages import Stages

PYTHON = sys.executable


def _ruff(_arguments: Sequence[str]) -> list[list[str]]:
    return [[PYTHON, "-m", "ruff", "check", "."], [PYTHON, "-m", "ruff", "format", "--check", "--diff", "."]]


def _mypy(_arguments: Sequence[str]) -> list[list[str]]:
    return [[PYTHON, "-m", "mypy"]]


def _unit(arguments: Sequence[str]) -> list[list[str]]:
    return [[PYTHON, "-m", "pytest", "tests/unit", *arguments]]


def _rust(_arguments: Sequence[str]) -> list[list[str]]:
    return [[PYTHON, "-m", "pytest", "tests/rust"]]


def _vm(arguments: Sequence[str]) -> list[list[str]]:
    return [[PYTHON, "-m", "pytest", "tests/vm", *arguments]]


def _editor(arguments: Sequence[str]) -> list[list[str]]:
    return [[PYTHON, "-m", "pytest", "tests/editor", *arguments]]


def _setup(arguments: Sequence[str]) -> list[list[str]]:
    return [[PYTHON, "-m", "pytest", "tests/setup", *arguments]]


PARTS: dict[str, Callable[[Sequence[str]], list[list[str]]]] = {
    "lint": _ruff,
    "types": _mypy,
    "unit": _unit,
    "rust": _rust,
    "vm": _vm,
    "editor": _editor,
    "setup": _setup,
}
"""Each part with the commands that make it up."""


def run(parts: Sequence[str], pytest_arguments: Sequence[str] = ()) -> int:
    """Run parts one after the other, all of them even when one fails.

    Returns:
        0, or the first exit code that was not 0.

    Raises:
        EnvironmentFault: this is no checkout.
    """
    checkout = resources.checkout()
    if checkout is None:
        raise EnvironmentFault("the tests are not in the installed package", "run `./r4l selftest` in a checkout")
    console = Console(stderr=True, highlight=False)
    first = 0
    results: list[tuple[str, int, float]] = []
    for part in parts:
        if part in ("rust", "vm", "editor"):
            with Stages() as stages:
                set_up(stages)
        begin = time.monotonic()
        code = 0
        for command in PARTS[part](pytest_arguments):
            console.rule(f"[bold]{part}[/]: {' '.join(Path(word).name for word in command)}")
            code = subprocess.run(command, cwd=checkout, check=False).returncode or code
        results.append((part, code, time.monotonic() - begin))
        first = first or code
    console.rule()
    for part, code, seconds in results:
        console.print(f"{'[green]✓[/]' if code == 0 else '[red]✗[/]'} {part:<8} {seconds:7.1f} s")
    return first
