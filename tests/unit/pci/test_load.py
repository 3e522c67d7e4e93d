# SPDX-License-Identifier: MIT
"""Models in files: `FILE.py:CLASS`."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.pci.load import MODELS, in_python, model_class

HEAD = "from r4l import pci\nclass Model(pci.Device):\n    vendor_id = 1\n    bars = (pci.Bar(64),)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("NUMBER = 7\n")
    (tmp_path / "model.py").write_text(HEAD)
    (tmp_path / "helped.py").write_text(f"import helper\n{HEAD}    device_id = helper.NUMBER\n")
    (tmp_path / "raises.py").write_text("1 / 0\n")
    (tmp_path / "overlaps.py").write_text(f"{HEAD}    A = pci.Register(0)\n    B = pci.Register(0)\n")
    return tmp_path


def test_a_model_with_a_file_beside_it(folder: Path) -> None:
    assert model_class(f"{folder}/helped.py:Model").device_id == 7
    assert model_class(f"{folder}/model.py:Model").vendor_id == 1
    (folder / "a, b.py").write_text(HEAD)
    assert in_python(f"{folder}/a, b.py:Model")


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ("nothing.py:Model", "there is no file"),
        ("model.py:Nothing", "has no model Nothing"),
        ("model.py:pci", "has no model pci"),
        ("raises.py:Model", "does not run: ZeroDivisionError"),
        ("overlaps.py:Model", "overlaps.py:6: B at 0x0 overlaps A"),
    ],
)
def test_no_such_model(folder: Path, spec: str, cause: str) -> None:
    with pytest.raises(UsageError) as caught:
        model_class(f"{folder}/{spec}")
    assert cause in caught.value.cause


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("edu", False),
        ("nvme,serial=a.py:b", False),
        ('{"driver": "edu"}', False),
        ("a/b.py:C", True),
        ("b.py", False),
        ("python:edu", True),
    ],
)
def test_what_names_a_file(text: str, is_one: bool) -> None:
    assert in_python(text) is is_one


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_of_r4l_s(name: str) -> None:
    assert in_python(f"python:{name}")
    assert model_class(f"python:{name}").vendor_id in (0x1234, 0x8086)


def test_no_model_of_r4l_s() -> None:
    with pytest.raises(UsageError, match="r4l has no model ed") as caught:
        model_class("python:ed")
    assert "python:edu" in str(caught.value)


def test_a_model_has_the_modules_of_its_own_folder(folder: Path, tmp_path: Path) -> None:
    """Also where another model has imported others of the same names before, as in a worker that goes on."""
    other = tmp_path / "other"
    (other / "helper").mkdir(parents=True)
    (other / "helper/__init__.py").write_text("from helper.numbers import NUMBER\n")
    (other / "helper/numbers.py").write_text("NUMBER = 8\n")
    (other / "helped.py").write_text((folder / "helped.py").read_text())
    found = [model_class(f"{one}/helped.py:Model").device_id for one in (folder, other, folder)]
    assert found == [7, 8, 7]
