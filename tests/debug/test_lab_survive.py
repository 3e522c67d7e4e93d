# SPDX-License-Identifier: MIT
"""Lab 10, which is about the checkers of this kernel: its checks find each bug of the starter, and none in the
reference answer."""

from __future__ import annotations

import pytest

from r4l.camp.labs import matrix
from r4l.camp.labs.lab import Lab
from r4l.kernel import Kernel

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
LAB = Lab.named("survive")


@pytest.mark.row("A25")
@pytest.mark.row("C4")
def test_the_answer_survives(kernel: Kernel) -> None:
    (judged,) = matrix.run([LAB], lambda _: [kernel], only="answer", exactly=True)
    assert judged.fine, judged.said


@pytest.mark.row("A23")
@pytest.mark.row("A27")
def test_the_starter_works_and_does_not_survive(kernel: Kernel) -> None:
    (judged,) = matrix.run([LAB], lambda _: [kernel], only="starter", exactly=True)
    assert judged.fine, judged.said
    assert judged.said == f"1 of {len(LAB.checkpoints)}"
