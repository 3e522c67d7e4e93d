# SPDX-License-Identifier: MIT
"""Notes of a build's calls, which a hostile Makefile may write itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module.calls import MISSING, NOTES, kbuild_calls, missing_programs

GOOD = "kbuild\t2\t/x/../y\tmodules a.ko\n"


def test_the_calls_of_kbuild(tmp_path: Path) -> None:
    (tmp_path / NOTES).write_text(GOOD)
    [call] = kbuild_calls(tmp_path)
    assert (call.code, call.folder, call.modules) == (2, Path("/y"), ["a.ko"])


@pytest.mark.parametrize(
    "line",
    ["kbuild\t" + "9" * 5000 + "\t/x\tmodules", "kbuild\t-1\t/x\t", "kbuild\t0\t/x\0y\t", "kbuild\t٣\t/x\t", "\t"],
)
def test_notes_that_are_none(tmp_path: Path, line: str) -> None:
    """Regression: a number of 5,000 digits, or a path with a null character, was an internal error."""
    (tmp_path / NOTES).write_text(f"{line}\n{GOOD}")
    assert len(kbuild_calls(tmp_path)) == 1


def test_names_of_programs_that_are_none(tmp_path: Path) -> None:
    """Regression: a line with a tab was an internal error."""
    (tmp_path / MISSING).write_text("git\n\ngit\txxd\n../sh\nxxd\0\nxxd\ngit\n")
    assert missing_programs(tmp_path) == ["git", "xxd"]
