# SPDX-License-Identifier: MIT
"""Outcome of a machine or a replay, kept in the home for `python docs/hosts.py`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from r4l import home


@dataclass
class Outcome:
    """One outcome.

    Attributes:
        seconds: time from nothing to the end; that of the whole block unless it is set.
        sandbox: what `r4l doctor` says of the sandbox.
        command: r4l's, if it is not the usual one: the outcome of another is not that of the present one.
    """

    seconds: float = 0.0
    sandbox: str = ""
    command: str = ""


@contextmanager
def noted(name: str) -> Iterator[Outcome]:
    """Keep what comes of a block: passed if it ends without an exception; nothing if it is interrupted or skipped.

    Args:
        name: key in hosts.toml or replays.toml.
    """
    outcome, begin = Outcome(), time.monotonic()
    try:
        yield outcome
    except (KeyboardInterrupt, pytest.skip.Exception):
        raise
    # A test that fails by its time limit raises no Exception.
    except BaseException:
        _keep(name, outcome, False, time.monotonic() - begin)
        raise
    _keep(name, outcome, True, time.monotonic() - begin)


def _keep(name: str, outcome: Outcome, passed: bool, seconds: float) -> None:
    path = home.room("hosts") / "results.json"
    with home.lock("hosts"):
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known[name] = {
            "passed": passed,
            "seconds": round(outcome.seconds or seconds),
            "sandbox": outcome.sandbox.partition(" (")[0],
            "command": outcome.command,
            "day": time.strftime("%Y-%m-%d"),
        }
        home.replace_text(path, json.dumps(known, indent=1))
