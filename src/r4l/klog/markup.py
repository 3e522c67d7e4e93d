# SPDX-License-Identifier: MIT
"""Take log lines out of JSON, HTML and the encoding of mails, in which programs and archives keep them."""

from __future__ import annotations

import base64
import binascii
import html
import json
import quopri
import re

_MESSAGE = re.compile(r'"(?:MESSAGE|message|msg|log)" ?: ?("(?:[^"\\]|\\.)*")')
"""A string member with a log line: journalctl -o json, dmesg --json, docker's json-file, LAVA."""
_ALONE = re.compile(r'[ \t]{0,8}("(?:[^"\\]|\\.)*"),?$')
"""A log line alone as a string: jq .MESSAGE."""
_BYTES = re.compile(r'"MESSAGE" ?: ?\[ ?(\d{1,3}(?: ?, ?\d{1,3})*) ?\]')
"""A log line with characters that journald takes for binary (systemd.journal-fields(7))."""
RECORD = "\x1e"
"""Begin of each line of journalctl -o json-seq (RFC 7464)."""
EVENT = "data: "
"""Begin of each line of journalctl -o json-sse."""
_SOURCE = re.compile(r'"(?:SYSLOG_IDENTIFIER|_TRANSPORT)" ?: ?"([^"]*)"')
"""A member of journald's that names the writer (systemd.journal-fields(7))."""
_BETWEEN = re.compile(r"(?<=\}) ?,? ?(?=\{ ?\")")
"""Place between two objects in a line. Within a string, the quote would have a backslash."""
_OTHER = re.compile(r'[\[\]{}, ]+$|"\w{1,32}" ?: ?[\w.\[{ -]{0,32},?$')
"""A line of JSON with another member, or only brackets."""
_FLOW = re.compile(
    r"[- ]*\{dt: .{1,40}, lvl: \w{1,16}, "
    r"msg: (?:'(?P<single>(?:[^']|'')*)'|(?P<double>\"(?:[^\"\\]|\\.)*\")|(?P<plain>[^'\"].*?))\}?$"
)
"""A line of LAVA's older logs, in YAML."""
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d{1,4}|#[xX][0-9a-fA-F]{1,4});")
_TAG = re.compile(r"</?(?:br|p|pre|span|div|code|li|td|tr|tt|b|font) ?/?>")
"""A tag that may be at a line's end. The kernel's own (`</TASK>`) are in capitals."""


def from_json(line: str) -> list[tuple[str, bool | None]] | None:
    """Return the log lines in a line of JSON, and for each whether the kernel wrote it; None if the line is not JSON.

    The second value is None if the line does not name the writer. JSON without a log line gives none.
    """
    line = line.removeprefix(RECORD).removeprefix(EVENT)
    start = line.removeprefix("[").lstrip(" \t-")[:1]
    if start not in ("{", "}", '"'):
        return None
    if "{dt: " in line and (flow := _FLOW.match(line)):
        return _lines([_of_yaml(flow)], None)
    objects = _BETWEEN.split(line) if line.count("{") > 1 else [line]
    found = [_of_object(each) for each in objects]
    if not any(found):
        return [] if _OTHER.match(line.strip()) else None
    return [one for lines in found for one in lines or ()]


def _of_object(text: str) -> list[tuple[str, bool | None]] | None:
    """Return the log lines in an object, and their writer; None if there are none."""
    if found := _MESSAGE.findall(text):
        # Some shippers write a message a second time, under another name.
        messages = list(dict.fromkeys(map(_of_string, found)))
    elif alone := _ALONE.match(text):
        messages = [_of_string(alone[1])]
    elif numbers := _BYTES.search(text):
        messages = [bytes(int(each) & 255 for each in numbers[1].split(",")).decode("utf-8", "replace")]
    else:
        return None
    sources = _SOURCE.findall(text)
    return _lines(messages, "kernel" in sources if sources else None)


def _lines(messages: list[str], kernel: bool | None) -> list[tuple[str, bool | None]]:
    """Return the lines of messages; a program may put a whole report into one."""
    return [(line.rstrip("\r"), kernel) for message in messages for line in message.rstrip("\r\n").split("\n")]


def _of_string(quoted: str) -> str:
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted.strip('"')


