# SPDX-License-Identifier: MIT
"""Take log lines out of JSON, HTML and the encoding of mails, in which programs and archives keep them."""

from __future__ import annotations

import json
import quopri
import re

_MESSAGE = re.compile(r'"(?:MESSAGE|message|msg|log)" ?: ?("(?:[^"\\]|\\.)*")')
"""A string member with a log line: journalctl -o json, dmesg --json, docker's json-file, LAVA."""
_SOURCE = re.compile(r'"(?:SYSLOG_IDENTIFIER|_TRANSPORT)" ?: ?"([^"]*)"')
"""A member of journald's that names the writer (systemd.journal-fields(7))."""
_OTHER = re.compile(r'[\[\]{}, ]+$|"\w{1,32}" ?: ?[\w.\[{ -]{0,32},?$')
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
        return ("", None) if _OTHER.match(line.strip()) else None
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


ENCODING = "content-transfer-encoding:"
"""A mail's header, in small letters."""
LONGEST = 8192
"""Characters of a line that is put together."""


class MailDecoder:
    """Decoder of mails as they are sent, such as an archive's files of them (RFC 2045, quoted-printable)."""

    def __init__(self) -> None:
        self.encoded = False
        """True between a header that announces this encoding and the next one."""
        self._begun = ""

    def header(self, line: str) -> None:
        """Note a header of a mail; `line` begins like one that tells the encoding."""
        name, _, value = line.partition(" ")
        if name.lower() == ENCODING:
            self.encoded, self._begun = value.strip().lower() == "quoted-printable", ""

    def decode(self, line: str) -> str | None:
        """Decode a line; None if the next line goes on with it."""
        line, self._begun = self._begun + line, ""
        if line.endswith("=") and len(line) < LONGEST:
            self._begun = line[:-1]
            return None
        return quopri.decodestring(line.encode()).decode("utf-8", "replace") if "=" in line else line
