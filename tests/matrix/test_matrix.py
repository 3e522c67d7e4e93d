# SPDX-License-Identifier: MIT
"""Test of the graders (`r4l lab matrix`): every wrong answer fails with its bug named, every right one passes."""

from __future__ import annotations

import pytest

from r4l.camp.labs import matrix
from r4l.camp.labs.kernels import prepare_kernels
from r4l.camp.labs.lab import Lab
from r4l.stages import Stages

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3600)]
ROWS = {"kernel": ("A2", "A3", "A4", "B4", "E2")}
"""Rows of the labs whose answers no other part checks."""
LABS = [pytest.param(lab, id=lab.name, marks=[pytest.mark.row(*ROWS.get(lab.name, ()))]) for lab in Lab.all()]


@pytest.mark.parametrize("lab", LABS)
def test_every_variant_is_judged_rightly(lab: Lab) -> None:
    with Stages() as stages:
        kernels = prepare_kernels(lab, stages)
    wrong = [f"{entry.variant.name}: {entry.said}" for entry in matrix.run([lab], lambda _: kernels) if not entry.fine]
    assert not wrong