def _of_yaml(flow: re.Match[str]) -> str:
    if flow["single"] is not None:
        return flow["single"].replace("''", "'")
    try:
        return flow["plain"] or str(json.loads(flow["double"], strict=False))
    except ValueError:
        return flow["double"].strip('"')


def from_html(line: str) -> str:
    """Replace the entities in a line of HTML, and drop the tags at its end."""
    if "&" in line:
        line = _ENTITY.sub(lambda match: html.unescape(match[0]).replace("\u00a0", " "), line)
    end = len(line)
    # From the end: a pattern for all tags there would look at many of them again from each.
    while line.endswith(">", 0, end) and _TAG.fullmatch(line, begin := max(0, line.rfind("<", 0, end)), end):
        end = begin
    return line[:end]


LONGEST = 8192
"""Characters of a line that is put together."""
HEADERS = ("content-type:", "content-transfer-encoding:")
"""Headers that tell how a mail's text is encoded, in small letters."""
_OTHER_HEADER = "another"
_TEXT = re.compile(r"\s*(?:$|text/|application/octet-stream)")
"""Types of a mail's parts that are decoded."""
_LINE_END = re.compile("(?:=0D)?=0A")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}$")


class MailDecoder:
    """Decoder of mails as they are sent, such as an archive's files of them (RFC 2045: quoted-printable, base64)."""

    def __init__(self) -> None:
        self._headers: dict[str, str] = {}
        self._last = ""
        """Header that the next line may go on with, or `_OTHER_HEADER`; empty outside of headers."""
        self._begun = ""
        self._bytes = b""

    @property
    def active(self) -> bool:
        """True if the next line must be given to `decode`."""
        return bool(self._last) or self._encoding in ("quoted-printable", "base64")

    @property
    def begun(self) -> bool:
        """True in a mail, after headers that tell what its text is."""
        return bool(self._headers)

    @property
    def flowed(self) -> bool:
        """True if a blank at a line's end means that the next line goes on with it (RFC 3676)."""
        return "format=flowed" in self._headers.get("content-type:", "")

    @property
    def _encoding(self) -> str:
        return self._headers.get("content-transfer-encoding:", "").strip()

    def header(self, line: str) -> bool:
        """Note a header; return False for a line that is none of HEADERS."""
        name, _, value = line.lower().partition(" ")
        if name not in HEADERS:
            return False
        if not self._last:
            # A mail, or a part of one, begins.
            self._headers, self._begun, self._bytes = {}, "", b""
        self._headers[name], self._last = value, name
        return True

    def decode(self, line: str) -> list[str]:
        """Add a line; return the lines that are complete."""
        if self._last:
            if not line.strip():
                self._last = ""
            elif line[0] not in " \t":
                self._last = _OTHER_HEADER
            elif self._last in HEADERS:
                self._headers[self._last] = (self._headers[self._last] + line.lower())[:LONGEST]
            return [line]
        if self._encoding == "base64" and _TEXT.match(self._headers.get("content-type:", "")):
            return self._of_base64(line)
        if self._encoding != "quoted-printable":
            return [line]
        line, self._begun = self._begun + line.rstrip(), ""
        # Some programs encode the ends of lines, too, and break after each.
        whole = _LINE_END.split(line)
        if line.endswith("=") and len(whole[-1]) < LONGEST:
            self._begun = whole.pop()[:-1]
        return [
            quopri.decodestring(text.encode()).decode("utf-8", "replace") if "=" in text else text for text in whole
        ]

    def flush(self) -> list[str]:
        """End the text: return the line that is not complete."""
        rest, self._begun, self._bytes = self._begun or self._bytes.decode("utf-8", "replace"), "", b""
        return [rest] if rest else []

    def _of_base64(self, line: str) -> list[str]:
        try:
            data = base64.b64decode(line.strip(), validate=True) if _BASE64.match(line.strip()) else None
        except binascii.Error:
            data = None
        if data is None:
            return [*self.flush(), line]
        *whole, self._bytes = (self._bytes + data).split(b"\n")
        if len(self._bytes) > LONGEST:
            whole, self._bytes = [*whole, self._bytes], b""
        return [each.decode("utf-8", "replace") for each in whole]
