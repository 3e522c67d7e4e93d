# SPDX-License-Identifier: MIT
"""Logs inside JSON and HTML."""

from __future__ import annotations

import base64
import html
import io
import json
import quopri
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.klog.logs import OOPS

from r4l.klog.markup import from_html, from_json
from r4l.klog.packed import opened
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
    "LAVA of 2018": lambda text: (
        "- {dt: '2018-05-31T08:38:00.432', lvl: target, msg: '" + stamped(text).replace("'", "''") + "'}"
    ),
    "LAVA of 2018, other quotes": lambda text: (
        f"- {{dt: '2018-05-31T08:38:00.432', lvl: target, msg: {json.dumps(stamped(text))}}}"
    ),
    "HTML": lambda text: html.escape(stamped(text)),
    "HTML with numbers": lambda text: "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in stamped(text)),
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


def test_a_header_that_goes_on_is_none_of_the_encoding() -> None:
    """A mail has more headers behind those that tell how it is encoded, of more than a line each."""
    body = quopri.encodestring("\n".join(map(stamped, TEXTS)).encode())
    headers = b"Content-Transfer-Encoding: quoted-printable\nX-Path: a\n b\n\tc\n\n"
    (splat,) = complaints(io.BytesIO(headers + body))
    assert splat.lines == TEXTS


@pytest.mark.parametrize("end", ["=0A=\n", "=0D=0A=\n"])
def test_ends_of_lines_that_are_encoded_too(end: str) -> None:
    """Such is a mail whose writer encodes the text as a whole."""
    body = end.join(stamped(text).replace("=", "=3D") for text in TEXTS)
    (splat,) = complaints(io.BytesIO(f"Content-Transfer-Encoding: quoted-printable\n\n{body}\n".encode()))
    assert splat.lines == TEXTS


def test_mails_in_base64() -> None:
    """The report is in the second part of a mail, after one with another encoding."""
    body = base64.encodebytes("\n".join(map(stamped, TEXTS)).encode())
    mail = (
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\nSee below.\n--x\n"
        b'Content-Type: text/plain;\n name="dmesg.txt"\nContent-Transfer-Encoding: base64\n\n' + body + b"--x--\n"
    )
    (splat,) = complaints(io.BytesIO(mail))
    assert splat.lines == TEXTS
    picture = mail.replace(b"text/plain;", b"image/png;")
    assert list(complaints(io.BytesIO(picture))) == []


def broken(text: str, width: int, end: str) -> list[str]:
    """Lines of a text as a mail program breaks it at blanks, so that all but the last end with `end`."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1].strip() and len(lines[-1]) + len(word) > width:
            lines[-1] += end
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] or word else " "
    return [line.removeprefix(" ") for line in lines]


LONG = [
    "BUG: KASAN: slab-use-after-free in widget_do_something_with_a_long_name+0x12/0x40 [widget]",
    "Read of size 8 at addr ffff888101234500 by task prog/123",
    "Call Trace:",
    "widget_do_something_with_a_long_name+0x12/0x40 drivers/net/ethernet/widget/widget_main.c:1234 [inline]",
    "widget_read_a_register_of_the_card+0x12/0x40 drivers/net/ethernet/widget/widget_main.c:99",
]


@pytest.mark.parametrize(
    ("header", "quote", "end"),
    [
        ("Content-Type: text/plain; charset=utf-8; format=flowed", "", " "),
        ("content-type: text/plain;\n\tcharset=utf-8; format=flowed; delsp=yes", "", "  "),
        ("Content-Type: text/plain; format=flowed", "> ", " "),
        ("Content-Type: text/plain; format=flowed", ">> ", " "),
        ("Subject: without such a header", "", "  "),
    ],
)
def test_lines_that_a_mail_program_broke_so_that_they_can_be_put_together(header: str, quote: str, end: str) -> None:
    lines = [quote + part for text in LONG for part in broken(text, 66, end)]
    assert len(lines) > len(LONG)
    (splat,) = complaints(io.BytesIO("\n".join([header, "", "Hello,", *lines, "-- ", "me"]).encode()))
    assert splat.lines[: len(LONG)] == LONG


WIDE = [
    "WARNING: CPU: 1 PID: 123 at drivers/net/ethernet/widget/widget_main.c:1234 widget_read+0x12/0x40 [widget]",
    "Modules linked in: widget",
    "CPU: 1 UID: 0 PID: 123 Comm: prog Tainted: G S      W          6.14.4-400.some.distribution.x86_64 #1",
    "Call Trace:",
    "[c00000003dd4f360] [c000000000970fe0] widget_do_something_with_a_long_name+0xf4/0x164 [widget]",
    "[c00000003dd4f3b0] [c00000000097dcf4] widget_read_a_register+0x1b4/0x1e0 (unreliable)",
]


@pytest.mark.parametrize("margin", [71, 72, 78])
@pytest.mark.parametrize("quote", ["", "> ", "> > "])
def test_lines_that_a_mail_program_broke_at_its_margin(quote: str, margin: int) -> None:
    """A mark shows which lines were the kernel's."""
    lines = [quote + part for text in WIDE for part in textwrap.wrap(stamped(text), margin, break_long_words=False)]
    assert len(lines) > len(WIDE)
    (splat,) = complaints(io.BytesIO("\n".join(["Content-Type: text/plain", "", "Hello,", *lines, ""]).encode()))
    assert [" ".join(line.split()) for line in splat.lines] == [" ".join(text.split()) for text in WIDE]


