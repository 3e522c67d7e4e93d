# SPDX-License-Identifier: MIT
"""The page, and the test that a cell is printed as."""

from __future__ import annotations

import html
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.browser import needs_browser, shown

from r4l.cluster import SharedKernel
from r4l.sweep import Baseline, CellResult, Results, SweepCell, SweptDriver
from r4l.sweep.as_test import command
from r4l.sweep.page import render, write

KERNEL = SharedKernel("stock", "x86_64", '{"kernel": "7.3.4+deb13-amd64", "packages": {"a": "1"}}')


def driver(label: str, data: bytes) -> SweptDriver:
    return SweptDriver(
        label,
        f"a folder/{label}",
        KERNEL,
        {"m.ko": data},
        "python:edu",
        "python:edu",
        {},
        False,
        "true",
    )


ONE, TWO = driver("one", b"1"), driver("two <b>", b"2")
EVIL = "</script><script>alert(1)</script>\u2028&amp;"


def results(folder: Path) -> Results:
    found = Results(folder)
    cells = [
        (ONE, "probe:all-ones@STATUS#1", "handled"),
        (ONE, "probe:all-ones@STATUS#2", "splat"),
        (TWO, "probe:all-ones@STATUS#1", "hang"),
        (TWO, "traffic:lost-interrupt@0#1", "missed"),
    ]
    for subject, cell, verdict in cells:
        one = CellResult(subject.key, cell, verdict, EVIL, log=[EVIL], splat=EVIL if verdict == "splat" else "")
        found.cells[one.key, one.cell] = one
    found.cells["another", "probe:unplug@STATUS#1"] = CellResult("another", "probe:unplug@STATUS#1", "dead", "")
    return found


def test_two_drivers_side_by_side(tmp_path: Path) -> None:
    page = render([ONE, TWO], results(tmp_path))
    squares = re.findall(r'<button class="sq (\w+)" data-cell="(\d+)" title="([^"]+)"', page)
    assert [(verdict, title) for verdict, _, title in squares] == [
        ("handled", "probe:all-ones@STATUS#1: handled"),
        ("splat", "probe:all-ones@STATUS#2: splat"),
        ("hang", "probe:all-ones@STATUS#1: hang"),
        ("missed", "traffic:lost-interrupt@0#1: missed"),
    ]
    assert "interrupt 0" in page
    assert "two &lt;b&gt;" in page
    assert "another" not in page


def test_nothing_of_a_guest_is_markup(tmp_path: Path) -> None:
    page = render([ONE, TWO], results(tmp_path))
    assert "<script>alert" not in page
    assert page.count("</script>") == 2
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    assert [one["reason"] for one in json.loads(found[1])["cells"]] == [EVIL] * 4


def test_what_is_no_text_does_not_end_the_page(tmp_path: Path) -> None:
    """Regression: bytes of a file's name in a model's note."""
    found = Results(tmp_path)
    bad = "note " + os.fsdecode(b"\xff.bin")
    one = CellResult(ONE.key, "probe:all-ones@STATUS#1", "splat", bad, trace=[bad])
    found.cells[one.key, one.cell] = one
    text = write(tmp_path, [ONE], found).read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data
    assert json.loads(data[1])["texts"] == [bad]


def test_lines_of_many_lives_that_are_alike_are_there_once(tmp_path: Path) -> None:
    """Regression: the page of all cells of a driver had 64 MiB."""
    found = Results(tmp_path)
    for nth in range(1, 101):
        trace = [f"{number + nth:>6} {nth + number / 7:10.6f} read         STATUS → 0x00000081" for number in range(35)]
        log = [f"[{nth + number / 7:12.6f}] mine 0000:00:03.0 eth0: NIC Link is Up" for number in range(40)]
        phases = [("probe", 0, 1.25, "a success\n" * 20), ("remove", 1, 0.5, "a failure")]
        one = CellResult(ONE.key, f"probe:all-ones@STATUS#{nth}", "handled", "", phases=phases, trace=trace, log=log)
        found.cells[one.key, one.cell] = one
    page = render([ONE], found)
    for text in ("STATUS → 0x00000081", "NIC Link is Up"):
        assert page.count(text) == 1
    assert "a success" not in page
    assert page.count("a failure") == 100
    assert len(page) < 100 * 75 * 35


