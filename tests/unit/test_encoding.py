# SPDX-License-Identifier: MIT
"""Text is UTF-8 in every locale: each call that reads or writes text names its encoding."""

from __future__ import annotations

import ast
import codecs
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "rust", "labs")
"""Code that users run."""
SUBPROCESS = ("run", "Popen", "check_output", "check_call", "call")
TEMPORARY = ("NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile")


def unnamed(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield calls that read or write text in the locale's encoding."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _by_locale(call):
            yield call


def _by_locale(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    named = {word.arg: word.value for word in call.keywords}
    if "encoding" in named or None in named:
        return False
    if name in ("read_text", "write_text"):
        return True
    if name == "TextIOWrapper":
        return len(call.args) < 2
    if name == "open" and not isinstance(call.func, ast.Attribute):
        return _is_text(named.get("mode"), call.args[1:2])
    if name == "open":
        # path.open(mode); others have a method of that name too, such as os, tarfile and an editor's server.
        only_mode = set(named) <= {"mode", "errors", "newline", "buffering"} and not call.args[1:]
        return only_mode and all(map(_is_mode, call.args)) and _is_text(named.get("mode"), call.args)
    if name == "fdopen":
        return _is_text(named.get("mode"), call.args[1:2])
    if name in TEMPORARY:
        return bool(named.get("mode") or call.args) and _is_text(named.get("mode"), call.args[:1])
    if name in SUBPROCESS:
        return any(_is_true(named.get(word)) for word in ("text", "universal_newlines"))
    return False


def _is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _is_mode(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and bool(re.fullmatch("[rwaxbt+]+", value.value))
    )


def _is_text(named: ast.expr | None, positional: list[ast.expr]) -> bool:
    mode = named or (positional[0] if positional else None)
    return not (isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" in mode.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("path.read_text()", True),
        ("path.read_text(errors='replace')", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text)", True),
        ("path.open()", True),
        ("path.open('a')", True),
        ("path.open('rb')", False),
        ("open(path)", True),
        ("open(path, 'wb')", False),
        ("os.open(path, os.O_RDONLY)", False),
        ("tarfile.open(tar, 'w', format=tarfile.PAX_FORMAT)", False),
        ("server.open(file, 'rust')", False),
        ("subprocess.run(argv, text=True)", True),
        ("subprocess.run(argv, text=True, encoding='utf-8')", False),
        ("subprocess.run(argv)", False),
        ("tempfile.NamedTemporaryFile('w')", True),
        ("tempfile.NamedTemporaryFile()", False),
        ("io.TextIOWrapper(raw)", True),
        ("run(argv, **more)", False),
    ],
)
def test_what_counts(code: str, expected: bool) -> None:
    assert bool(list(unnamed(ast.parse(code)))) is expected


def test_every_text_names_its_encoding() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)[:80]}"
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
        for call in unnamed(ast.parse(file.read_bytes()))
    ]
    assert not found, "\n".join(found)


ASKED = [sys.executable, "-c", "import locale; print(locale.getpreferredencoding())"]


def gbk(folder: Path) -> dict[str, str]:
    """The environment of a user in China with an old locale."""
    if shutil.which("localedef"):
        subprocess.run(
            ["localedef", "-i", "zh_CN", "-f", "GBK", folder / "zh_CN.GBK"], capture_output=True, check=False
        )
    return {"LOCPATH": str(folder), "LC_ALL": "zh_CN.GBK"}


def ascii_only(_folder: Path) -> dict[str, str]:
    """The environment of a user without any locale, where Python does not use UTF-8 instead."""
    return {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}


LOCALES = {"gbk": gbk, "ascii": ascii_only}


@pytest.fixture(scope="module", params=LOCALES)
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A locale whose encoding is not UTF-8: the encoding and the environment."""
    environment = {**LOCALES[request.param](tmp_path_factory.mktemp("locales")), "PYTHONUTF8": "0"}
    said = subprocess.run(ASKED, env={**os.environ, **environment}, capture_output=True, check=True).stdout
    encoding = codecs.lookup(said.decode().strip()).name
    if request.param == "gbk" and encoding != "gbk":
        pytest.skip("this machine cannot make the locale zh_CN.GBK: it needs Debian's package locales")
    assert encoding == request.param
    return encoding, environment


@pytest.mark.parametrize("arguments", [("lab", "list"), ("rows",), ("new", "--help"), ("--help",)])
def test_a_locale_of_another_encoding(
    arguments: tuple[str, ...], foreign: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    encoding, locale = foreign
    environment = {**os.environ, **locale, "R4L_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-m", "r4l", *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(encoding, "replace")
    assert done.stdout.decode(encoding)


def test_a_sign_that_the_terminal_does_not_know_is_no_reason_to_die(
    foreign: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    """`r4l doctor` prints U+2713, which neither encoding has."""
    encoding, locale = foreign
    environment = {**os.environ, **locale, "R4L_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-m", "r4l", "doctor"], env=environment, capture_output=True, check=False)
    assert done.returncode == 120, done.stderr.decode(encoding, "replace")
    assert b"the toolchain is not set up" in done.stdout
