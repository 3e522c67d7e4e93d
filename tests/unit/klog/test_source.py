# SPDX-License-Identifier: MIT
"""From frames to lines: the queries to llvm-symbolizer and the use of its answers.

The program itself is tested in rust/drivers/crashers/tests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from r4l.klog import KernelLog, Sources, Splat, StackFrame, functions
from r4l.klog.functions import CodeSymbol

GOLDEN = Path(__file__).parent / "golden/crashers"
OPEN = "_RNvNtCsg18HkDjied2_5crash6memory18refcount_from_zero"

CALLER = "_RNvXCsg18HkDjied2_5crashNtB2_8CrashersNtNtCsb5MLIFMWygY_6kernel6module6Module4init"


class Symbolizer:
    """Stand-in for the program that records the requested addresses."""

    def __init__(self, *places: str) -> None:
        self.places = places
        self.asked: list[int] = []

    def __call__(self, argv: Sequence[str | Path], reads: Path, writes: Path) -> str:
        if argv[0] != "llvm-symbolizer":
            return ""
        addresses = [int(str(word), 16) for word in argv if str(word).startswith("0x")]
        self.asked += addresses
        block = "".join(f"\nsome_function\n{place}" for place in self.places)
        return "\n\n".join(f"{address:#x}{block}" for address in addresses) + "\n\n"


@pytest.fixture
def ko(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module whose function lies at 0x1000, built from a source that is older."""
    shapes = {OPEN: [CodeSymbol(0x400, 0x400), CodeSymbol(0x9B, 0xA0)], "last": [CodeSymbol(0x20, None)]}
    shapes[CALLER] = [CodeSymbol(0x27C, 0x280)]
    places = {OPEN: [(0x9000, 0x400), (0x1000, 0x9B)], "last": [(0x1100, 0x20)]}
    monkeypatch.setattr(functions, "of_module", lambda ko: shapes)
    monkeypatch.setattr(functions, "starts", lambda linked: places)
    (tmp_path / "ring.rs").write_text("fn open() {\n    count.inc();\n}\n")
    (tmp_path / "crashers.ko").write_bytes(b"")
    os.utime(tmp_path / "ring.rs", (1, 1))
    return tmp_path / "crashers.ko"


def frame(*, module: str = "crashers", certain: bool = True) -> StackFrame:
    return StackFrame("crash::memory::refcount_from_zero", 0x1E, 0xA0, module, certain, OPEN)


def sources(symbolizer: Symbolizer, ko: Path) -> Sources:
    made = Sources(symbolizer, [Path("/kernel")])
    made.add(ko)
    return made


def test_of_inlined_functions_the_innermost_in_the_modules_own_source_counts(ko: Path) -> None:
    own, outer = f"{ko.parent}/ring.rs:2:5", f"{ko.parent}/ring.rs:3:1"
    symbolizer = Symbolizer("/usr/lib/rustlib/src/core/ptr/mod.rs:7:9", "/kernel/rust/lock.rs:8:1", own, outer)
    (found,) = sources(symbolizer, ko).locate([(frame(), True)]).values()
    assert (found.file, found.line, found.source) == (f"{ko.parent}/ring.rs", 2, "count.inc();")
    assert found.where == "ring.rs:2: count.inc();"


def test_a_call_ends_before_the_address_that_it_returns_to(ko: Path) -> None:
    symbolizer = Symbolizer(f"{ko.parent}/ring.rs:2:5")
    sources(symbolizer, ko).locate([(frame(), True)])
    sources(symbolizer, ko).locate([(frame(), False)])
    sources(symbolizer, ko).locate([(frame(), False), (frame(), True)])
    assert symbolizer.asked == [0x101D, 0x101E, 0x101E]


def test_nothing_is_asked_twice(ko: Path) -> None:
    symbolizer = Symbolizer(f"{ko.parent}/ring.rs:2:5")
    made = sources(symbolizer, ko)
    assert made.locate([(frame(), True)]) == made.locate([(frame(), True)]) != {}
    assert len(symbolizer.asked) == 1


@pytest.mark.parametrize("places", [(), ("??:0:0",), ("/kernel/rust/lock.rs:8:1",)])
def test_what_has_no_line_of_the_modules_own_stays_as_it_is(ko: Path, places: tuple[str, ...]) -> None:
    symbolizer = Symbolizer(*places)
    assert sources(symbolizer, ko).locate([(frame(), True)]) == {}
    assert symbolizer.asked


def test_what_is_not_asked_at_all(ko: Path) -> None:
    symbolizer = Symbolizer(f"{ko.parent}/ring.rs:2:5")
    made = sources(symbolizer, ko)
    assert made.locate([(frame(module="e1000"), True), (frame(certain=False), True)]) == {}
    ko.write_bytes(b"built anew")
    os.utime(ko, (2, 2))
    assert made.locate([(frame(), True)]) == {}
    assert symbolizer.asked == []


