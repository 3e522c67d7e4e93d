# SPDX-License-Identifier: MIT
"""The Pythons of a run share their bytecode, and keep it where the user wants it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r4l import selftest
from r4l.selftest.parts import Part

TELLS = "import sys, pathlib; pathlib.Path('told').write_text(f'{sys.dont_write_bytecode} {sys.pycache_prefix}')\n"
PART = Part("one", "", 1.0, ("",), modules=(("tells",),))


@pytest.mark.parametrize("prefix", [None, "/elsewhere"])
@pytest.mark.parametrize("unwanted", ["", "1"])
def test_bytecode_is_kept_and_nothing_is_beside_the_sources(
    unwanted: str, prefix: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(selftest, "checkout", lambda: tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", unwanted)
    if prefix:
        monkeypatch.setenv("PYTHONPYCACHEPREFIX", prefix)
    else:
        monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    (tmp_path / "tells.py").write_text(TELLS, encoding="utf-8")
    before = dict(os.environ)
    assert selftest.run([PART]) == 0
    unwritten, place = (tmp_path / "told").read_text(encoding="utf-8").split()
    assert unwritten == "False"
    assert ("r4l-bytecode-" in place) is bool(unwanted)
    assert not Path(place).exists()
    assert dict(os.environ) == before
