# SPDX-License-Identifier: MIT
"""A stranger's sources, tables and trees are read in a time linear in their length, whatever they hold."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from tests.unit.test_patterns import bounded

from r4l.errors import UsageError
from r4l.graft import depends, texts
from r4l.graft.driver import Driver, read_driver
from r4l.graft.kconfig_file import statements, wrapped
from r4l.graft.series import uses
from r4l.graft.series.rewrite import Call, RewriteRules, rewrite
from r4l.graft.series.wrap import wrapped as lines_wrapped

SIZE = 40_000


def _kbuild(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Kbuild").write_text("obj-m := a.o\n" + text, encoding="utf-8")
        (folder / "a.rs").touch()
        texts.makefile(read_driver(folder), "A")


def _source(text: str) -> None:
    read = Driver(Path(), "a", "", (), {"a.rs": text, "b.c": text})
    read.uses()
    assert len(read.description) <= 200
    assert Driver(Path(), "a", "", (), {"a.c": text}).description


def _crate(text: str) -> None:
    for condition, _ in depends.conditional_items(text):
        depends.kconfig_expression(condition)
    depends.kconfig_expression(text)


def _kconfig(text: str) -> None:
    statements(text)
    wrapped(text)
    texts.insertion(text, "config N\n", "Kconfig")
    texts.insertion(text, "config N\n", "Makefile")


RULES = RewriteRules({"a": "a"}, {"f": Call("", "g({0})"), "h": Call("x", "y()")})


def _rewritten(text: str) -> None:
    rewrite(text, "a.rs", RULES, of_kit=False)
    rewrite(f"use kit::f;\nuse kit::h;\n{text}", "a.rs", RULES, of_kit=False)


READERS: dict[str, Callable[[str], object]] = {
    "a Kbuild": _kbuild,
    "a source": _source,
    "the kernel crate": _crate,
    "a Kconfig": _kconfig,
    "a source for a series": _rewritten,
    "a declaration": lambda text: uses.leaves(text, "a.rs"),
    "comments": lines_wrapped,
}
PIECES = [
    *("a", "a ", "a.o ", " ", "\t", "\n", " \n", "\\\n", "#", "-", "\\", '"', "'", "{", "}", "(", ")", ",", "::", "*"),
    *(";", "kernel::", "kernel::{", "kernel::a", "#[cfg(a)]\n", "#[cfg(CONFIG_A)]\npub mod a;\n", "all(", "not("),
    *("config A\n", "config ", "  config A\n", "menu\n", "if A\n", "endif\n", "help\n", "bool\n", "\tbool 'a'\n"),
    *("obj-m := ", "obj-m\n", "obj-m ", "a-y := ", "a-y := a \\\n", "ifndef R4L_KIT\n", "R4L_KIT ", "export "),
    *("include /", "use a", "use a\n", "use a;\n", "use a::{", "use a::{b};\n", "pub(", "pub(a", "f(", "f(&a)"),
    *("h()", "layout::A", "a::", "a, ", 'description: "', 'MODULE_DESCRIPTION("a"', '"a" ', "/*", "// a ", "//"),
    *("// a\n", "a as b "),
]


@pytest.mark.parametrize("reader", READERS)
def test_it_is_read_in_bounded_time(reader: str) -> None:
    """Regression: 36 kB of `kernel::{`, 20 kB of empty lines in a Kconfig, 20,000 attributes took six seconds each."""
    for piece in PIECES:
        for begin, end in (("", ""), ("// ", "\n"), ("a::{", "\nendif"), ('"', "")):
            with bounded(f"{reader}: {begin!r}, many {piece!r}, {end!r}"), contextlib.suppress(UsageError):
                READERS[reader]((begin + piece * SIZE)[:SIZE] + end)


@hypothesis.given(st.lists(st.sampled_from([piece for piece in PIECES if len(piece) < 12]), max_size=12))
@hypothesis.settings(max_examples=300, deadline=None)
def test_no_text_is_a_bug(parts: list[str]) -> None:
    for read in READERS.values():
        with contextlib.suppress(UsageError):
            read("".join(parts))


@pytest.mark.parametrize(
    "tree",
    [
        *("a::{b", "a::{b, ", "a::", "a::b}", "a::{{{", "a b", "a::,b", "::a", "", "}", "a::::b", "self", "{self, a}"),
        *(
            "a::" * 5000 + "b",
            "a::{" * 3000,
            "a::{" * 3000 + "b" + "}" * 3000,
            "{" * 3000 + "}" * 3000,
            "a, " * 9 + "::",
        ),
    ],
)
def test_a_declaration_that_is_none(tree: str) -> None:
    """Regression: these were bugs in r4l."""
    if tree:
        with pytest.raises(UsageError, match=r"a\.rs: `use .*` (is not understood|has a brace too many)"):
            uses.leaves(tree, "a.rs")
    else:
        assert uses.leaves(tree, "a.rs") == []


@pytest.mark.parametrize("code", ["use kit::f;\nfn a() { f(&x", "use kit;\n", "use kit::{self};\n", "use kit::self;\n"])
def test_code_that_is_none(code: str) -> None:
    with pytest.raises(UsageError, match=r"a\.rs: "):
        rewrite(code, "a.rs", RULES, of_kit=False)


@pytest.mark.parametrize("words", [{"": "b"}, {"a": "a" * 9999, "aa": "a" * 9999, "aaa": "a" * 9999}])
def test_words_that_grow(words: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="too large"):
        rewrite("a" * 1000, "a.rs", RewriteRules({}, words=words), of_kit=False)


def test_conditions_inside_of_each_other() -> None:
    """Regression: a long row of `all(` was a bug in r4l."""
    assert depends.kconfig_expression("not(" * 20 + "CONFIG_A" + ")" * 20) == "!" * 20 + "A"
    assert depends.kconfig_expression("all(" * 5000) is None
    assert depends.kconfig_expression("all(" * 5000 + "CONFIG_A" + ")" * 5000) is None