USER = """
<script>
const states = [];
function see() {
  const text = panel.hidden ? null : [...panel.querySelectorAll("h2, h3, p, pre, mark")].map(one => one.textContent);
  const open = [...document.querySelectorAll(".sq.open")].map(one => one.title);
  states.push({text, open, hash: location.hash, markup: panel.querySelectorAll("script, img, b").length});
}
see();
document.querySelector('.sq[title="probe:all-ones@STATUS#2: splat"]').click(); see();
[...document.querySelectorAll(".findings button")].at(-1).click(); see();
document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"})); see();
document.querySelector('.sq[title="traffic:lost-interrupt@0#1: missed"]').click(); see();
panel.querySelector(".close").click(); see();
const said = document.createElement("pre");
said.id = "said";
said.textContent = JSON.stringify(states);
document.body.append(said);
</script>
"""
"""Actions of a user on the page of `results`, and the state of the page after each."""


@needs_browser
def test_a_square_opens_to_all_that_was_seen(tmp_path: Path) -> None:
    found = results(tmp_path / "swept")
    where = (ONE.key, "probe:all-ones@STATUS#2")
    phases = [("probe", 0, 0.1, "not shown"), ("traffic", 3, 0.2, "no ping"), ("remove", None, 40.0, "stuck")]
    found.cells[where] = replace(
        found.cells[where],
        source="driver.c:7",
        trace=["before", "the fault", EVIL],
        at=1,
        phases=phases,
        splat="BUG: one\n two",
        seconds=2.0,
        cpu=1.5,
        host="here",
    )
    dom = shown(render([ONE, TWO], found) + USER, tmp_path, "#2")
    said = re.search(r'<pre id="said">(.*?)</pre>', dom, re.DOTALL)
    assert said
    linked, square, finding, escaped, last, closed = json.loads(html.unescape(said[1]))
    # By its address, as a link to a cell has it.
    assert (linked["hash"], linked["open"]) == ("#2", ["probe:all-ones@STATUS#1: hang"])
    assert linked["text"][:2] == ["hangprobe:all-ones@STATUS#1close", f"two <b>: {EVIL}"]
    assert square["open"] == ["probe:all-ones@STATUS#2: splat"]
    assert square["text"] == [
        "splatprobe:all-ones@STATUS#2close",
        f"one: {EVIL}",
        "The driver's access",
        "driver.c:7\n",
        "The device's trace around the fault",
        f"before\nthe fault\n{EVIL}\n",
        "the fault",
        "The kernel's complaint",
        "BUG: one\n two\n",
        "The kernel's log",
        f"{EVIL}\n",
        "Phases",
        "probe: success, 0.1 s\ntraffic: no service, 0.2 s\n    no ping\nremove: did not end, 40 s\n    stuck\n",
        "A test that does the same",
        f"{command(ONE, where[1], found.folder)}\n",
        "2.0 s on here, 1.5 s of a processor",
    ]
    # The other driver's.
    assert (finding["open"], finding["text"]) == (linked["open"], linked["text"])
    assert [one["text"] for one in (escaped, closed)] == [None, None]
    assert [one["hash"] + "".join(one["open"]) for one in (escaped, closed)] == ["", ""]
    assert last["text"][0].startswith("missedtraffic:lost-interrupt@0#1")
    assert not any(one["markup"] for one in (linked, square, finding, last))


def test_a_page_of_nothing(tmp_path: Path) -> None:
    assert "There is no result yet" in render([ONE], Results(tmp_path))


def test_the_key_is_of_all_that_a_result_depends_on() -> None:
    assert ONE.key != TWO.key
    assert driver("another name", b"1").key == ONE.key


def test_a_line_for_each_access() -> None:
    lines = {"probe LOCK": [["read", "a.c:1"], ["write", "a.c:2"], ["read", "a.c:3"]]}
    baseline = Baseline("k", "one", (), (), 1.0, (), lines)
    wanted = {
        "probe:all-ones@LOCK#2": "a.c:3",
        "probe:lost-write@LOCK#1": "a.c:2",
        "probe:unplug@LOCK#3": "a.c:3",
        "probe:link-flap@LOCK#2": "a.c:2",
        "probe:unplug@LOCK#4": "",
        "probe:lost-write@OTHER#1": "",
        "stop:lost-write@LOCK#1": "",
        "probe:lost-interrupt@0#1": "",
    }
    assert {text: baseline.source(SweepCell.parse(text)) for text in wanted} == wanted


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize("line", ["[" * 100_000, "5", "null", '"baseline"', '{"baseline": 5}', '{"cell": [1]}'])
def test_a_damaged_line_of_results_is_left_out(line: str, tmp_path: Path) -> None:
    with Results(tmp_path) as found:
        path = found.path
    path.write_text(line + "\n")
    assert Results(tmp_path).cells == {}
