# SPDX-License-Identifier: MIT
"""The report's page for complete, failed, empty and hostile runs."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from r4l import report
from r4l.report import clean, ladder, log, model, packets, timeline
from r4l.report.model import CommandRun, Result, StageTime, Step

SAMPLE = Path(__file__).parent / "sample"
VOID = {"meta"}


class Outline(HTMLParser):
    """Tags, attributes and text of a page; `unclosed` is empty if the tags nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.misnested: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text with single spaces."""
        return " ".join(" ".join(self.texts).split())


def assert_sound(page: str) -> Outline:
    """Check that the page nests, runs no script, loads no file and contains no control bytes."""
    outline = Outline(page)
    assert not outline.misnested
    assert not outline.open
    assert not {"script", "iframe", "object", "embed", "img", "link", "base", "form"} & set(outline.tags)
    for name, value in outline.attributes:
        assert not name.startswith("on"), name
        if name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            assert value.startswith(("#", "./")), value
    assert not re.search(r"url\((?!#)|@import|https?:", "".join(re.findall(r"<style>.*?</style>", page, re.DOTALL)))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    return outline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sample run."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "run"))


@pytest.fixture
def change(folder: Path) -> Callable[..., str]:
    """Change the sample's result and return the page."""

    def apply(edit: Callable[[Result], None]) -> str:
        result, fault = model.load(folder)
        assert not fault
        edit(result)
        result.save(folder)
        return report.write(folder).read_text(encoding="utf-8")

    return apply


def test_whole_run(folder: Path) -> None:
    page = report.write(folder)
    assert page == folder / "report.html"
    outline = assert_sound(page.read_text(encoding="utf-8"))
    assert "http" not in page.read_text(encoding="utf-8").replace("http-equiv", "")
    for text in (
        "Passed e1000 ran in Linux 7.2.12+deb13-amd64: all 9 checks passed",
        "7 of 7 pings on the wire were answered.",
        "21 November 2026, 09:00 UTC",
        "4 packets transmitted, 4 packets received, 0% packet loss",
        "RTNETLINK answers: Invalid argument",
        "e1000: eth0 NIC Link is Up 1000 Mbps Full Duplex",
        "who has 10.0.2.2? tell 10.0.2.15",
        "echo reply, seq 3",
        "multicast listener report v2",
        "2778 of 2778 exported Rust symbols",
        "./r4l demo",
        "no warning, no oops",
    ):
        assert text in outline.text, text
    assert ("href", "./eth0.pcap") in outline.attributes
    assert outline.tags.count("svg") >= 20
    assert not list(folder.glob(".*"))


def test_a_step_without_its_requirement_is_of_an_older_run(change: Callable[..., str]) -> None:
    def older(result: Result) -> None:
        for step in result.steps:
            step.requirement = ""

    page = change(older)
    assert "insmod" in page
    assert '<p class="item">' not in page


def test_rows_bring_their_item_with_code(folder: Path) -> None:
    page = report.write(folder).read_text(encoding="utf-8")
    assert "<code>ip addr add broadcast 10.0.2.255 dev eth0</code> with no address" in page


def test_failed_step_stands_at_the_top(change: Callable[..., str]) -> None:
    def fail(result: Result) -> None:
        result.verdict = "failed"
        step = result.steps[4]
        step.ok, step.error = False, "no echo came back in 5 s\nthe link is down"

    outline = assert_sound(change(fail))
    assert "Failed 1 of 9 checks failed for e1000" in outline.text
    assert "no echo came back in 5 s the link is down" in outline.text.split("Total time")[0]
    assert "8 of 9 rows passed" in outline.text


def test_a_failed_step_outweighs_the_verdict(change: Callable[..., str]) -> None:
    def lie(result: Result) -> None:
        result.steps[0].ok = False

    text = Outline(change(lie)).text
    assert "Failed 1 of 9" in text
    assert "called itself passed" in text


