# SPDX-License-Identifier: MIT
"""Readers of untrusted text take time linear in its length, for any content."""

from __future__ import annotations

import contextlib
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from tests.unit import pumps

from r4l import known
from r4l.camp.labs import plain
from r4l.graft.driver import COMMENT
from r4l.ide import compile_commands
from r4l.ide.jsonc import Document
from r4l.kernel import kconfig
from r4l.klog import KernelLog, kinds
from r4l.klog.kinds import headline as headline_of
from r4l.klog.prefixes import parse_any_line
from r4l.klog.records import LineSplitter, parse_kmsg
from r4l.known import c_changes
from r4l.module import outer, paths_in
from r4l.module.diagnose import explain
from r4l.module.makefiles import INCLUDE, MARK, OBJECTS, beside, expanded, kbuild_of, options_of, variables_of
from r4l.module.unseen import unseen
from r4l.testing import ktap

TABLES = ("build", "load", "note")
"""The tables of known failures."""
SIZE = 20_000
LONG = 100_000
OUTPUT = 1 << 17
BOUND = 2.0
"""Seconds of processor time. A linear reader takes a thousandth of it; one with backtracking exceeds it."""


def _log(text: str) -> None:
    splitter, log = LineSplitter(), KernelLog()
    for line in splitter.feed(f"<4>[    1.000000] {text}\n".encode()):
        log.feed(line)
    log.finish()


def _settings(text: str) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        Document.parse(text)


def _fragment(text: str) -> None:
    with contextlib.suppress(Exception):
        kconfig.require_plain(text, "f")


