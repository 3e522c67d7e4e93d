# SPDX-License-Identifier: MIT
"""Judgement of the matrix on verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from r4l.camp.labs.check import Verdict
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.matrix import Variant, judge
from r4l.camp.labs.outcomes import Outcome

HELLO = Lab.named("hello")
SPLAT = "main.rs:5: the kernel complained (warning): WARNING: at main.rs:5"


def verdict(**seen: str | bool | None) -> Verdict:
    """Make a verdict of checkpoints that are reached (True), not checked (None), or missed with the given text."""
    outcomes = [
        Outcome(name, name, "checkpoint", False if isinstance(what, str) else what, seen=str(what))
        for name, what in seen.items()
    ]
    return Verdict("hello", "7.3", tuple(outcomes))


def fine(kind: str, said: Verdict, *, broken: bool = False, **rest: object) -> bool:
    """True if the graders judged a variant correctly."""
    return judge(replace(HELLO, broken=broken), Variant("hello", kind, "x", "x", **rest), said).fine  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "is_fine", "is_fine_where_broken"),
    [
        (verdict(one=True, two="not yet"), True, True),
        (verdict(one=True, two=SPLAT), False, True),
        (verdict(one=SPLAT, two=None), False, False),
        (verdict(one="not yet", two=None), True, False),
        (verdict(one=True, two=True), False, False),
    ],
    ids=["misses", "complaint", "complaint and hang", "hang", "full mark"],
)
def test_a_starter_may_break_the_kernel_only_where_that_is_the_lab(
    said: Verdict, is_fine: bool, is_fine_where_broken: bool
) -> None:
    assert fine("starter", said) == is_fine
    assert fine("starter", said, broken=True) == is_fine_where_broken


def test_a_mutant_alone_misses_no_other_checkpoint() -> None:
    one, both = verdict(one=SPLAT, two=True), verdict(one=SPLAT, two="not yet")
    assert fine("mutant", one, fails="one", says="WARNING")
    assert fine("mutant", one, fails="one", says="WARNING", alone=True)
    assert fine("mutant", both, fails="one", says="WARNING")
    assert not fine("mutant", both, fails="one", says="WARNING", alone=True)
    assert not fine("mutant", one, fails="one", says="lockdep", alone=True)
    assert not fine("mutant", one, fails="two", says="WARNING", alone=True)


def test_a_mutant_is_judged_by_its_checkpoint() -> None:
    assert Variant("hello", "mutant", "x", "x", fails="two").only == ("two",)
    assert Variant("hello", "mutant", "x", "x", fails="two", alone=True).only is None
    assert Variant("hello", "right", "x", "x").only is None
    judged = judge(HELLO, Variant("hello", "mutant", "x", "x", fails="two", says="."), verdict(one=None, two=True))
    assert (judged.fine, judged.said) == (False, "NOT FOUND: it passes")


@pytest.mark.parametrize("kind", ["answer", "right"])
def test_an_answer_that_does_not_build_shows_the_compilers_words(kind: str) -> None:
    said = replace(verdict(one=None), build="error[E0614]: type `u32` cannot be dereferenced")
    judged = judge(HELLO, Variant("hello", kind, "x", "x"), said)
    assert not judged.fine
    assert "E0614" in judged.said


@pytest.mark.parametrize(
    ("build", "is_fine", "told"),
    [
        ("error[E0053]: method `poll`", True, "does not compile: E0053"),
        ("error: expected `;`", False, "error: expected `;`"),
        ("", False, "it compiles"),
    ],
)
def test_an_answer_that_the_types_exclude(build: str, is_fine: bool, told: str) -> None:
    variant = Variant("hello", "excluded", "x", "x", says="E0053")
    judged = judge(HELLO, variant, replace(verdict(one=None), build=build))
    assert (judged.fine, judged.said) == (is_fine, told)
