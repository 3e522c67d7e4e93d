# SPDX-License-Identifier: MIT
"""The API reference is made from the docstrings, without a warning (docs/api.py)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import r4l

BUILDER = Path(__file__).parents[2] / "docs/api.py"


@pytest.fixture(scope="module")
def api() -> ModuleType:
    """The builder as a module."""
    spec = importlib.util.spec_from_file_location("api", BUILDER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_have_every_public_name_with_its_docstring(api: ModuleType, tmp_path: Path) -> None:
    assert api.main([str(tmp_path)]) == 0
    page = (tmp_path / "r4l.html").read_text(encoding="utf-8")
    for name in r4l.__all__:
        section = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
        assert section, name
        assert 'class="docstring"' in section[1], f"{name} has no docstring"
    assert f"r4l {r4l.__version__}" in page
    assert (tmp_path / "r4l/testing.html").is_file()


def test_a_parameter_that_is_not_there_is_told(
    api: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "widget"
    package.mkdir()
    (package / "__init__.py").write_text(
        'def turn(speed: int) -> None:\n    """Turn it.\n\n    Args:\n        sped: in rpm.\n    """\n'
    )
    monkeypatch.setattr(api, "SOURCE", package)
    assert any("'sped' does not appear" in fault for fault in api.faults())


def test_no_folder(api: ModuleType) -> None:
    assert api.main([]) == 2