def _makefile(text: str) -> None:
    """Have a Makefile of a folder read by all that reads one before make does, and after a failure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        makefile = folder / "Makefile"
        makefile.write_text(text, encoding="utf-8")
        kbuild_of(folder)
        options_of(makefile)
        variables_of(makefile)
        outer.outer_pass(folder)
        outer.does_more(makefile)
        beside(folder, ["Makefile"], [folder])
        unseen(folder, "", "a.h")
        list(c_changes.makefile_variables(text))


def _known(kind: str) -> Callable[[str], object]:
    return lambda text: list(known.matches(kind, text))


READERS: dict[str, Callable[[str], object]] = {
    "a line of Kbuild": lambda text: plain.refused("Kbuild", text),
    "a line of Kconfig": lambda text: plain.refused("Kconfig", text),
    "whether a Makefile is a module's": OBJECTS.search,
    "the files that a Makefile includes": lambda text: list(INCLUDE.finditer(text)),
    "what make expands": expanded,
    "paths in a compiler's output": lambda text: paths_in.whole(text, Path("/nonexistent")),
    "folders that make enters": lambda text: paths_in.entered(text, Path("/nonexistent")),
    "a fragment": _fragment,
    "the first error of a build": explain,
    "failures of builds": _known("build"),
    "failures of loading": _known("load"),
    "warnings of builds": _known("note"),
    "a line of the kernel log": _log,
    "a record of /dev/kmsg": parse_kmsg,
    "results of tests in the guest": lambda text: ktap.parse(text.split("\n")),
    "settings of an editor": _settings,
    "the name of a compiler": lambda text: compile_commands.CROSS.fullmatch(text),
    "comments of a source": lambda text: COMMENT.sub("", text),
}
BEGINNINGS = [
    *(
        "",
        "obj-m := ",
        "# ",
        "config X\n\tdepends on ",
        "bool ",
        'CONFIG_A="',
        "error[E0603]: ",
        "error: ",
        "make: *** ",
    ),
    *(
        "error[E0514]: found crate `x` compiled by an incompatible version of rustc\n",
        "ok",
        "DMA-API: ",
        "{",
        '{"',
        "/*",
    ),
]
PIECES = [
    *(
        "a",
        "a ",
        "aa.o ",
        " ",
        "\t",
        "\n",
        " \n",
        "0",
        "/",
        "a/",
        "/*",
        '"',
        '"\\',
        "'",
        "(a",
        "${",
        "#",
        " #",
        "[",
        "[0",
    ),
    *(
        "<",
        "::",
        "a:",
        "-",
        "=",
        ".",
        "`",
        "é",
        "error: ",
        "DMA-API: ",
        "compiled by rustc ",
        "target triple ",
        "a-gcc",
        "\x1b[m",
        "\x1b[0;1m ",
    ),
]


@contextlib.contextmanager
def bounded(what: str, bound: float = BOUND) -> Iterator[None]:
    """Fail if the block takes far too long: more than `bound` seconds of processor time."""

    def over(*_: object) -> None:
        raise AssertionError(f"{what} takes more than {bound:g} s for so short a text")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, bound)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.mark.parametrize("reader", READERS)
def test_it_is_read_in_bounded_time(reader: str) -> None:
    read = READERS[reader]
    for beginning in BEGINNINGS:
        for piece in PIECES:
            text = (beginning + piece * SIZE)[:SIZE]
            for end in ("", "/x.o"):
                with bounded(f"{reader}: {beginning!r}, many {piece!r}, {end!r}"):
                    read(text + end)


def _complained(text: str, begin: str = "BUG: KASAN: a") -> None:
    log = KernelLog()
    for line in (begin, "Call Trace:", text):
        log.feed(f"<3>[    1.000000] {line}")
    log.finish()
    for splat in log.complaints():
        assert splat.detail, splat.task


def _any_line(text: str) -> None:
    for record in parse_any_line(text):
        headline_of(record.text)


@pytest.mark.parametrize("kind", [each for each in kinds.HEADLINES if each.culprit], ids=lambda each: each.kind)
def test_the_one_to_blame_is_looked_for_in_bounded_time(kind: kinds.Headline) -> None:
    """Regression: the function that lockdep names was searched for with `.*` before it, from each character of a line,
    while the console waited."""
    assert kind.culprit
    for text in pumps.pumped(kind.culprit, LONG // 2):
        with bounded(f"{kind.kind}: {text[:40]!r} … {text[-20:]!r}", 1.0):
            _complained(text, f"{pumps.example(kind.pattern)}a")


def test_what_is_the_hardest_for_each_pattern_of_the_log_is_read_in_bounded_time() -> None:
    """Regression: blanks behind a function's source were looked at again from each of them, and so were other parts of
    a line that two repetitions took turns with."""
    texts = dict.fromkeys(text for one in pumps.patterns_in("r4l.klog") for text in pumps.pumped(one, LONG // 2))
    for text in texts:
        for read in (_complained, _any_line):
            with bounded(f"{text[:40]!r} … {text[-20:]!r}", 1.0):
                read(text)


@pytest.mark.parametrize(
    "text",
    [
        "<p>" * (LONG // 6) + "x>",
        "<p>" * (LONG // 6),
        "\\r" * (LONG // 4) + "x\\n",
        "\"'" * (LONG // 4) + "\\n",
        ">" * LONG,
    ],
)
def test_marks_at_a_lines_end_are_looked_at_once(text: str) -> None:
    with bounded("marks", 1.0):
        _any_line(text)


def takes_long(pattern: re.Pattern[str], size: int) -> str:
    """Return the text in which a pattern is searched for too long; empty if there is none."""
    for text in pumps.pumped(pattern, size):
        try:
            with bounded("a search", 0.1):
                pattern.search(text)
        except AssertionError:
            return text
    return ""


def test_each_pattern_for_a_compilers_output_is_searched_in_bounded_time() -> None:
    """The tables' are searched in lines of a bounded length (`known.bounded`)."""
    own = pumps.patterns_in("r4l.known")
    rows = (one for table in TABLES for row in known.table(table) for one in row.patterns)
    assert not [one.pattern for one in own if takes_long(one, SIZE // 2)]
    assert not [one.pattern for one in rows if takes_long(one, known.LONGEST_LINE)]


@pytest.mark.parametrize("kind", TABLES)
def test_each_row_is_looked_for_in_a_long_output_in_bounded_time(kind: str) -> None:
    """Regression: what stands in brackets was searched for up to the output's end, from each line that begins so, and
    the 40 lines behind a message once for each character of its name."""
    slow = []
    for one in dict.fromkeys(one for row in known.table(kind) for one in row.patterns):
        for begin in pumps.begun(one, known.LONGEST_LINE):
            text = known.bounded(f"{begin}\n" * (OUTPUT // (len(begin) + 1)))
            try:
                with bounded("a search", 0.5):
                    one.search(text)
            except AssertionError:
                slow.append((one.pattern, begin[:80]))
                break
    assert slow == []


def test_texts_that_are_hard_for_a_pattern() -> None:
    hard = [r".*(?:last: |fn=)(\w+)", r"(?:<p>|\\n)+$", r"a\w*\S* b", r"\s*x *y", r"q(?:[^b]|c)*(?:d|e)*!"]
    assert [text for text in hard if not takes_long(re.compile(text), SIZE)] == []
    easy = [r"last: (\w+)", r"\d{1,3}x", r"BUG: .{1,64}$", "plain"]
    assert [text for text in easy if takes_long(re.compile(text), SIZE)] == []
    assert pumps.example(re.compile(r"(?:ab|c)\d{2}[^x]x+\.")) == "ab00ax."


@hypothesis.given(
    st.lists(
        st.tuples(st.text("ab.-_/ \t#$():=\\\"'&|x0", min_size=1, max_size=6), st.integers(1, 20_000)), max_size=5
    ),
    st.sampled_from(("Kbuild", "Kconfig")),
    st.sampled_from(("obj-m := ", "depends on ", "config ", "")),
)
@hypothesis.example([("a", 36), ("/x.o", 1)], "Kbuild", "obj-m := ")
@hypothesis.example([("a", LONG), ("/x.o", 1)], "Kbuild", "obj-m := ")
@hypothesis.example([(" ", LONG), ("^", 1)], "Kconfig", "depends on ")
@hypothesis.settings(max_examples=60)
def test_any_line_of_make_and_kconfig_is_looked_at_once(parts: list[tuple[str, int]], name: str, begin: str) -> None:
    with bounded(name):
        plain.refused(name, begin + "".join(piece * count for piece, count in parts))


def test_a_whole_file_of_a_strangers_is_looked_at_once(tmp_path: Path) -> None:
    """Regression: blank lines were scanned again from each line."""
    file = tmp_path / "Makefile"
    file.write_text("\n" * LONG)
    begin = time.process_time()
    assert OBJECTS.search(file.read_text()) is None
    assert time.process_time() - begin < BOUND


@pytest.mark.parametrize(
    ("begin", "piece", "end"),
    [
        ("", "obj-m ", ""),
        ("include ", "$(a ", ")"),
        ("include ", "$(", ")"),
        ("include ", "a b$(c) ", ""),
        ("a", " ", "\n"),
        ("all:\n\tmake -C x M=x ", "${", "}"),
        ("-I", "../a../b/", "$(c)/d $(e)/f"),
        ("", "-I../a -I/b $(c)/d\n", ""),
        ("", "\t\n \n", "x"),
    ],
)
def test_a_makefile_of_a_mebibyte_is_read_in_bounded_time(begin: str, piece: str, end: str) -> None:
    """Regression: these took minutes or for ever, or were a bug in r4l, before make was even called."""
    count = (1 << 20) // (len(piece) + len(end)) - len(begin) - 1
    with bounded(f"{begin!r}, many {piece!r}"):
        _makefile(begin + piece * count + end * count)


def test_goals_that_need_each_other_twice_are_looked_at_once() -> None:
    """Regression: each goal was looked at once for each way to it, and a long chain was a bug in r4l."""
    doubled = "".join(f"t{number}: t{number + 1} t{number + 1}\n" for number in range(200)) + "t200:\n\ttrue\n"
    chain = "".join(f"t{number}: t{number + 1}\n" for number in range(20_000)) + "t20000:\n\ttrue\n"
    with tempfile.TemporaryDirectory() as name:
        makefile = Path(name) / "Makefile"
        for text, more in ((doubled, False), (chain, False), (chain + "t9000: t3\n", True)):
            makefile.write_text(text, encoding="utf-8")
            with bounded("goals"):
                assert outer.does_more(makefile) is more


@hypothesis.given(st.text("$$$(({{))}}ax ", max_size=40))
@hypothesis.example("$(a $(b) ${c})$$x$$(y) $(d (e)) $(f$(g)")
def test_expansions_are_those_of_the_definition(text: str) -> None:
    innermost, count, wanted = re.compile(r"\$[({][^$(){}]*[)}]|\$\w"), 1, text
    while count:
        wanted, count = innermost.subn(MARK, wanted)
    assert expanded(text) == wanted
