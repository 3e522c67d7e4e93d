# SPDX-License-Identifier: MIT
"""The files that the language servers are asked about, and their texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from r4l.ide.check import rust_files
from r4l.ide.limits import is_limit
from r4l.ide.lsp import LanguageServer


def test_the_rust_files_of_a_folder(tmp_path: Path) -> None:
    """Regression: a lock of Emacs' ended the check, and a pipe held it up for ever."""
    for name in ("hello.rs", "sub/part.rs", ".git/x.rs", ".hidden.rs", "sub/.cache/deep/y.rs", "hello.c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".#hello.rs").symlink_to("me@host.1234:5678")
    (tmp_path / "gone.rs").symlink_to("nothing")
    (tmp_path / "circle.rs").symlink_to("circle.rs")
    (tmp_path / "linked.rs").symlink_to("hello.rs")
    os.mkfifo(tmp_path / "pipe.rs")
    (tmp_path / "folder.rs").mkdir()
    names = [str(path.relative_to(tmp_path)) for path in rust_files(tmp_path)]
    assert names == ["hello.rs", "linked.rs", "sub/part.rs"]


class Answers(LanguageServer):
    """A server that knows one name it does not find, in the third line."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.capabilities = {"semanticTokensProvider": {"legend": {"tokenTypes": ["unresolvedReference"]}}}

    def _send(self, message: Any) -> None:
        self.sent.append(message)

    def request(self, method: str, parameters: Any) -> Any:
        return {"data": [2, 4, 4, 0, 0]}


def test_a_source_that_is_not_utf_8(tmp_path: Path) -> None:
    """Regression: a comment in Latin-1 ended `r4l ide --check`."""
    file = tmp_path / "a.rs"
    file.write_bytes(b"// caf\xe9\x0c\xe2\x80\xa8\r\n\r\nuse Nope;\n")
    server = Answers()
    server.open(file, "rust")
    assert server.sent[0]["params"]["textDocument"]["text"] == "// caf\ufffd\x0c\u2028\n\nuse Nope;\n"
    assert [str(name) for name in server.unresolved(file)] == [f"{file}:3: Nope is not found"]


@pytest.mark.parametrize("before", ["", "// \x0c\n", "// \u2028\n", "// \x85\n"])
def test_a_line_ends_at_a_newline_only(before: str) -> None:
    text = f"{before}fn f() {{ x.y(); }}\n"
    line = text.count("\n")
    column = text.split("\n")[line - 1].index("y")
    assert is_limit(text, line, column)