def test_interrupted_run(change: Callable[..., str], folder: Path) -> None:
    (folder / "eth0.pcap").unlink()

    def cut(result: Result) -> None:
        result.verdict, result.seconds = "", None
        result.steps = result.steps[:3]
        step = result.steps[-1]
        step.ok = step.seconds = step.console_end = None
        step.commands[0].exit_code = None
        result.stages[-1].seconds = result.stages[-1].ok = None
        result.stages[0].start = None

    text = assert_sound(change(cut)).text
    assert "No verdict" in text
    assert "2 of 3 recorded checks passed" in text
    assert "did not end" in text
    assert "The capture eth0.pcap is missing." in text
    assert "Never begun, so not on the axis: toolchain" in text


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"null", b'{"steps": 3}', b"\xff\xfe", b"[" * 100_000])
def test_empty_folder_or_result(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "result.json").write_bytes(content)
    outline = assert_sound(report.write(tmp_path).read_text(encoding="utf-8"))
    assert "No verdict" in outline.text
    assert "No step was recorded" in outline.text
    assert "There is no console log." in outline.text


def test_every_field_of_the_wrong_type(folder: Path) -> None:
    data = json.loads((folder / "result.json").read_text())

    def spoil(value: object, depth: int = 0) -> object:
        if isinstance(value, dict):
            return {key: spoil(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list):
            return [*(spoil(entry, depth + 1) for entry in value), None, 7]
        return {"x": 1} if isinstance(value, str) else "text"

    (folder / "result.json").write_text(json.dumps(spoil(data)))
    assert_sound(report.write(folder).read_text(encoding="utf-8"))


def test_hostile_text_is_shown_and_not_run(change: Callable[..., str], folder: Path) -> None:
    evil = (
        "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[31mred\x1b[0m\x00\x9b\u202egnp \udcff"
    )

    def poison(result: Result) -> None:
        result.title = result.started = result.r4l = evil
        result.kernel.release = result.kernel.version = result.kernel.arch = evil
        result.kernel.toolchain[evil] = evil
        result.kernel.rust_symbols.exported[evil] = 1
        result.accelerator.name = result.accelerator.reason = evil
        result.module.name = result.module.file = result.module.vermagic = evil
        result.module.license = result.module.description = evil
        result.stages[0].name = evil
        for step in result.steps[:4]:
            step.row = step.title = step.expected = step.seen = step.error = evil
            step.ok = False
            step.commands = [CommandRun(evil, 1, evil, evil, 0.1)]
        result.files.pcaps += ["../../etc/passwd", "javascript:alert(1)", "/etc/hostname", evil, ""]

    (folder / "console.log").write_bytes(
        (folder / "console.log").read_bytes()
        + b"\xff\xfe\x80 </div><script>x</script> \x1b]0;title\x07 \x1b[2J\r\n" * 3
    )
    page = change(poison)
    outline = assert_sound(page)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7*7 }}red" in page
    assert "[31m" not in page
    assert not any("etc" in value for name, value in outline.attributes if name == "href")


def test_long_things_are_bounded(change: Callable[..., str], folder: Path) -> None:
    def swell(result: Result) -> None:
        result.steps[4].commands[-1].stdout = "line\n" * 50_000 + "x" * 100_000
        result.steps += [Step("A9", f"again {n}", ok=True, commands=[CommandRun("true", 0)] * 100) for n in range(500)]
        result.stages += [StageTime(f"stage {n}", float(n), 1.0, True) for n in range(500)]

    with (folder / "console.log").open("ab") as console:
        console.write(b"[   20.000000] noise\n" * 100_000 + b"[   21.000000] BUG: at the end\n" + b"y" * 2_000_000)
    page = change(swell)
    assert_sound(page)
    assert len(page) < 6_000_000
    assert "lines left out" in page
    assert "309 steps after the first 200 are not shown." in page
    assert "BUG: at the end" in page


