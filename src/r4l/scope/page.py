# SPDX-License-Identifier: MIT
"""The page of one or several recordings: one HTML file that needs no other file.

All that the guest has written travels as JSON in an element that no browser executes, and is shown as text. A content
security policy allows the page's own script only, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from r4l.paths import leads_to_file, write_named
from r4l.report import clean, packets

Recording = Mapping[str, Any]
"""A recording as data (`r4l.pci.recording`)."""

MARK = '<meta name="generator" content="r4l scope">'
"""Element at the begin of each page."""


@dataclass(frozen=True)
class Heading:
    """The head of a page.

    Attributes:
        module: name of the driver.
        kernel: release of the kernel.
        command: command that was run in the guest.
    """

    module: str = ""
    kernel: str = ""
    command: str = ""


def write(file: Path, recordings: Sequence[Recording], heading: Heading) -> None:
    """Write the page into a file; an older one is replaced only by a complete one (`r4l.paths.write_named`).

    Raises:
        OSError: the page cannot be written.
        EnvironmentFault: the file is a pipe whose reader has gone.
    """
    write_named(file, render(recordings, heading))


def render(recordings: Sequence[Recording], heading: Heading, *, live: bool = False) -> str:
    """Return the page as text.

    Args:
        recordings: one for each device.
        heading: head of the page.
        live: True for a page that goes on asking its server for events.
    """
    script = _source("r4l.scope", "scope.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = {"live": live, "devices": [{**one, "events": described(one["events"])} for one in recordings]}
    return (
        _environment()
        .get_template("scope.html.j2")
        .render(
            heading=Heading(*(clean.line(text, 200) for text in (heading.module, heading.kernel, heading.command))),
            script=script,
            script_hash=digest,
            data=in_element(data),
            live=live,
            mark=MARK,
            # The colours and letters of r4l's other pages.
            style=_source("r4l.report", "style.css") + _source("r4l.scope", "scope.css"),
        )
    )


def is_page(file: Path) -> bool:
    """True if a file is a page of this room."""
    if not leads_to_file(file):
        return False
    with file.open("rb") as stream:
        return MARK.encode() in stream.read(1024)


def in_element(data: object) -> str:
    """Return data as JSON that can stand inside of a script element: none of its characters ends the element."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def described(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return events with clean texts, and each frame in words under the key `frame`."""
    return [_described(event) for event in events]


def _described(event: Mapping[str, Any]) -> dict[str, Any]:
    one = dict(event)
    if "text" in one:
        one["text"] = clean.line(one["text"])
    if one["kind"].startswith("frame"):
        packet = packets.decoded(bytes.fromhex(one.get("data", "")))
        one["frame"] = f"{packet.protocol} {packet.info}".strip()
        one["ends"] = f"{packet.source} → {packet.destination}"
    return one


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("r4l.scope"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _source(package: str, name: str) -> str:
    """Return a file of a package's templates as it is."""
    return PackageLoader(package).get_source(_environment(), name)[0]
