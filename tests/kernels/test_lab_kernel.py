# SPDX-License-Identifier: MIT
"""Lab 1 with real builds: the answer gets full marks, the starter boots without, unknown options are reported."""

from __future__ import annotations

import pytest

from r4l.camp.labs import matrix
from r4l.camp.labs.lab import Lab
from r4l.kernel import Kernel

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3600)]


@pytest.mark.row("A2", "A3", "A4", "B4", "E2")
@pytest.mark.parametrize("kind", ["answer", "starter", "option_of_no_kernel", "menu_forgotten"])
def test_a_fragment_is_judged_rightly(kind: str, minimal: Kernel) -> None:
    (judged,) = matrix.run([Lab.named("kernel")], lambda _: [minimal], only=kind, exactly=True)
    assert judged.fine, judged.said
