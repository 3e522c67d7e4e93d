# SPDX-License-Identifier: MIT
"""A failed download of programs is remembered, and told once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from r4l import home
from r4l.errors import BuildError, EnvironmentFault
from r4l.known import Explanation
from r4l.module import unfetched
from r4l.module.make_runs import for_want_of
from r4l.toolchain import Toolchain


class Network:
    """The way to the mirror: whether it is there, how often it was tried, the time."""

    def __init__(self) -> None:
        self.there = False
        self.tries = 0
        self.now = 1_000_000.0

    def extended(self, *_: object, **__: object) -> None:
        """As `Toolchain.extended`."""
        self.tries += 1
        if not self.there:
            raise EnvironmentFault("the mirror cannot be reached", "check the network")


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Toolchain, "extended", network.extended)
    monkeypatch.setattr(time, "time", lambda: network.now)
    return network


TOOLS = Toolchain(Path("/nowhere"), "key")


def fetch(tools: Toolchain = TOOLS) -> str:
    """Try to fetch git and xxd; return the cause and the remedy of a failure."""
    said = unfetched.fetch(tools, "programs", ["git", "xxd"])
    return f"{said.cause} | {said.remedy}" if said else ""


def test_only_the_first_build_tries(network: Network) -> None:
    first = fetch()
    assert "(git, xxd), and they cannot be fetched: the mirror cannot be reached." in first
    assert first.endswith("check the network; the next try is made after an hour, or after `r4l setup`")
    network.now += 12 * 60
    again = fetch()
    assert "cannot be fetched, as 12 min ago a try showed: the mirror cannot be reached." in again
    assert again.partition(" | ")[2] == first.partition(" | ")[2]
    assert network.tries == 1


@pytest.mark.parametrize("passed", [unfetched.AGAIN, -60.0], ids=["an hour", "a clock set back"])
def test_a_later_build_tries_again(network: Network, passed: float) -> None:
    fetch()
    network.now += passed
    network.there = True
    assert not fetch()
    assert network.tries == 2


def test_a_build_after_a_setup_tries_again(network: Network) -> None:
    fetch()
    unfetched.forget()
    network.there = True
    assert not fetch()


@pytest.mark.parametrize("name", ["R4L_MIRROR", "http_proxy", "HTTPS_PROXY"])
def test_another_way_is_tried_at_once(network: Network, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fetch()
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetch()
    fetch()
    assert network.tries == 2


def test_another_toolchain_is_tried_at_once(network: Network) -> None:
    fetch()
    fetch(Toolchain(Path("/nowhere"), "other"))
    assert network.tries == 2


def test_success_is_not_remembered(network: Network) -> None:
    network.there = True
    assert not fetch()
    network.there = False
    assert fetch()
    assert network.tries == 2
    [record] = home.room(unfetched.ROOM).iterdir()
    assert json.loads(record.read_text())["cause"] == "the mirror cannot be reached"


@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        ("xxd: not found\nmake[4]: *** [x.h] Error 127\n", True),
        ("/bin/sh: 1: git: not found\nmake: *** [Makefile:3: v.h] Error 127\n", True),
        ("xxd: not found\nx.c:1:1: error: no\nmake[2]: *** [x.o] Error 1\n", False),
        ("xxd2: not found\nmake[4]: *** [x.h] Error 127\n", False),
    ],
)
def test_the_cause_of_a_build_that_fails_for_want_of_them(log: str, wanted: bool) -> None:
    assert for_want_of(["git", "xxd"], BuildError("x"), log) is wanted
    other = Explanation("other", "a cause", "a remedy")
    assert not for_want_of(["git", "xxd"], BuildError("x", explanations=[other]), log)


def test_an_empty_record_is_none(network: Network) -> None:
    """Regression: it was an internal error at each build."""
    fetch()
    [record] = home.room(unfetched.ROOM).glob("*.json")
    record.write_text("")
    fetch()
    assert network.tries == 2