def test_result_survives_its_file(tmp_path: Path) -> None:
    result, _fault = model.load(SAMPLE)
    result.steps[0].error = "lone \udc80 surrogate"
    result.save(tmp_path)
    again, fault = model.load(tmp_path)
    assert not fault
    assert again == result


def test_capture_in_words() -> None:
    capture = packets.read(SAMPLE / "eth0.pcap")
    assert capture.notes == []
    assert (capture.total, capture.bytes) == (38, 3288)
    assert capture.protocols == {"ICMP": 14, "MLD": 9, "ARP": 8, "NDP": 7}
    assert (capture.guest_ip, capture.peer_ip) == ("10.0.2.15", "10.0.2.2")
    assert len(capture.rtts) == 7
    assert capture.rtt_summary is not None
    low, middle, high = capture.rtt_summary
    assert low <= middle <= high < 1
    drawing = ladder.draw(capture)
    assert len(drawing.trips) == 7
    assert sum(rung.kind == "arp" for rung in drawing.rungs) == 8
    assert [rung.y for rung in drawing.rungs] == sorted({rung.y for rung in drawing.rungs})


def test_an_echo_from_behind_the_gateway_names_it(tmp_path: Path) -> None:
    raw = (SAMPLE / "eth0.pcap").read_bytes()
    first, last = bytes([10, 0, 2, 2]), len(raw) - 2 * (16 + 98)
    (tmp_path / "far.pcap").write_bytes(raw[:last] + raw[last:].replace(first, bytes([10, 0, 3, 3])))
    drawing = ladder.draw(packets.read(tmp_path / "far.pcap"))
    assert [rung.detail.split(",")[0] for rung in drawing.rungs[-2:]] == ["to 10.0.3.3", "from 10.0.3.3"]


def test_a_lost_echo_is_seen(tmp_path: Path) -> None:
    raw = (SAMPLE / "eth0.pcap").read_bytes()
    last = len(raw) - 16 - 98  # without the last reply
    (tmp_path / "lost.pcap").write_bytes(raw[:last])
    capture = packets.read(tmp_path / "lost.pcap")
    assert (len(capture.requests), len(capture.rtts)) == (7, 6)
    assert ladder.draw(capture).rungs[-1].lost


@pytest.mark.parametrize("size", [0, 1, 10, 23, 24, 30, 39, 40, 41, 100, 1000, 3919])
def test_cut_capture(folder: Path, size: int) -> None:
    whole = (folder / "eth0.pcap").read_bytes()
    (folder / "eth0.pcap").write_bytes(whole[:size])
    capture = packets.read(folder / "eth0.pcap")
    assert capture.total < 39
    assert bool(capture.notes) == (size != 24)
    outline = assert_sound(report.write(folder).read_text(encoding="utf-8"))
    assert all(note in outline.text for note in capture.notes)


@pytest.mark.parametrize(
    "content",
    [
        b"garbage" * 100,
        b"\x0a\x0d\x0d\x0a" + b"\xff" * 200,
        b"\x1f\x8b" + b"\0" * 100,
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 0xFFFFFFFF),
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"\xff" * 5000,
        (SAMPLE / "eth0.pcap").read_bytes()[:2000] + bytes(range(256)) * 40,
    ],
)
def test_garbage_capture(folder: Path, content: bytes) -> None:
    (folder / "eth0.pcap").write_bytes(content)
    assert packets.read(folder / "eth0.pcap").notes
    assert_sound(report.write(folder).read_text(encoding="utf-8"))


def test_hostile_packets_are_decoded_one_by_one(tmp_path: Path) -> None:
    whole = bytearray((SAMPLE / "eth0.pcap").read_bytes())
    for offset in range(60, len(whole), 7):
        if not (offset - 24) % 5:
            whole[offset] ^= 0xFF
    (tmp_path / "bent.pcap").write_bytes(whole)
    packets.read(tmp_path / "bent.pcap")


