# SPDX-License-Identifier: MIT
"""Logs inside JSON and HTML."""

from __future__ import annotations

import html
import io
import json
import quopri
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r4l.klog.markup import from_html, from_json
from r4l.klog.prefixes import parse_any_line
from r4l.klog.reader import complaints

TEXTS = [
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "Oops: 0000 [#1] SMP",
    'CPU: 1 PID: 123 Comm: a "quoted" name\\ Not tainted 7.3.4 #1',
    "Call Trace:",
    " <TASK>",
    " widget_read+0x12/0x40 [widget]",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
]


def stamped(text: str) -> str:
    return f"[   12.345678] {text}"


def journal(text: str) -> str:
    return json.dumps({"_TRANSPORT": "kernel", "PRIORITY": "4", "MESSAGE": text, "_HOSTNAME": "host"})


SHAPES: dict[str, Callable[[str], str]] = {
    "journalctl -o json": journal,
    "dmesg --json": lambda text: (
        f'      {{\n         "pri": 4,\n         "time":    12.345678,\n         "msg": {json.dumps(text)}\n      }},'
    ),
    "dmesg --json of one line": lambda text: f'{{"pri":4,"time":   12.345678,"msg":{json.dumps(text)}}},',
    "docker": lambda text: json.dumps({"log": stamped(text) + "\r\n", "stream": "stdout"}),
    "LAVA": lambda text: f'- {{"dt": "2026-11-28T10:00:00", "lvl": "target", "msg": {json.dumps(stamped(text))}}}',
    "HTML": lambda text: html.escape(stamped(text)),
    "HTML with levels": lambda text: html.escape("<4>" + stamped(text)),
    "HTML with tags": lambda text: html.escape(stamped(text)) + "</span><br />",
    "HTML with its own blanks": lambda text: html.escape(stamped(text)).replace(" ", "&nbsp;") + "<br>",
    "blanks of a web page": lambda text: stamped(text).replace("  ", "\u00a0\u00a0"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_complaint_is_found_inside(name: str) -> None:
    log = "\n".join(map(SHAPES[name], ["widget: before", *TEXTS, "widget: after"]))
    (splat,) = complaints(io.BytesIO(log.encode()))
    assert splat.lines == TEXTS
    assert splat.culprit is not None
    assert (splat.culprit.symbol, splat.culprit.module) == ("widget_read", "widget")


def test_mails_as_they_are_sent() -> None:
    """quopri is Python's own encoder of such mails: it breaks long lines and writes `=` as `=3D`."""
    long = " _RNvMs_Cs9aBcDeF_6widgetNtB4_6Device4readINtB2_4MoreE" + "x" * 40 + "+0x12/0x40 [widget]"
    texts = [*TEXTS[:4], "pstate: 600000c5 (BTYPE=--)", long, *TEXTS[4:]]
    body = "\n".join(f"> {stamped(text)}" for text in texts)
    mail = b"From: a\nContent-Transfer-Encoding: quoted-printable\n\n" + quopri.encodestring(body.encode())
    assert b"=\n" in mail
    assert b"=3D" in mail
    (splat,) = complaints(io.BytesIO(mail + b"\nContent-Transfer-Encoding: 8bit\n\nx=\n"))
    assert splat.lines == texts


def test_journald_says_who_wrote_a_line() -> None:
    (record,) = parse_any_line(journal("BUG: x"))
    assert (record.text, record.kernel) == ("BUG: x", True)
    (record,) = parse_any_line(json.dumps({"SYSLOG_IDENTIFIER": "prog", "MESSAGE": "BUG: x"}))
    assert (record.text, record.kernel) == ("BUG: x", False)


@pytest.mark.parametrize(
    "line", ['"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.', '{"a', "{", "a", '"', ""]
)
def test_other_lines_are_no_json(line: str) -> None:
    found = from_json(line)
    assert found in (None, ("", None))
    assert found is None or line in ("{", "")


@pytest.mark.parametrize(
    "line", [" <TASK>", " </IRQ>", "(&stab->lock){+.+.}", "a & b", "<a::B as c::D>::e", "x &copy y"]
)
def test_the_kernels_own_marks_stay(line: str) -> None:
    assert from_html(line) == line


@given(
    st.sampled_from(['{"msg":"', '"', "\\\\", '{"log":', "{", "&lt;", "<br>", "</p>", " ", '"a": ']),
    st.integers(1, 4000),
)
def test_no_line_takes_long(piece: str, times: int) -> None:
    begin = time.process_time()
    for before in ("", "{", '"', " " * 2000 + "{"):
        parse_any_line((before + piece * times)[:8000] + "x")
    assert time.process_time() - begin < 0.5
