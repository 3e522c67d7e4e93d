# SPDX-License-Identifier: MIT
"""Docstrings of the package name a noun or begin with a verb, and sentences of the documents name their subject
(`tests/unit/prose.toml`; CONTRIBUTING.md, "Prose")."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
WORDS = tomllib.loads(Path(__file__).with_name("prose.toml").read_text(encoding="utf-8"))
FORBIDDEN = frozenset([*WORDS["questions"], *WORDS["pronouns"]])
SENTENCES, OPENERS = (frozenset(WORDS["markdown"][key]) for key in ("sentences", "openers"))
MARKDOWN = MarkdownIt("commonmark").enable("table")
SENTENCE_END = re.compile(r"(?<=[.!?])[)*\"]*\s+(?=[A-Z*`\"(])")
FIRST = re.compile(r"[\w']+")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring: of modules, classes, functions, and those below an assignment."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for index, statement in enumerate(body):
            if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
                continue
            before = body[index - 1] if index else None
            documents = isinstance(before, ast.Assign | ast.AnnAssign) or index == 0
            if documents and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value


def riddles(source: str) -> list[tuple[int, str]]:
    """Return line and first sentence of the docstrings whose first word is forbidden."""
    found = []
    for line, text in docstrings(source):
        first = FIRST.match(text.strip())
        if first and first[0] in FORBIDDEN:
            found.append((line, " ".join(text.split())[:80]))
    return found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""What has begun is complete now."""', 1),
        ('class A:\n    """Whether it is."""\n\n    x = 1\n    """How many."""', 2),
        ('def f():\n    """\n    Its name.\n    """', 1),
        ('async def f():\n    """Nobody uses it."""', 1),
        ('"""Number of checkpoints passed."""\ndef f():\n    """True if the machine survived."""', 0),
        ('"""Which.py is a file."""', 1),
        ('"""Whichever."""\nx = "What is no docstring"\nf("""What""")\n', 0),
        ('x = 1\n"""`What` a name is."""', 0),
    ],
)
def test_a_riddle_is_found(source: str, count: int) -> None:
    assert len(riddles(source)) == count


def found_in(files: Iterable[Path], look: Callable[[str], list[tuple[int, str]]]) -> list[str]:
    """Return what a rule finds in files, each with its file and line."""
    return [
        f"{file.relative_to(ROOT)}:{line}: {text}"
        for file in files
        for line, text in look(file.read_text(encoding="utf-8"))
    ]


def test_docstrings_name_a_noun_or_begin_with_a_verb() -> None:
    files = sorted((ROOT / "src").rglob("*.py"))
    assert len(files) > 200
    found = found_in(files, riddles)
    assert not found, "\n".join(["a docstring's first word names nothing (tests/unit/prose.toml):", *found])


def documents() -> list[Path]:
    """All documents in English that are written by hand."""
    patterns = ("*.md", "docs/*.md", "labs/*/*.md", "rust/kit/*.md", "rust/drivers/*/*.md")
    files = [file for pattern in patterns for file in ROOT.glob(pattern)]
    return sorted(file for file in files if not file.name.endswith(".zh-CN.md") and file.name != "matrix.md")


def nameless(text: str) -> list[tuple[int, str]]:
    """Return line and begin of the sentences in a Markdown text whose first word names no subject."""
    found = []
    line = 0
    for token in MARKDOWN.parse(text):
        line = token.map[0] + 1 if token.map else line
        if token.type != "inline":
            continue
        words = "".join("`…`" if part.type == "code_inline" else part.content or " " for part in token.children or [])
        for index, sentence in enumerate(SENTENCE_END.split(words.strip())):
            first = FIRST.match(sentence.lstrip('("“'))
            if first is None or sentence.rstrip(')"”').endswith("?"):
                continue
            if first[0] in SENTENCES or (index == 0 and first[0] in OPENERS):
                found.append((line, " ".join(sentence.split())[:80]))
    return found


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# What the demo shows\n\nWhoever reads this.\n", [1, 3]),
        ("The log is read. What is\nleft stays.\n", [1]),
        ("A word.\n\n- It ends.\n- **Who** waits?\n- (Whose it is.)\n", [3, 5]),
        ("| a | b |\n|---|---|\n| c | what, in lower case |\n| Whatever | d |\n", [4]),
        ("Is it so? What then? How?\n", []),
        ("The device ends. It is removed. When you are stuck, ask. If not, go on.\n", []),
        ("```\nWhat is code\n```\n\n    What is code\n\n`What` is code. <!-- What -->\n", []),
        ("Whatsoever, Itself's, Itch\n", []),
    ],
)
def test_a_sentence_without_a_subject_is_found(text: str, lines: list[int]) -> None:
    assert [line for line, _ in nameless(text)] == lines


def test_sentences_of_the_documents_name_their_subject() -> None:
    files = documents()
    assert len(files) > 25
    found = found_in(files, nameless)
    assert not found, "\n".join(["the first word of a sentence names nothing (tests/unit/prose.toml):", *found])
