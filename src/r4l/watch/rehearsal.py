# SPDX-License-Identifier: MIT
"""Imported by the warm process before it forks: everything that a run will need, pytest's own parts and plugins too.

Which these are depends on what is installed, and some (hypothesis) import themselves only in the middle of a run. So
pytest is run once, on a test that does nothing.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import pytest

import r4l.watch.job

__all__: list[str] = []


def _rehearse() -> None:
    said = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "test_nothing.py").write_text("def test_nothing(request):\n    pass\n", encoding="utf-8")
        pytest.main([*r4l.watch.job.PYTEST, "--rootdir", name, "-c", str(folder / "pytest.ini"), name])


_rehearse()
