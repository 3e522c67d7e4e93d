# SPDX-License-Identifier: MIT
"""Programs that could not be fetched: a failed try is remembered, so that the next builds do not wait for another."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r4l import home
from r4l.errors import EnvironmentFault
from r4l.known import Explanation
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain

ROOM = "unfetched"
AGAIN = 3600.0
"""Seconds after which a build tries again."""
WAY = ("R4L_MIRROR", "R4L_CHECK_VALID_UNTIL", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
"""Variables that decide on the way to the mirror; with others, a build tries at once."""


def fetch(toolchain: Toolchain, extra: str, programs: Sequence[str], say: Say = quiet) -> Explanation | None:
    """Extend a toolchain by an extra for the sake of some programs, unless that failed a short time ago.

    Args:
        toolchain: the toolchain.
        extra: name of the extra.
        programs: names of the programs that a build called.
        say: receives each step.

    Returns:
        None after success; else the cause and the remedy.
    """
    record = home.room(ROOM) / f"{_key(toolchain, extra)}.json"
    failed = _recalled(record)
    if failed is None:
        try:
            say(f"fetching programs that the build calls: {', '.join(programs)}")
            toolchain.extended(extra, say=say)
            return None
        except EnvironmentFault as fault:
            failed = {"cause": fault.cause, "remedy": fault.remedy, "time": time.time()}
            home.replace_text(record, json.dumps(failed))
    return _explanation(programs, failed)


def forget() -> None:
    """Have the next build that needs programs try at once to fetch them."""
    for record in home.room(ROOM).glob("*.json"):
        record.unlink(missing_ok=True)


def _key(toolchain: Toolchain, extra: str) -> str:
    way = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in WAY}
    return home.content_key(toolchain.key, extra, json.dumps(way))


def _recalled(record: Path) -> dict[str, Any] | None:
    """Return the last failure, if it was a short time ago."""
    failed: dict[str, Any] | None = home.record(record)
    # A clock that was set back says nothing.
    return failed if failed and 0 <= time.time() - failed["time"] < AGAIN else None


def _explanation(programs: Sequence[str], failed: dict[str, Any]) -> Explanation:
    minutes = round((time.time() - failed["time"]) / 60)
    tried = f", as {minutes} min ago a try showed" if minutes else ""
    return Explanation(
        "programs-not-fetched",
        f"the build calls programs that the toolchain does not have yet ({', '.join(programs)}), and they cannot be "
        f"fetched{tried}: {failed['cause']}. What a Makefile takes from them is empty",
        f"{failed['remedy']}; the next try is made after an hour, or after `r4l setup`",
    )
