# SPDX-License-Identifier: MIT
"""The page, and the test that a cell is printed as."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from r4l.cluster import SharedKernel
from r4l.sweep import Baseline, CellResult, Results, SweepCell, SweptDriver
from r4l.sweep.as_test import as_test, command
from r4l.sweep.page import render

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
    assert [one["reason"] for one in json.loads(found[1])] == [EVIL] * 4


def test_a_page_of_nothing(tmp_path: Path) -> None:
    assert "There is no result yet" in render([ONE], Results(tmp_path))


def test_a_cell_as_a_test_is_python() -> None:
    for verdict in ("", "degraded", "leak"):
        text = as_test(ONE, SweepCell.parse("probe:flipped-bit@STATUS#2 bits=0x80"), verdict)
        (function,) = [node for node in ast.parse(text).body if getattr(node, "name", "").startswith("test_")]
        assert function.name == "test_probe_flipped_bit_status_2_bits_0x80"  # type: ignore[attr-defined]
        assert "device.faults.add('flipped-bit@STATUS#2 bits=0x80')" in text
        assert ("no service, and no error" in text) == (verdict == "degraded")
    text = as_test(ONE, SweepCell.parse("probe:no-memory#7"))
    assert "memory.fail(7)" in text
    assert "memory = GuestMemory.of(vm, module)" in text
    assert ast.parse(text)
    assert command(ONE, "probe:unplug@STATUS#1 times=0") == (
        "r4l sweep 'a folder/one' --device python:edu --as-test 'probe:unplug@STATUS#1 times=0' --exercise true"
    )


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
