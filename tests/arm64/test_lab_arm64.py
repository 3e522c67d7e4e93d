# SPDX-License-Identifier: MIT
"""Lab 9 on both architectures: the reference answer gets full marks, the starter builds for one only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from r4l.camp.labs import matrix
from r4l.camp.labs.kernels import prepare_kernels
from r4l.camp.labs.lab import Lab
from r4l.kernel import Kernel
from r4l.stages import Stages

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


@pytest.mark.row("B2")
@pytest.mark.row("B14")
@pytest.mark.row("A29")
def test_the_answer_has_the_full_mark_and_the_starter_has_not() -> None:
    lab = Lab.named("arm64")
    with Stages() as stages:
        kernels = prepare_kernels(lab, stages)
    for kind in ("answer", "starter"):
        (judged,) = matrix.run([lab], lambda _: kernels, only=kind, exactly=True)
        assert judged.fine, judged.said


def test_the_machine_agrees_with_the_keys(
    kernel: Kernel, ask_the_machine: Callable[[Kernel, Sequence[Lab]], None]
) -> None:
    ask_the_machine(kernel, [Lab.named("arm64")])
