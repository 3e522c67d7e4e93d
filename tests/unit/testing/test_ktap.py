# SPDX-License-Identifier: MIT
"""KTAP: output of kernels and kselftests, and r4l's own output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from r4l.testing.ktap import KtapResult, parse, text

KUNIT = """\
KTAP version 1
1..1
    KTAP version 1
    # Subtest: ring
    # module: ring_test
    1..3
    ok 1 empty
    # full: EXPECTATION FAILED at ring.rs:12
    Expected 4 == 3
    not ok 2 full
    ok 3 huge # SKIP needs more memory
# ring: pass:1 fail:1 skip:1 total:3
not ok 1 ring
"""


def test_suites_and_cases() -> None:
    empty, full, huge = parse(KUNIT.splitlines())
    assert (empty.name, empty.ok, empty.skipped) == ("ring.empty", True, "")
    assert (full.name, full.ok) == ("ring.full", False)
    assert "EXPECTATION FAILED at ring.rs:12\nExpected 4 == 3" in full.said
    assert (huge.name, huge.skipped) == ("ring.huge", "needs more memory")


def test_a_suite_that_fails_though_its_cases_pass() -> None:
    lines = KUNIT.replace("not ok 2", "ok 2").splitlines()
    failed = [result for result in parse(lines) if not result.ok]
    assert [result.name for result in failed] == ["ring"]


def test_what_was_announced_and_never_came_has_failed() -> None:
    (one, lost) = parse(["TAP version 13", "1..2", "ok 1 selftests: net: one"])
    assert (one.name, one.ok) == ("selftests: net: one", True)
    assert not lost.ok
    assert "2 tests were announced, 1 came" in lost.said
    cut = KUNIT.replace("    ok 3 huge # SKIP needs more memory\n", "").splitlines()
    assert [result.name for result in parse(cut) if not result.ok] == ["ring.full", "ring.missing"]


def test_directives() -> None:
    results = parse(["1..4", "ok 1 a # TODO later", "not ok 2 b # XFAIL known", "not ok 3 - c # TIMEOUT 45 s", "ok 4"])
    assert [result.skipped for result in results] == ["later", "known", "", ""]
    assert [result.ok for result in results] == [True, False, False, True]
    assert results[2].said == "45 s"


def test_what_is_written_can_be_read() -> None:
    results = [
        KtapResult("a.b", ok=True),
        KtapResult("c", ok=False, said="two\nlines"),
        KtapResult("d", ok=True, skipped="why"),
    ]
    assert parse(text(results).splitlines()) == results


def test_a_case_before_a_suite_is_not_of_the_suite() -> None:
    lines = ["1..1", "    1..2", "    ok 1 case", "        1..1", "        ok 1 deep", "    ok 2 suite", "ok 1 all"]
    assert [result.name for result in parse(lines)] == ["all.case", "all.suite.deep"]


def test_programs_one_after_the_other() -> None:
    assert [result.name for result in parse(["1..1", "ok 1 a", "TAP version 13", "1..1", "ok 1 b"])] == ["a", "b"]


@given(st.lists(st.text(alphabet=" #ok1.not-\n\tKTAP version", max_size=60), max_size=20))
def test_noise_is_survived(noise: list[str]) -> None:
    parse(noise)
