# SPDX-License-Identifier: MIT
"""A verdict as the terminal shows it, and the errors for a verdict that is not full."""

from __future__ import annotations

from rich.markup import escape

from r4l.camp.labs.check import Verdict
from r4l.camp.labs.outcomes import Outcome
from r4l.cli.called import as_called
from r4l.errors import EnvironmentFault, VerdictError
from r4l.terminal import Console

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}
UNJUDGED = "[blue]?[/]"
DETAIL = 25
"""Number of lines of a long text that are shown; results.json has all."""


class NotYet(VerdictError):
    """A checkpoint is not reached, or a question not answered."""

    category = "lab"


class Unjudged(EnvironmentFault):
    """This machine could not judge a checkpoint; no other checkpoint was missed."""

    category = "unjudged"


def show(verdict: Verdict, console: Console) -> None:
    """Print a verdict: for each checkpoint the expectation, the observation, and what to read."""
    if verdict.build:
        console.print(f"[red]✗[/] the module does not build, so nothing was checked\n{escape(verdict.build)}")
    told: dict[tuple[str, str, str], str] = {}
    for outcome in verdict.outcomes:
        if verdict.build and outcome.kind != "question":
            continue
        mark = UNJUDGED if outcome.fault else MARKS[outcome.passed]
        console.print(f"{mark} [bold]{escape(outcome.id)}[/]  {escape(outcome.title)}")
        lines = _lines(outcome)
        if outcome.kind != "question" and outcome.passed is False:
            first = told.setdefault((outcome.expected, outcome.seen, outcome.detail), outcome.id)
            lines = lines if first == outcome.id else [f"[dim]the same as at {first}[/]"]
        for line in lines:
            console.print(f"    {line}")


def _lines(outcome: Outcome) -> list[str]:
    if outcome.passed:
        return [f"[dim]{escape(as_called(outcome.read))}[/]"] if outcome.kind == "question" else []
    lines = [
        f"[dim]{word}[/] {escape(text)}"
        for word, text in (
            ("expected", outcome.expected),
            ("seen    ", _seen(outcome)),
            ("could not be judged", outcome.fault),
            ("read    ", "" if outcome.fault else as_called(outcome.read)),
        )
        if text
    ]
    long = outcome.detail.splitlines()
    return lines + [f"[dim]{escape(line)}[/]" for line in long[:DETAIL]] + (["[dim]…[/]"] if len(long) > DETAIL else [])


def _seen(outcome: Outcome) -> str:
    """Return the observation; "nothing" if something was expected and there was none."""
    return outcome.seen or ("nothing" if outcome.expected else "")