@pytest.mark.parametrize(
    ("raw", "offset", "size", "found"),
    [
        (OPEN, 0x1E, 0xA0, True),
        (OPEN, 0x9B, 0xA0, True),
        (OPEN, 0x9C, 0xA0, False),
        ("last", 0x5, 0x20, True),
        ("last", 0x5, 0xFF0, True),
        ("last", 0x21, 0xFF0, False),
    ],
)
def test_an_instruction_lies_within_its_function(ko: Path, raw: str, offset: int, size: int, found: bool) -> None:
    """Regression: an offset beyond the function's end had the line of another one."""
    made = sources(Symbolizer(f"{ko.parent}/ring.rs:2:5"), ko)
    one = StackFrame(raw, offset, size, "crashers", True, raw)
    assert bool(made.locate([(one, True)])) is found
    assert not made.notes


@pytest.mark.parametrize(("raw", "size"), [(OPEN, 0x9B), (OPEN, 0xB0), ("last", 0x10), ("last", 0x80000), ("gone", 9)])
def test_a_module_of_another_build_gives_no_line(ko: Path, raw: str, size: int) -> None:
    """Regression: a smaller function of the same name gave its lines, without a word."""
    symbolizer = Symbolizer(f"{ko.parent}/ring.rs:2:5")
    made = sources(symbolizer, ko)
    assert made.locate([(frame(), True)])
    other = StackFrame(raw, 0x5, size, "crashers", True, raw)
    assert made.locate([(frame(), True), (other, True)]) == {}, "nor to a frame that fits by chance"
    assert len(symbolizer.asked) == 1
    assert "is not the module of this log" in made.notes[ko]


def test_frames_without_a_size_or_with_a_name_in_rust_s_form_are_of_any_module(ko: Path) -> None:
    made = sources(Symbolizer(f"{ko.parent}/ring.rs:2:5"), ko)
    inlined = StackFrame("gone", 0, 0, "crashers", True, "gone")
    demangled = StackFrame("crash::gone", 5, 0x33, "crashers", True, "crash::gone")
    assert made.locate([(inlined, True), (demangled, True), (frame(), True)])
    assert not made.notes


def test_a_module_without_lines_or_without_symbols_is_named(ko: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sources(Symbolizer("??:0:0"), ko)
    made.locate([(frame(), True)])
    assert "has no debug information" in made.notes[ko]
    monkeypatch.undo()
    made = sources(Symbolizer(), ko)
    made.locate([(frame(), True)])
    assert "has no symbols" in made.notes[ko]


def test_the_text_of_a_source_that_was_edited_since_is_not_shown(ko: Path) -> None:
    os.utime(ko.parent / "ring.rs")
    os.utime(ko, (2, 2))
    symbolizer = Symbolizer(f"{ko.parent}/ring.rs:2:5")
    (found,) = sources(symbolizer, ko).locate([(frame(), True)]).values()
    assert found.where == "ring.rs:2"


def test_a_complaint_begins_with_its_line(ko: Path) -> None:
    log = KernelLog(sources=sources(Symbolizer(f"{ko.parent}/ring.rs:2:5"), ko))
    for line in (GOLDEN / "refcount.log").read_text().splitlines():
        log.feed(line)
    log.finish()
    (splat,) = log.splats()
    assert isinstance(splat, Splat)
    assert str(splat).startswith(
        "ring.rs:2: count.inc(); — the kernel complained (refcount): refcount_t: addition on 0"
    )
    assert splat.args == (splat.cause,)
    (traced,) = [line for line in splat.detail.splitlines() if "memory::refcount_from_zero+0x1e" in line]
    assert traced.endswith("[crashers]  ring.rs:2: count.inc();")
    assert not any("ring.rs" in record.text for record in splat.records)


@pytest.mark.parametrize("name", ["secret", "id_rsa", "link.rs", "pipe.rs", "folder.rs", "hole.rs"])
def test_no_line_of_another_file_of_this_machine_is_shown(ko: Path, name: str) -> None:
    """Regression: a module's debug information could name any file, and a complaint showed its line."""
    for secret in ("secret", "id_rsa"):
        (ko.parent / secret).write_text("one\nthe secret\n")
    (ko.parent / "link.rs").symlink_to("secret")
    os.mkfifo(ko.parent / "pipe.rs")
    (ko.parent / "folder.rs").mkdir()
    (ko.parent / "hole.rs").touch()
    os.truncate(ko.parent / "hole.rs", 1 << 40)
    os.utime(ko, (2_000_000_000, 2_000_000_000))
    symbolizer = Symbolizer(f"{ko.parent}/{name}:2:5")
    (found,) = sources(symbolizer, ko).locate([(frame(), True)]).values()
    assert (found.source, found.line) == ("", 2)


def test_a_program_that_fails_is_named(ko: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a complaint without lines gave no reason."""
    made = sources(Symbolizer(), ko)
    monkeypatch.setattr(Symbolizer, "__call__", lambda *_: "")
    made.locate([(frame(), True)])
    assert "could not be read by llvm-symbolizer" in made.notes[ko]
    monkeypatch.setattr(functions, "starts", lambda linked: {})
    made = sources(Symbolizer(), ko)
    made.locate([(frame(), True)])
    assert "could not be linked by ld.lld" in made.notes[ko]
