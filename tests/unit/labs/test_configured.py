# SPDX-License-Identifier: MIT
"""The kernel that a student configures has limits of its own, and does not pay for an earlier student's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l import home, limits
from r4l.camp.labs import configured
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import Workspace
from r4l.kernel import own


@pytest.mark.parametrize(("grown", "stays"), [(2 << 20, True), (9 << 20, False)])
def test_a_students_kernel(grown: int, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a student's options could keep the machine busy for 12 hours."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    for name in limits.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(limits, "GIB", 1 << 20)
    seen: list[Any] = []
    monkeypatch.setattr(own, "build", lambda recipe, *_: seen.append((recipe.folder.exists(), limits.kernel())))
    left = home.room("builds", "lab-kernel-x86_64", "build") / "vmlinux"
    left.write_bytes(bytes(grown))
    workspace = Workspace.start(Lab.named("kernel"), tmp_path / "kernel")
    manifest = {"profile": "minimal", "version": "7.3.4"}
    base: Any = SimpleNamespace(manifest=manifest, source=tmp_path, arch="x86_64", toolchain=None)
    configured.build(workspace, base, print)
    ((there, bounds),) = seen
    assert there == stays
    assert bounds.seconds == 7200
    assert limits.kernel().seconds != 7200
