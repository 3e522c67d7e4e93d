# SPDX-License-Identifier: MIT
"""Run the project's own tests, part by part. Each part is a command that can be run by hand too.

`tests/parts.toml` is the table of the parts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from r4l import resources
from r4l.errors import EnvironmentFault
from r4l.foreground import run_here
from r4l.selftest import passed, record
from r4l.selftest.ahead import Ahead
from r4l.selftest.parts import Part, Selection, table
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.terminal import Console

__all__ = ["Part", "checkout", "run", "table"]

SLOW = 5
"""Number of the slowest tests named at the end."""


@dataclass(frozen=True)
class PartResult:
    """Result of a part.

    Attributes:
        code: exit code; 0 if the part passed.
        seconds: wall clock, without the wait for its kernel.
        waited: seconds of wall clock spent on its kernel.
    """

    part: Part
    code: int
    seconds: float
    waited: float


def checkout() -> Path:
    """Return the root of the checkout that this program runs from.

    Raises:
        EnvironmentFault: the program was installed from a wheel, which has no tests.
    """
    root = resources.checkout()
    if root is None:
        raise EnvironmentFault("the tests are not in the installed package", "run `./r4l selftest` in a checkout")
    return root


def run(
    parts: Sequence[Part],
    pytest_arguments: Sequence[str] = (),
    selection: Selection | None = "all",
    *,
    go_on: bool = False,
) -> int:
    """Run parts one after the other, all of them even if one fails; return 0 or the first exit code other than 0.

    Args:
        selection: the tests of each part; None for the tests that the default selection leaves out.
        go_on: leave out the parts that have passed on the present files.

    Raises:
        EnvironmentFault: the program does not run from a checkout.
    """
    root = checkout()
    # The runs of a source archive without git's data are not recorded.
    files = passed.files(root) if go_on or (root / ".git").exists() else {}
    if go_on:
        asked, parts = parts, passed.left(parts, selection, files)
        for part in asked:
            if part not in parts:
                print(f"passed before on these files: {part.name}", file=sys.stderr)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    ended: list[PartResult] = []
    needs = dict.fromkeys(part.needs for part in parts if part.needs)
    with _bytecode(), Ahead(needs) as ahead:
        for part in parts:
            begin = time.monotonic()
            if part.needs:
                name, arch = part.needs
                with Stages() as stages:
                    ahead.wait_for(part.needs, stages)
                    set_up(stages, name, arch=arch)
            ready, before = time.monotonic(), passed.key(part, files)
            code = 0
            # A run that ends before its tests has not failed where the one before did.
            record.keep(part.name, failed={})
            chosen = selection or part.rest or "all"
            for command in part.commands([*_kept(part), *pytest_arguments], chosen):
                console.rule(f"[bold]{part.name}[/]: {escape(' '.join(Path(word).name for word in command))}")
                code = run_here(command, root) or code
            now = time.monotonic()
            record.keep(part.name, seconds=round(now - ready, 1))
            # Files that were changed while the part ran may not be those that it saw.
            if code == 0 and files and not pytest_arguments and passed.key(part, passed.files(root)) == before:
                passed.keep(part, chosen, before)
            ended.append(PartResult(part, code, now - ready, ready - begin))
    _summary(console, ended)
    return next((end.code for end in ended if end.code), 0)


@contextlib.contextmanager
def _bytecode() -> Iterator[None]:
    """Have the Pythons that the parts start share their bytecode, even where the user wants none beside the sources.

    Many tests start r4l, and without bytecode each start compiles it: half a second. (Python's manual,
    PYTHONDONTWRITEBYTECODE and PYTHONPYCACHEPREFIX.)
    """
    before = {name: os.environ.get(name) for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")}
    if not before["PYTHONDONTWRITEBYTECODE"]:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="r4l-bytecode-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        try:
            yield
        finally:
            for name, value in before.items():
                del os.environ[name]
                if value is not None:
                    os.environ[name] = value


def _kept(part: Part) -> list[str]:
    """Return arguments of pytest that record a part's tests, and repeat those that could not be judged."""
    return ["-p", record.__name__, f"{record.PART}={part.name}", "--r4l-again"] if part.pytest else []


def _summary(console: Console, ended: Sequence[PartResult]) -> None:
    """Print the parts with their seconds, the slowest tests, and at the end what failed."""
    console.rule()
    for end in ended:
        waited = f" [dim]and {end.waited:.0f} s for its kernel[/]" if end.waited >= 1 else ""
        mark = "[green]✓[/]" if end.code == 0 else "[red]✗[/]"
        console.print(f"{mark} {end.part.name:<14}{end.seconds:7.1f} s{waited}")
    total = sum(end.seconds + end.waited for end in ended)
    console.print(f"  {'together':<14}{total:7.1f} s")
    for taken, part, test in record.slowest([end.part.name for end in ended if end.part.pytest], SLOW):
        console.print(f"[dim]{taken:6.1f} s  {part}: {escape(test)}[/]")
    for end in ended:
        for test, why in record.failures(end.part.name).items():
            console.print(f"[red]✗[/] {end.part.name}: {escape(test)}: {escape(why)}")
