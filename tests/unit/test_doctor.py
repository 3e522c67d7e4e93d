# SPDX-License-Identifier: MIT
"""`r4l doctor` lists all that it looks at, also what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from r4l.cli import doctor
from r4l.errors import EnvironmentFault


def test_an_address_that_is_none_is_one_of_the_findings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Regression: nothing was listed but that."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    monkeypatch.setenv("R4L_MIRROR", "ftp://mirror.example/debian")
    done = CliRunner().invoke(doctor.command)
    assert done.exit_code == EnvironmentFault.exit_code, done.output
    lines = done.output.splitlines()
    wrong = [line for line in lines if line.startswith("✗ Debian mirror")]
    assert "ftp://mirror.example/debian" in wrong[0]
    assert [line for line in lines if " disk " in line], "what is looked at after it"
