# SPDX-License-Identifier: MIT
"""A new driver's folder has its editor files from the start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from r4l.kernel import Kernel


def test_a_new_driver_opens_in_the_editor(kernel: Kernel, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "r4l", "new", "blinker", "--template", "pci", "--json"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert {"rust-project.json", ".vscode/settings.json"} <= set(json.loads(done.stdout)["files"])
    project = json.loads((tmp_path / "blinker/rust-project.json").read_text())
    roots = {crate["root_module"] for crate in project["crates"]}
    assert "blinker.rs" in roots
    assert str(kernel.source / "rust/kernel/lib.rs") in roots
