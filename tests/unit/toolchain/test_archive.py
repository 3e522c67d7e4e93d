# SPDX-License-Identifier: MIT
"""The Debian archive when it is unreachable, and the mirror's name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from r4l.debian import apt
from r4l.errors import EnvironmentFault, UsageError
from r4l.toolchain import Toolchain, archive_for

REFUSED = "http://127.0.0.1:9/debian"
"""A mirror that refuses connections: no service listens on the discard port of loopback."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))


def test_mirror_is_the_hosts_or_the_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert apt.mirror().startswith("http")
    monkeypatch.setenv("R4L_MIRROR", "http://mirror.example/debian/")
    assert apt.mirror() == "http://mirror.example/debian"


@pytest.mark.parametrize("address", ["mirror.example/debian", "ftp://mirror.example/debian", "http://", "/srv/debian"])
def test_a_mirror_that_is_no_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("R4L_MIRROR", address)
    with pytest.raises(UsageError, match="not an http or https address") as caught:
        apt.mirror()
    assert "R4L_MIRROR" in caught.value.cause


def test_the_mirror_is_debians_own_where_there_is_no_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert apt.mirror() == apt.DEFAULT_MIRROR
    assert apt.settings() == {}
    assert apt.checks_dates()


SOURCES = {
    "http://de.mirror.example/debian|Debian|main|trixie": "http://de.mirror.example/debian",
    "http://security.example/debian-security|Debian|main|trixie-security": apt.DEFAULT_MIRROR,
    "http://archive.example/ubuntu|Ubuntu|main|noble": apt.DEFAULT_MIRROR,
    "http://repo.example/node||main|nodistro": apt.DEFAULT_MIRROR,
    "file:/media/cdrom/debian|Debian|main|trixie": apt.DEFAULT_MIRROR,
    "http://never.updated.example/debian||main|trixie": "http://never.updated.example/debian",
}


@pytest.mark.parametrize("line", SOURCES)
def test_what_apt_says_of_its_sources(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(tmp_path, "apt-get", f"echo '{line}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert apt.mirror() == SOURCES[line]


def test_the_proxy_is_the_environments_or_apts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake(
        tmp_path,
        "apt-config",
        """echo 'Acquire::http::Proxy "http://apt.example:3142";'
echo 'Acquire::http::Proxy::inside.example "DIRECT";'""",
    )
    assert apt.proxy("http://mirror.example/debian") == "http://apt.example:3142"
    assert apt.proxy("http://inside.example/debian") is None
    assert apt.proxy("https://mirror.example/debian") is None
    monkeypatch.setenv("http_proxy", "http://proxy.example:8080")
    assert apt.proxy("http://mirror.example/debian") == "http://proxy.example:8080"
    monkeypatch.setenv("no_proxy", "mirror.example")
    assert apt.proxy("http://mirror.example/debian") is None


def fake(folder: Path, program: str, script: str) -> None:
    (folder / program).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / program).chmod(0o755)


def test_no_network_while_fetching_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_MIRROR", REFUSED)
    monkeypatch.setattr("r4l.debian.mirror.PAUSE", 0.0)
    with pytest.raises(EnvironmentFault, match=r"mirror cannot be reached: \S+: .*refused") as caught:
        archive_for().update()
    assert "check the network" in caught.value.remedy


def test_no_network_while_making_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("R4L_MIRROR", REFUSED)
    monkeypatch.setattr("r4l.debian.mirror.PAUSE", 0.0)
    with pytest.raises(EnvironmentFault, match="mirror cannot be reached"):
        Toolchain.get()
    assert not list((tmp_path / "home/toolchain").iterdir()), "nothing half-made may stay"


def test_a_file_that_is_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"packages": ["make"]}))
    with pytest.raises(UsageError, match="is not a lock file"):
        Toolchain.get(lock_file=lock)


def test_toolchain_that_is_not_set_up() -> None:
    with pytest.raises(EnvironmentFault, match="not set up") as caught:
        Toolchain.existing()
    assert "r4l setup" in caught.value.remedy
