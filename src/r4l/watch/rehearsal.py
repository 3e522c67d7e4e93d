# SPDX-License-Identifier: MIT
"""Import everything that a run needs, including pytest's parts and plugins, before the warm process forks.

The set depends on the installed plugins, and some (hypothesis) import modules only during a run. So pytest is run once,
on a test that does nothing.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import pytest

import r4l.watch.job
from r4l.own_python import end_safe_path

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
# What tests start is their own affair.
end_safe_path()
