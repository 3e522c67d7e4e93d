# SPDX-License-Identifier: MIT
"""Starters and answers build, also for kernels (`--kernel`) that no lab is checked on."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.camp.labs.lab import Lab
from r4l.camp.labs.matrix import variants
from r4l.camp.labs.workspace import Workspace
from r4l.kernel import Kernel
from r4l.kernel.debian import version_key
from r4l.module import Module

MODULES = [lab for lab in Lab.all() if lab.builds and not lab.config]
SINCE_7_3 = {
    ("hello", "answer"),
    ("c-from-rust", "answer"),
    ("arm64", "starter"),
    ("arm64", "answer"),
    ("digest", "starter"),
    ("digest", "answer"),
    ("survive", "starter"),
}
"""These use what the kernel's own interface has since Linux 7.3, without the kit, which hides the differences."""


# Most answers are drivers, which the default selftest builds elsewhere.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["starter", pytest.param("answer", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("lab", MODULES, ids=lambda lab: lab.name)
def test_a_lab_builds(lab: Lab, kind: str, kernel: Kernel, tmp_path: Path) -> None:
    if kernel.arch not in (lab.starts_on if kind == "starter" else lab.arches):
        pytest.skip(f"the {kind} is not for {kernel.arch}")
    if (lab.name, kind) in SINCE_7_3 and version_key(kernel.release) < (7, 3):
        pytest.skip(f"the {kind} is for Linux 7.3 and newer")
    folder = tmp_path / lab.name
    Workspace.start(lab, folder)
    next(variant for variant in variants(lab) if variant.kind == kind).write(folder, lab)
    built = Module(folder).build_all(kernel)
    # A starter has names that only the student's part uses.
    assert kind == "starter" or "".join(module.warnings for module in built) == ""
