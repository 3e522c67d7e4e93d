# SPDX-License-Identifier: MIT
"""Following a handout to the letter reaches all checkpoints: its pieces of Rust are put at the named places.

Only labs whose handouts contain all the code are tested; in the others the student writes it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from r4l.camp.labs.check import Check
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import Workspace
from r4l.kernel import Kernel

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

STEPS = Path(__file__).parent / "followed"
PIECE = re.compile(r"^```rust\n(.*?)^```", re.MULTILINE | re.DOTALL)


def follow(handout: str, steps: Path, folder: Path) -> None:
    """Put the handout's pieces of Rust into a starter's files."""
    pieces = PIECE.findall(handout)
    for step in tomllib.loads(steps.read_text())["step"]:
        code = step["code"] if "code" in step else pieces.pop(0)
        file = folder / step["file"]
        lines = file.read_text().splitlines(keepends=True)
        bare = [line.strip().lstrip("/").strip() for line in lines]
        first = next((number for number, line in enumerate(bare) if line.startswith(step["from"])), None)
        assert first is not None, f"{step['file']} of the starter has no line {step['from']!r}"
        to = step.get("to", step["from"])
        behind = next(number for number in range(first, len(bare)) if bare[number].startswith(to)) + 1
        lines[behind if step.get("behind") else first : behind] = [f"{code.rstrip()}\n"]
        file.write_text("".join(lines))
    assert not pieces, "all of the handout's pieces were used"


@pytest.mark.parametrize(
    "name", ["completion", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("e1000", "cicv"))]
)
def test_the_handout_leads_to_all_checkpoints(name: str, kernel: Kernel, tmp_path: Path) -> None:
    lab = Lab.named(name)
    workspace = Workspace.start(lab, tmp_path / name)
    follow((workspace.folder / "handout.md").read_text(), STEPS / f"{name}.toml", workspace.folder)
    done = Check(workspace, [kernel])
    verdict = done.run()
    missed = [(entry.id, entry.seen) for entry in verdict.outcomes if entry.kind == "checkpoint" and not entry.passed]
    assert not verdict.build
    assert not missed
    done.discard()
