# SPDX-License-Identifier: MIT
"""Paths of the user's, and their kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.paths import is_below, require_folder


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("one", "is a link that leads in a circle"),
        ("one/below", "is a link that leads in a circle"),
        ("file", "is not a folder"),
        ("file/below", "is not a folder"),
        ("nothing", "is not a folder"),
        ("a\0b", "is not a folder"),
    ],
)
def test_what_is_no_folder_is_refused_with_the_reason(tmp_path: Path, name: str, cause: str) -> None:
    """Regression: since Python 3.13 a link that leads in a circle was said to be no folder."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        require_folder(tmp_path / name, "name a folder")
    assert caught.value.cause == f"{tmp_path / name} {cause}"
    require_folder(tmp_path, "")


@pytest.mark.parametrize(
    ("path", "folder", "below"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/a", "/a/b", False),
        ("/ab", "/a", False),
        ("a", "/a", False),
        ("/a", "/", True),
    ],
)
def test_a_path_below_a_folder(path: str, folder: str, below: bool) -> None:
    assert is_below(Path(path), Path(folder)) is below is Path(path).is_relative_to(folder)
