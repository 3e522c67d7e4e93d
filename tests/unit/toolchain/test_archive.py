# SPDX-License-Identifier: MIT
"""The Debian archive when it is unreachable, and the mirror's name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from r4l.debian import apt, choice
from r4l.errors import EnvironmentFault, UsageError
from r4l.toolchain import Toolchain, archive_for

REFUSED = "http://127.0.0.1:9/debian"
"""A mirror that refuses connections: no service listens on the discard port of loopback."""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))


def test_mirror_is_the_hosts_or_the_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R4L_MIRROR", raising=False)
    assert choice.mirror().startswith("http")
    monkeypatch.setenv("R4L_MIRROR", "http://mirror.example/debian/")
    assert choice.mirror() == "http://mirror.example/debian"


@pytest.mark.parametrize("address", ["mirror.example/debian", "ftp://mirror.example/debian", "http://", "/srv/debian"])
def test_a_mirror_that_is_no_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("R4L_MIRROR", address)
    with pytest.raises(UsageError, match="not an http or https address") as caught:
        choice.mirror()
    assert "R4L_MIRROR" in caught.value.cause


def test_the_mirror_is_debians_own_where_there_is_no_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choice.mirror() == choice.DEFAULT_MIRROR
    assert apt.settings() == {}
    assert apt.checks_dates()


MIRROR, OTHER = "http://mirror.example/debian", "https://packages.example/linux/debian"
LISTS: dict[str, tuple[list[str], list[str], str]] = {
    "its lists are Debian's": ([f"{MIRROR}|trixie|main|Debian"], [MIRROR], MIRROR),
    "they cannot be read now": ([f"{MIRROR}|trixie|main|Debian"], [], MIRROR),
    "they are signed by another": ([f"{OTHER}|trixie|main|Debian"], [f"not {OTHER}"], choice.DEFAULT_MIRROR),
    "security": (["http://security.debian.org/debian-security|trixie-security|main|Debian"], [], choice.DEFAULT_MIRROR),
    "Ubuntu's": (["http://archive.example/ubuntu|noble|main|Ubuntu"], [], choice.DEFAULT_MIRROR),
    "another's": (["http://repo.example/node|nodistro|main|Node"], [], choice.DEFAULT_MIRROR),
    "no network": (["file:/media/cdrom/debian|trixie|main|Debian"], [], choice.DEFAULT_MIRROR),
    "never updated": ([f"{MIRROR}|trixie|main|$(ORIGIN)"], [MIRROR], MIRROR),
    "never updated, unreachable": ([f"{MIRROR}|trixie|main|$(ORIGIN)"], [], choice.DEFAULT_MIRROR),
    "never updated, Debian's own": (
        ["http://ftp.de.debian.org/debian/|trixie|main|$(ORIGIN)"],
        [],
        "http://ftp.de.debian.org/debian",
    ),
    "never updated, with its name": (
        ["http://ftp.debian.org.example/debian|trixie|main|$(ORIGIN)"],
        [],
        choice.DEFAULT_MIRROR,
    ),
    "never updated, another's": ([f"{OTHER}|trixie|main|$(ORIGIN)"], [f"not {OTHER}"], choice.DEFAULT_MIRROR),
    "another's before it": (
        [f"{OTHER}|trixie|main|$(ORIGIN)", f"{MIRROR}|trixie|main|$(ORIGIN)"],
        [f"not {OTHER}", MIRROR],
        MIRROR,
    ),
    "another component": ([f"{OTHER}|noble|stable|$(ORIGIN)"], [OTHER], choice.DEFAULT_MIRROR),
}
"""Text of apt about its sources; the addresses whose lists Debian has signed, or not; the mirror that results."""


@pytest.mark.parametrize("what", LISTS)
def test_what_apt_says_of_its_sources(what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines, answers, mirror = LISTS[what]
    # As apt does: without an option, nothing of the sources that it has no lists of.
    known = "".join(f"echo '{line}'\n" for line in lines if "$(" not in line)
    found = "".join(f"echo '{line}'\n" for line in lines)
    fake(tmp_path, "apt-get", f'case "$*" in *--no-release-info*)\n{found};; *)\n:\n{known};; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    signed = {answer.removeprefix("not "): not answer.startswith("not ") for answer in answers}
    monkeypatch.setattr(choice, "is_signed", lambda address, _suite: signed.get(address))
    assert choice.mirror() == mirror


def test_a_real_apt_before_its_first_update(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("no apt")
    sources, settings, lists = tmp_path / "sources.list", tmp_path / "apt.conf", tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    sources.write_text(f"deb {OTHER} trixie main\ndeb [trusted=yes] {MIRROR} trixie main contrib\n")
    settings.write_text(
        f'Dir::Etc::SourceList "{sources}";\nDir::Etc::SourceParts "/nonexistent";\nDir::State::Lists "{lists}";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(settings))
    monkeypatch.setattr(choice, "is_signed", lambda address, suite: (address, suite) == (MIRROR, "trixie"))
    assert choice.mirror() == MIRROR


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