def test_log_is_cut_at_the_steps(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    console.write_bytes(
        b"[    0.000000] Linux\r\n[    1.000000] boot failed to find x\r\n"
        b"[    2.000000] r4l_e1000 0000:00:02.0: probe\r\n[    2.100000] other: r4l_e1000x\r\n"
        b"[    3.000000] ------------[ cut here ]------------\r\n[    3.000001] at kernel/dma.c:5\r\n"
        b"[    3.000002] ---[ end trace 0000 ]---\r\n[    3.100000] fine\r\n"
    )
    steps = [
        Step("A9", "later", ok=False, console_begin=4, console_end=7),
        Step("A5", "insmod", ok=True, console_begin=2, console_end=99),
        Step("A1", "beyond", ok=True, console_begin=10**9, console_end=-5),
    ]
    found = log.read(console, steps, "r4l_e1000")
    names = ["boot, before the first step", "insmod", "later", "between steps", "beyond"]
    assert [segment.name for segment in found.segments] == names
    boot, insmod, later = found.segments[:3]
    assert (boot.total, boot.cautions) == (2, 1)
    assert [line.own for line in insmod.lines] == [True, False]
    assert insmod.lines[0].stamp == "2.000000"
    assert [line.kind for line in later.lines] == ["trouble"] * 3
    assert found.troubles == 3
    assert sum(segment.total for segment in found.segments) == found.total == 8


def test_trouble_is_what_the_kernel_complains_of(tmp_path: Path) -> None:
    texts = [
        "traps: prog[104] general protection fault ip:7feb sp:2000 error:0 in prog[7feb+1000]",
        "WARNING: the mand mount option has been deprecated",
        "INFO: task insmod:103 blocked for more than 120 seconds.",
        "      Not tainted 7.3.4 #1",
        "Call Trace:",
        " <TASK>",
        " schedule+0x1/0x2",
        " </TASK>",
        "up again",
    ]
    console = tmp_path / "console.log"
    console.write_text("".join(f"<4>[    1.{number:06}] {text}\n" for number, text in enumerate(texts)))
    (segment,) = log.read(console, [], "").segments
    assert [line.number for line in segment.lines if line.kind == "trouble"] == [3, 4, 5, 6, 7, 8]


def test_timeline_fits_its_axis() -> None:
    result = Result(
        seconds=10.0,
        stages=[StageTime("a", 0.0, 4.0, True), StageTime("b", 1.0, 3.0, True), StageTime("c", 9.0, None)],
        steps=[Step("A5", "insmod", start=9.5, seconds=2.0, ok=True)],
    )
    line = timeline.draw(result)
    assert line.length == 11.5
    assert line.saved == pytest.approx(3.0)
    assert all(bar.left >= 0 and bar.left + bar.width <= 100.0001 for bar in line.bars)
    assert [bar.open for bar in line.bars] == [False, False, True, False]
    assert line.ticks[-1].left <= 100


@pytest.mark.parametrize("length", [0.0, 1e-6, 0.004, 0.7, 9.99, 60.0, 137.0, 3600.0, 9.9e8])
def test_ticks_are_few(length: float) -> None:
    line = timeline.draw(Result(seconds=length, stages=[StageTime("a", 0.0, length, True)]))
    assert 1 <= len(line.ticks) <= 10
    assert all(len(tick.label) < 16 for tick in line.ticks)


def test_clean() -> None:
    assert clean.line("\x1b[1;31mred\x1b[0m \x1b]8;;file:///x\x07link\x1b]8;;\x07\r\n") == "red link"
    assert clean.line(b"\xff\x00ok") == "\ufffd\ufffdok"
    assert clean.line("x" * 2000).endswith("x…")
    assert clean.block("1%\r2%\r\n3%\r\r\n").text == "1%\n2%\n3%"
    assert clean.block("\n".join(map(str, range(1000))), lines=10).left_out == 990
    assert clean.block("a \x1b]0;never ends\nb").text == "a\nb"
