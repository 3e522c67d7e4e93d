# SPDX-License-Identifier: MIT
"""The language servers see no more of the user's files than a build does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from r4l import ide, resources
from r4l.ide import owned
from r4l.module import view


@pytest.mark.parametrize(
    ("folder", "seen"),
    [("me/driver", "me/driver"), ("me/src/driver", "me/src"), ("me/tree/a/driver", "me/tree"), ("tmp/x", "tmp/x")],
)
def test_folders_that_the_servers_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, seen: str) -> None:
    """Regression: for a driver in the user's home they saw the whole home, for one in /tmp all of that."""
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "me/.cache/r4l"))
    monkeypatch.setattr(view, "AGAIN", 0)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "me/tree/.git").mkdir(parents=True)
    (tmp_path / "tmp").mkdir(exist_ok=True)
    (tmp_path / "tmp").chmod(0o1777)
    kernel = SimpleNamespace(
        name="stock", release="7.3", arch="x86_64", source=tmp_path / "source", build=tmp_path / "build"
    )
    ide._write(tmp_path / folder, kernel, {}, [], None, False)  # type: ignore[arg-type]
    own = [path for path in owned.readable() if not path.is_relative_to(resources.kit())]
    assert set(own) == {tmp_path / folder, tmp_path / seen}


def test_an_older_record_shows_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "me/.cache/r4l"))
    for name in ("me/driver", "kernel"):
        (tmp_path / name).mkdir(parents=True)
    owned.OwnedFiles(tmp_path / "me/driver", reads=[str(tmp_path / "me"), str(tmp_path / "kernel")]).save()
    assert owned.readable() == [tmp_path / "kernel", tmp_path / "me/driver"]
