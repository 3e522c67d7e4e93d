# SPDX-License-Identifier: MIT
"""A grade is kept for the very files that it was made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l.camp.labs import grade

FILES = (
    "lab/lab.toml",
    "lab/checks/test_it.py",
    "rust/it/nic.rs",
    "probes/card.py",
    "kit/src/lib.rs",
    "hidden/test_x.py",
)


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """The key of a bundle, of a lab whose given files are in another folder."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "bundle.zip").write_bytes(b"zip")
    monkeypatch.setattr(grade, "probes", lambda: tmp_path / "probes")
    monkeypatch.setattr("r4l.resources.kit", lambda: tmp_path / "kit")
    lab = SimpleNamespace(folder=tmp_path / "lab", files=lambda: {Path("nic.rs"): tmp_path / "rust/it/nic.rs"})
    bundle: Any = SimpleNamespace(path=tmp_path / "bundle.zip", lab=lab)
    kernels: Any = [SimpleNamespace(key="kernel")]
    return lambda: grade.key(bundle, kernels, [tmp_path / "hidden"])


@pytest.mark.parametrize("name", FILES)
def test_each_file_that_decides_is_in_the_key(key: Callable[[], str], tmp_path: Path, name: str) -> None:
    """Regression: after a repair of a probe, of the kit or of a file given to the students, old grades were shown."""
    before = key()
    assert key() == before
    file = tmp_path / name
    file.write_text("changed")
    changed = key()
    assert changed != before
    (file.parent / "sub").mkdir()
    file.rename(file.parent / "sub" / file.name)
    if not name.startswith("rust/"):
        assert key() not in (before, changed), "the place counts, too"


def test_another_r4l_grades_again(key: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "another")
    assert key() != before
