# SPDX-License-Identifier: MIT
"""The Debian archive when it is unreachable, and the mirror's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r4l.errors import EnvironmentFault, UsageError
from r4l.toolchain import Toolchain, archive, archive_for

REFUSED = "http://127.0.0.1:9/debian"
"""A mirror that refuses connections: no service listens on the discard port of loopback."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))


def test_mirror_is_the_hosts_or_the_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert archive.mirror().startswith("http")
    monkeypatch.setenv("R4L_MIRROR", "http://mirror.example/debian/")
    assert archive.mirror() == "http://mirror.example/debian"


def test_mirror_is_unknown_where_apt_names_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFault, match="no Debian mirror is known") as caught:
        archive.mirror()
    assert "R4L_MIRROR" in caught.value.remedy


def test_no_network_while_fetching_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_MIRROR", REFUSED)
    with pytest.raises(EnvironmentFault, match="mirror cannot be reached") as caught:
        archive_for().update()
    assert "check the network" in caught.value.remedy
    assert caught.value.log is not None
    assert caught.value.log.exists()


def test_no_network_while_making_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("R4L_MIRROR", REFUSED)
    with pytest.raises(EnvironmentFault, match="mirror cannot be reached"):
        Toolchain.get()
    assert not list((tmp_path / "home/toolchain").iterdir()), "nothing half-made may stay"


def test_a_file_that_is_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"packages": ["make"]}))
    with pytest.raises(UsageError, match="is no lock file"):
        Toolchain.get(lock_file=lock)


def test_toolchain_that_is_not_set_up() -> None:
    with pytest.raises(EnvironmentFault, match="not set up") as caught:
        Toolchain.existing()
    assert "r4l setup" in caught.value.remedy
