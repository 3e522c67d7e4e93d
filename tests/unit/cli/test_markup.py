# SPDX-License-Identifier: MIT
"""Foreign text is shown unchanged: `[...]` of a compiler, a path or a guest is not Rich's markup."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l.cli import kernel as kernel_command
from r4l.kernel.model import Kernel
from r4l.stages import Stages
from r4l.terminal import Console
from r4l.toolchain import Toolchain

SOURCE = Path(__file__).parents[3] / "src/r4l"
EVIL = ["table[/* first */ 0]", "[/]", "[bold]", "a[/b]", "x[red", "[link=http:a]b", "\\[/]", "end\\"]


def terminal() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=True, width=200, color_system=None, highlight=False), file


@pytest.mark.parametrize("text", EVIL)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_name_and_the_lines_of_a_stage(text: str, is_terminal: bool) -> None:
    console, file = terminal() if is_terminal else (Console(file=io.StringIO(), width=200), io.StringIO())

    def fail() -> None:
        with Stages(console) as stages, stages.stage(f"building {text}") as say:
            say(f"error: {text}")
            if stages._progress:
                stages._progress.refresh()
            raise ValueError("it failed")

    with pytest.raises(ValueError, match="it failed"):
        fail()
    shown = file.getvalue() if is_terminal else console.file.getvalue()  # type: ignore[attr-defined]
    assert f"building {text}" in shown
    if is_terminal:
        assert f"error: {text}" in shown


@pytest.mark.parametrize("text", EVIL)
def test_what_a_kernel_dropped_and_where_it_lies(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dropped = {"option": "CONFIG_A", "wanted": text, "got": f'"{text}"', "reason": text}
    path = Path(f"/k/{text}")
    kernel = Kernel(
        release=text, version="", arch="x86_64", build=path, source=path, image=path, vmlinux=path, modules=path,
        toolchain=Toolchain(tmp_path, "key"), manifest={"dropped": [dropped]},
    )  # fmt: skip
    kernel_command._tell(kernel, as_json=False)
    shown = capsys.readouterr().out
    assert shown.count(text) >= 5


def foreign(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield values that are put between markup without `escape`."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        named = {word.arg: word.value for word in call.keywords}
        markup = named.get("markup")
        plain = isinstance(markup, ast.Constant) and markup.value is False
        # json and click have no `print` and no `rule`; a `progress` is a console.
        if call.func.attr in ("print", "rule", "add_row", "log", "from_markup") and not plain:
            for argument in call.args:
                yield from _values(argument)


def _values(given: ast.expr) -> Iterator[tuple[int, str]]:
    if isinstance(given, ast.JoinedStr):
        for part in given.values:
            if isinstance(part, ast.FormattedValue) and not _is_number(part):
                yield from _values(part.value)
    elif isinstance(given, ast.BinOp):
        yield from _values(given.left)
        yield from _values(given.right)
    elif isinstance(given, ast.IfExp):
        yield from _values(given.body)
        yield from _values(given.orelse)
    elif isinstance(given, ast.Constant) or ast.unparse(given) in OURS:
        return
    elif not (isinstance(given, ast.Call) and ast.unparse(given.func) in MADE):
        yield given.lineno, ast.unparse(given)


def _is_number(value: ast.FormattedValue) -> bool:
    return value.format_spec is not None and bool(
        re.fullmatch(r"f?'[<>]?\d*(\.\d+)?[fd]'", ast.unparse(value.format_spec))
    )


MADE = {"escape", "Text.from_ansi", "Traceback.from_exception", "len", "called"}
"""Calls whose results are no foreign text or are escaped."""
OURS = {
    *("mark", "verdict", "MARKS[entry.fine]", "MARKS[outcome.passed]", "STYLE[entry.state]", "line", "table", "what"),
    *("program", "part", "passed", "steps", "time.strftime('%H:%M:%S')", "symbols['matching']", "str(row['number'])"),
    *("entry.state", "str(len(entry.tests) or '')", "workspace.lab.number", "row['reached']", "error.category"),
    *("crates",),
    *("whole", "gone", "entry.room", "size", "used", "end.part.name", "part.name", "waited"),
    *("sign", "verb", "finding.name", "step.row", "result.verdict", "done.symbol", "kernel.arch", "entry.option"),
    *("workspace.lab.title", "verdict.score", "result.mark", "claimed", "entry.variant.lab", "entry.variant.kind"),
    *(
        "row['lab']",
        "row['title']",
        "ko.path.stat().st_size",
        "names",
        "template.description",
        "entry.row.id",
        "entry.row.item",
        "*cells",
        "compare.table(workloads, found)",
    ),
}
"""Names of texts made of markup; their makers escape foreign parts."""


def test_every_value_between_markup_is_escaped() -> None:
    found = [
        f"{file.relative_to(SOURCE)}:{line}: {value}"
        for file in sorted(SOURCE.rglob("*.py"))
        if re.search(r"\brich\b|r4l\.terminal|cli\.screen", file.read_text(encoding="utf-8"))
        for line, value in foreign(ast.parse(file.read_bytes()))
    ]
    assert not found, "\n".join(found)
