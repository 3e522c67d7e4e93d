# SPDX-License-Identifier: MIT
"""Docstrings of the package name a noun or begin with a verb, and sentences of documents, labs and help name their
subject (`tests/unit/prose.toml`; CONTRIBUTING.md, "Prose")."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt

from r4l.camp.labs.lab import Lab
from r4l.cli import cli
from r4l.pci.fault_kinds import FAULT_KINDS

ROOT = Path(__file__).parents[2]
WORDS = tomllib.loads(Path(__file__).with_name("prose.toml").read_text(encoding="utf-8"))
FORBIDDEN = frozenset([*WORDS["questions"], *WORDS["pronouns"]])
SENTENCES, OPENERS = (frozenset(WORDS["markdown"][key]) for key in ("sentences", "openers"))
NAMES = frozenset(WORDS["markdown"]["names"])
MARKDOWN = MarkdownIt("commonmark").enable("table")
SENTENCE_END = re.compile(r"(?<=[.!?])[)*\"]*\s+(?=[A-Z*`\"(])")
FIRST = re.compile(r"[\w']+")
RUST_DOC = re.compile(r"\s*//[/!] ?(.*)")
TEXTS = frozenset({"about", "cause", "remedy", "why", "description", "meaning"})
"""Keys of the package's TOML tables whose values are texts for users."""


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


def riddles(source: str, forbidden: frozenset[str] = FORBIDDEN) -> list[tuple[int, str]]:
    """Return line and first sentence of the docstrings whose first word is forbidden."""
    found = []
    for line, text in docstrings(source):
        first = FIRST.match(text.strip())
        if first and first[0] in forbidden:
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


def test_docstrings_of_tests_and_programs_begin_with_no_question() -> None:
    folders = ("tests", "rust", "bench", "docs", "labs", ".ci")
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    assert len(files) > 300
    found = found_in(files, lambda source: riddles(source, frozenset(WORDS["questions"])))
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
            if first is None or sentence in NAMES or sentence.rstrip(')"”').endswith("?"):
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


def texts_of_labs() -> Iterator[tuple[str, str]]:
    """Yield the English texts of the labs, each with its place."""
    for lab in Lab.all():
        for point in lab.checkpoints:
            for text in (point.title, *point.hints):
                yield f"labs/{lab.folder.name}/lab.toml: {point.id}", text.en
        for question in lab.questions:
            for text in (question.ask, question.why):
                yield f"labs/{lab.folder.name}/lab.toml: {question.id}", text.en


def texts_of_help(command: click.Command = cli, name: str = "r4l") -> Iterator[tuple[str, str]]:
    """Yield the help of a command, of its options and of the commands below it, each with its place."""
    context = click.Context(command, info_name=name)
    for text in (command.help, command.epilog):
        for paragraph in (text or "").split("\n\n"):
            if not paragraph.startswith("\b"):
                yield name, paragraph.strip()
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and parameter.help:
            yield f"{name} {parameter.opts[0]}", parameter.help
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from texts_of_help(found, f"{name} {below}")


def texts_of_tables() -> Iterator[tuple[str, str]]:
    """Yield the texts for users in the package's TOML tables, each with its place."""

    def walk(value: object, place: str) -> Iterator[tuple[str, str]]:
        for key, inner in value.items() if isinstance(value, dict) else ():
            if key in TEXTS and isinstance(inner, str):
                yield f"{place}: {key}", inner
            yield from walk(inner, place)
        for inner in value if isinstance(value, list) else ():
            yield from walk(inner, place)

    for file in sorted((ROOT / "src").rglob("*.toml")):
        yield from walk(tomllib.loads(file.read_text(encoding="utf-8")), str(file.relative_to(ROOT)))
    for name, kind in FAULT_KINDS.items():
        yield f"FAULT_KINDS: {name}", kind.text


def with_capital(text: str) -> str:
    """Return a text with a capital if it begins with a question's word; "it" may continue another sentence."""
    first = FIRST.match(text)
    return text[:1].upper() + text[1:] if first and first[0].capitalize() in SENTENCES else text


@pytest.mark.parametrize(
    ("texts", "least"),
    [(texts_of_labs, 300), (texts_of_help, 250), (texts_of_tables, 200)],
    ids=["labs", "help", "tables"],
)
def test_texts_for_users_name_their_subject(texts: Callable[[], Iterator[tuple[str, str]]], least: int) -> None:
    all_texts = list(texts())
    assert len(all_texts) > least
    found = [f"{place}: {begin}" for place, text in all_texts for _, begin in nameless(with_capital(text))]
    assert not found, "\n".join(["the first word of a sentence names nothing (tests/unit/prose.toml):", *found])


def rust_riddles(source: str) -> list[tuple[int, str]]:
    """Return line and begin of the paragraphs in comments that document Rust whose first word names no subject."""
    found = []
    before = ""
    for number, line in enumerate(source.splitlines(), 1):
        comment = RUST_DOC.match(line)
        text = comment[1] if comment else ""
        first = FIRST.match(text)
        if first and not before and first[0] in SENTENCES | OPENERS and not text.endswith("?"):
            found.append((number, text[:80]))
        before = text
    return found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("/// What it has.\nfn f() {}", [1]),
        ("//! A ring.\n//!\n//! It has two ends.", [3]),
        ("    /// Releases\n    /// What goes on.", []),
        ('// What is no documentation\nlet a = "/// What";', []),
        ("/// # Who owns it?\n///\n/// Whole.", []),
    ],
)
def test_a_riddle_in_rust_is_found(source: str, lines: list[int]) -> None:
    assert [line for line, _ in rust_riddles(source)] == lines


def test_comments_that_document_rust_name_a_noun_or_begin_with_a_verb() -> None:
    patterns = ("rust/**/*.rs", "labs/**/*.rs", "src/r4l/templates/**/*.rs.j2")
    files = sorted(file for pattern in patterns for file in ROOT.glob(pattern))
    assert len(files) > 80
    found = found_in(files, rust_riddles)
    assert not found, "\n".join(["a comment's first word names nothing (tests/unit/prose.toml):", *found])
