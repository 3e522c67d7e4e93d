# SPDX-License-Identifier: MIT
"""Take log lines out of JSON and HTML, in which programs and web pages keep them."""

from __future__ import annotations

import json
import re

_MESSAGE = re.compile(r'"(?:MESSAGE|message|msg|log)" ?: ?("(?:[^"\\]|\\.)*")')
"""A string member with a log line: journalctl -o json, dmesg --json, docker's json-file, LAVA."""
_SOURCE = re.compile(r'"(?:SYSLOG_IDENTIFIER|_TRANSPORT)" ?: ?"([^"]*)"')
"""A member of journald's that names the writer (systemd.journal-fields(7))."""
_OTHER = re.compile(r'\s*(?:[\[\]{}, ]+|"\w{1,32}" ?: ?[\w.\[{ -]{0,32},?)$')
"""A line of JSON with another member, or only brackets."""
_ENTITIES = {
    "lt": "<",
    "gt": ">",
    "amp": "&",
    "quot": '"',
    "apos": "'",
    "#39": "'",
    "#34": '"',
    "#x27": "'",
    "nbsp": " ",
}
_ENTITY = re.compile(f"&({'|'.join(_ENTITIES)});")
_TAGS = re.compile(r"(?:</?(?:br|p|pre|span|div|code|li|td|tr|tt|b|font) ?/?>)+$")
"""Tags at a line's end. The kernel's own (`</TASK>`) are in capitals."""


def from_json(line: str) -> tuple[str, bool | None] | None:
    """Return the log line in a line of JSON, and whether the kernel wrote it; None if the line is not JSON.

    The second value is None if the line does not name the writer. JSON without a log line gives an empty text.
    """
    start = line.lstrip(" \t-")[:1]
    if start not in ("{", "}", '"'):
        return None
    found = _MESSAGE.search(line)
    if found is None:
        return ("", None) if _OTHER.match(line) else None
    try:
        text = str(json.loads(found[1], strict=False))
    except ValueError:
        text = found[1].strip('"')
    sources = _SOURCE.findall(line)
    return text.rstrip("\r\n"), "kernel" in sources if sources else None


def from_html(line: str) -> str:
    """Replace the entities in a line of HTML, and drop the tags at its end."""
    if "&" in line:
        line = _ENTITY.sub(lambda match: _ENTITIES[match[1]], line)
    return _TAGS.sub("", line) if line.endswith(">") else line
