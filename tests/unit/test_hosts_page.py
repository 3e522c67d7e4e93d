# SPDX-License-Identifier: MIT
"""docs/hosts.md says what came of the machines of tests/hosts."""

from __future__ import annotations

import json
import tomllib

from docs import hosts


def test_the_page_is_of_the_present_machines_and_outcomes() -> None:
    """Mend it by `python docs/hosts.py`."""
    table = tomllib.loads(hosts.TABLE.read_text(encoding="utf-8"))
    outcomes = json.loads(hosts.OUTCOMES.read_text(encoding="utf-8"))
    assert hosts.PAGE.read_text(encoding="utf-8") == hosts.page(table, outcomes)
    assert outcomes.keys() <= table.keys()


def test_what_failed_and_what_was_not_run_is_not_said_to_pass() -> None:
    outcome = {"passed": False, "seconds": 90, "sandbox": "", "day": "2026-11-28"}
    text = hosts.page({"a": {"about": "first"}, "b": {"about": "second"}}, {"a": outcome})
    assert "| `a`: first | itself | none | 1.5 | no, 2026-11-28 |" in text
    assert "| `b`: second | itself |  |  | not run yet |" in text
