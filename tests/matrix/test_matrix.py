# SPDX-License-Identifier: MIT
"""Test of the graders (`r4l lab matrix`): every wrong answer fails with its bug named, every right one passes."""

from __future__ import annotations

import pytest

from r4l.camp.labs import matrix
from r4l.camp.labs.kernels import prepare_kernels
from r4l.camp.labs.lab import Lab
from r4l.stages import Stages

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("lab", Lab.all(), ids=lambda lab: lab.name)
def test_every_variant_is_judged_rightly(lab: Lab) -> None:
    with Stages() as stages:
        kernels = prepare_kernels(lab, stages)
    wrong = [f"{entry.variant.name}: {entry.said}" for entry in matrix.run([lab], lambda _: kernels) if not entry.fine]
    assert not wrong