def test_a_headline_without_a_mark_is_put_together_where_its_words_are_not_over() -> None:
    headline = WIDE[0].removesuffix(" [widget]")
    lines = [*textwrap.wrap(headline, 72), "Call Trace:", " widget_read+0x12/0x40 [widget]"]
    assert lines[0].endswith(" at")
    (splat,) = complaints(io.BytesIO("\n".join(["Content-Type: text/plain", "", *lines]).encode()))
    assert splat.lines == [headline, *lines[2:]]


def test_a_line_that_had_room_goes_on_in_no_other() -> None:
    """In a mail, words of other programs stand between the kernel's lines; a plain log has no margin."""
    log = [stamped("BUG: unable to handle page fault for address: 0"), "done", stamped("Call Trace:")]
    (splat,) = complaints(io.BytesIO("\n".join(["Content-Type: text/plain", "", *log]).encode()))
    assert splat.lines == ["BUG: unable to handle page fault for address: 0", "Call Trace:"]
    log[1] = "starting-a-service-with-a-long-name"
    (splat,) = complaints(io.BytesIO("\n".join(log).encode()))
    assert log[1] not in splat.headline


def test_a_blank_at_the_end_of_a_line_of_the_kernels_does_not_break_it() -> None:
    texts = ["Oops: 0000 [#1] PREEMPT SMP KASAN NOPTI and more words of the kernel  ", "CPU: 1 PID: 7 Comm: prog  "]
    for before in ("", "[    1.000000] ", "Nov 28 10:00:00 host kernel: "):
        log = "\n".join(before + text for text in ["BUG: unable to handle page fault for address: 0", *texts])
        (splat,) = complaints(io.BytesIO(log.encode()))
        assert [line.rstrip() for line in splat.lines[1:]] == [text.rstrip() for text in texts]


def test_journald_says_who_wrote_a_line() -> None:
    (record,) = parse_any_line(journal("BUG: x"))
    assert (record.text, record.kernel) == ("BUG: x", True)
    (record,) = parse_any_line(json.dumps({"SYSLOG_IDENTIFIER": "prog", "MESSAGE": "BUG: x"}))
    assert (record.text, record.kernel) == ("BUG: x", False)


def test_each_object_of_a_line_has_its_own_writer() -> None:
    line = journal("BUG: x") + json.dumps({"SYSLOG_IDENTIFIER": "prog", "MESSAGE": "BUG: y"}) + '{"msg": "BUG: z"}'
    assert [(one.text, one.kernel) for one in parse_any_line(line)] == [
        ("BUG: x", True),
        ("BUG: y", False),
        ("BUG: z", None),
    ]


