# SPDX-License-Identifier: MIT
"""Complaints of rust-analyzer that are its own limits, told from those about editor files that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from r4l.ide import check
from r4l.ide.limits import is_limit
from r4l.ide.lsp import ERROR, Diagnostic, LanguageServer, Unresolved

SOURCE = """\
use kernel::missing_module;
#[pinned_drop]
impl PinnedDrop for Inner {
    fn drop(self: Pin<&mut Self>) {}
}
#[pinned_drop] // why
#[allow(dead_code)]
impl<'a, T: Into<u32>> PinnedDrop for Other<'a, T> {}
#[pinned_drop]
impl kernel::init::PinnedDrop for Third {}
impl PinnedDrop for Plain {}
fn f() {
    let table = 1; /* \N{GRINNING FACE} */ inner.table.lock()?.push(5);
    inner
        // the sum
        .sum();
    missing_function();
    missing::path();
    for _ in 0..missing_end {}
    other.f(missing_argument);
    missing_macro!();
}
"""


def place(name: str, number: int = 0) -> tuple[int, int]:
    """Line and column of the name's occurrence of that number, as a server counts."""
    begin = -1
    for _ in range(number + 1):
        begin = SOURCE.index(name, begin + 1)
    line = SOURCE.count("\n", 0, begin) + 1
    column = len(SOURCE[:begin].rpartition("\n")[2].encode("utf-16-le")) // 2
    return line, column


@pytest.mark.parametrize(
    ("name", "number"),
    [("PinnedDrop", 0), ("PinnedDrop", 1), ("PinnedDrop", 2), ("table", 1), ("lock", 0), ("push", 0), ("sum()", 0)],
)
def test_members_and_what_an_attribute_takes_away_are_limits(name: str, number: int) -> None:
    assert is_limit(SOURCE, *place(name, number))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("missing_module", 0),
        ("PinnedDrop", 3),
        ("missing_function", 0),
        ("missing::", 0),
        ("missing_end", 0),
        ("missing_argument", 0),
        ("missing_macro", 0),
    ],
)
def test_what_wrong_editor_files_would_show_is_none(name: str, number: int) -> None:
    assert not is_limit(SOURCE, *place(name, number))


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("struct S { words: [u32; Table::X] }", True),
        ("struct S([[u8; 3]; <Table as Sized>::X]);", True),
        ("let a = [0; 2 * (1 + Table::X)];", True),
        ("let a = [f(1; 2), [0; { Table::X * 2 }]];", True),
        ("fn f() -> Buffer<{ Table::X }> {", True),
        ("Buffer::<u8, { Table::X }>::new()", True),
        ("let a = [0; X];", False),
        ("let a = [0; 4]; Table::X", False),
        ("let a = [Table::X, 1];", False),
        ("fn f(a: [u8; 4]) { Table::X }", False),
        ("use kernel::X;", False),
        ("a[1]; kernel::X", False),
    ],
)
def test_items_of_types_in_constants_of_types_are_limits(line: str, limit: bool) -> None:
    assert is_limit(f"fn before() {{ [1; 2]; }}\n{line}\n", 2, line.index("X")) is limit


class Server:
    """A rust-analyzer that finds neither a member nor a module."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def open(self, _file: Path, _language: str) -> None:
        pass

    def diagnostics(self, file: Path) -> list[Diagnostic]:
        return [
            Diagnostic(file, line, line, ERROR, code, "x")
            for line, code in ((13, "E0559"), (16, "E0599"), (1, "unresolved-import"))
        ]

    def unresolved(self, file: Path) -> list[Unresolved]:
        return [Unresolved(file, *place(name), name) for name in ("push", "missing_module")]

    def definition_at(self, *_place: object) -> bool:
        return False


def test_only_of_what_rustc_has_compiled(tmp_path: Path) -> None:
    file = tmp_path / "x.rs"
    file.write_text(SOURCE, encoding="utf-8")
    server = cast(LanguageServer, Server(file))
    found = check.rust(server, [file], compiled=True)
    assert [name.name for name in found.names] == ["missing_module"]
    assert [error.code for error in found.errors] == ["unresolved-import"]
    assert len(found.limits) == 3
    broken = check.rust(server, [file])
    assert (len(broken.names), len(broken.errors), broken.limits) == (2, 3, ())
