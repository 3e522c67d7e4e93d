# SPDX-License-Identifier: MIT
"""Render a kernel's description as a page."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import TypeVar

from r4l.kernel.abstractions import Topic
from r4l.kernel.describe import Description, Option
from r4l.report.page import environment

Grouped = TypeVar("Grouped", Option, Topic)
STATES = {
    "kernel": "in this kernel",
    "off": "in its source, switched off",
    "kit": "from the kit",
    "none": "neither: C, or patches that are not merged",
}


def page(description: Description) -> str:
    """Return the page as HTML that needs no other file and runs no script."""
    counts = {state: sum(topic.state == state for topic in description.topics) for state in STATES}
    return (
        environment()
        .get_template("kernel.html.j2")
        .render(
            description=description,
            facts=description.facts,
            options=_groups(description.options),
            topics=_groups(description.topics),
            states=STATES,
            counts=counts,
            version=importlib.metadata.version("r4l"),
        )
    )


def _groups(entries: Sequence[Grouped]) -> list[tuple[str, list[Grouped]]]:
    return [(group, list(members)) for group, members in groupby(entries, key=attrgetter("group"))]