def test_a_message_of_one_member_begins_its_headline_only() -> None:
    """Regression: the whole report was one line, so a complaint's headline; or none was found at all."""
    log = json.dumps({"message": "\n".join(OOPS)}) + '\n{"message":"next"}\n'
    (splat,) = complaints(io.BytesIO(log.encode()))
    assert splat.headline == OOPS[0]


@pytest.mark.parametrize(
    "line", ['"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.', '{"a', "{", "a", '"', ""]
)
def test_other_lines_are_no_json(line: str) -> None:
    found = from_json(line)
    assert found in (None, [])
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


def stamped_oops() -> list[str]:
    return [f"[    1.{number:06}] {text}" for number, text in enumerate(OOPS)]


LISTS: dict[str, Callable[[list[str]], str]] = {
    "json-seq": lambda lines: "".join(f"\x1e{journal(line)}\n" for line in lines),
    "json-sse": lambda lines: "".join(f"data: {journal(line)}\n\n" for line in lines),
    "bytes": lambda lines: "".join(
        json.dumps({"_TRANSPORT": "kernel", "MESSAGE": list(f"{line}\x1b".encode())}) + "\n" for line in lines
    ),
    "jq .MESSAGE": lambda lines: "".join(f"{json.dumps(line)}\n" for line in lines),
    "jq '[.MESSAGE]'": lambda lines: json.dumps(lines, indent=2),
    "dmesg, jq -c": lambda lines: json.dumps(
        {"dmesg": [{"pri": 1, "time": 1.0, "msg": line} for line in lines]}, separators=(",", ":")
    ),
    "a report in one member": lambda lines: json.dumps({"message": "\n".join(lines) + "\n"}) + "\n",
    "a report in one member, after others": lambda lines: (
        "boot\n" + json.dumps({"log": "\r\n".join(lines), "time": 1, "stream": "stdout"}) + "\nend\n"
    ),
    "a report in one string": lambda lines: json.dumps("\n".join(lines)),
    "a report of 100 KB in one member": lambda lines: json.dumps({"log": "\n".join(["usb: x" * 9] * 2000 + lines)}),
    "a report in LAVA's YAML": lambda lines: (
        f"- {{dt: '2018-05-31T08:38:00', lvl: t, msg: {json.dumps(chr(10).join(lines))}}}"
    ),
    "a report in bytes": lambda lines: json.dumps({"MESSAGE": list("\n".join(lines).encode())}),
    "objects in a line": lambda lines: "x\n" + " ".join(json.dumps({"msg": line}) for line in lines),
    "objects in a line without blanks": lambda lines: "x\n" + "".join(map(journal, lines)),
    "a list in a line": lambda lines: 'x\n{"a": ' + json.dumps([{"msg": line, "n": {"a": 1}} for line in lines]) + "}",
    "two members": lambda lines: "".join(json.dumps({"log": line, "message": line}) + "\n" for line in lines),
    "journalctl, jq -cs": lambda lines: "[" + ",".join(map(journal, lines)) + "]",
}


@pytest.mark.parametrize("shape", LISTS.values(), ids=list(LISTS))
@pytest.mark.parametrize("stamp", [False, True])
def test_messages_in_json(shape: Callable[[list[str]], str], stamp: bool, tmp_path: Path) -> None:
    before = [f"usb 1-{number}: new device" for number in range(300)]
    lines = stamped_oops() if stamp else OOPS
    (tmp_path / "log").write_text(shape([*before, *lines]))
    with opened(tmp_path / "log") as stream:
        (splat,) = complaints(stream)
    assert splat.splat_kind == "oops"
    assert [line.strip("\x1b") for line in splat.lines] == OOPS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_list_in_one_line_may_be_read_in_any_pieces(size: int, tmp_path: Path) -> None:
    (tmp_path / "log").write_text('[{"msg":"a"},{"msg":"b"},{"msg":"c"}]')
    with opened(tmp_path / "log") as stream:
        assert b"".join(iter(lambda: stream.read(size), b"")).count(b"\n") == 2
