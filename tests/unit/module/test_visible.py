# SPDX-License-Identifier: MIT
"""Visibility of the user's files to a module's build."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module import visible


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the homes of a user and of r4l."""
    for name in ("me/src/driver", "me/.cache/r4l/labs/hello-1", "me/.cache/r4l/labs/hello-2", "me/hello", "tmp/x"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "me/.cache/r4l"))
    (tmp_path / "tmp").chmod(0o1777)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "seen"),
    [
        ("me/src/driver", "me/src"),
        ("me/hello", "me/hello"),
        ("me/src", "me/src"),
        ("me", "me"),
        ("me/.cache/r4l/labs/hello-1", "me/.cache/r4l/labs/hello-1"),
        ("tmp/x", "tmp/x"),
    ],
)
def test_what_lies_beside_a_folder_is_seen_where_it_is_nobody_elses(places: Path, folder: str, seen: str) -> None:
    assert visible(places / folder) == [places / seen]


def test_at_the_top_of_the_file_system() -> None:
    assert visible(Path("/usr")) == [Path("/usr")]
