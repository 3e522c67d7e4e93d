# SPDX-License-Identifier: MIT
"""Signs lead somewhere: files and names of the code exist that a document, comment, docstring or table names."""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import inspect
import io
import re
import subprocess
import tokenize
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from types import ModuleType

import pytest

import r4l
from r4l.testing import fixtures

ROOT = Path(__file__).parents[2]
SOURCE = "src/r4l/"
NOT_OURS = (
    r"docs/(devel|interop|specs)(/.*)?",  # QEMU's
    r"src/shared/logs-show\.c",  # systemd's
    r"scripts/.*\.py",  # the kernel's
    r"lsp-extensions\.md",  # rust-analyzer's
    r".*\.helix/languages\.toml",
)
"""Files of other projects."""
MADE = r"answers\.toml|(.*/)?r4l\.toml|test_\w+\.py|src/nic\.rs|counter\.py|my_\w+\.\w+"
"""Files that users and r4l make, or that an example has."""
STANDS_FOR = re.compile(r"NAME|NN|FILE|FOLDER|LAB|DIR")
"""Words in the place of a name."""
PATH = re.compile(
    r"(?<![\w./~$<{*:@%-])("
    r"(?:[\w.-]+/)*[\w-]+\.(?:py|toml|md|j2|svg)"
    r"|(?:docs|tests|labs|bench|src|\.ci|\.github|rust/kit|rust/drivers|rust/agent)/[\w./-]*[\w-]"
    r")(?![\w*{])"
)
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`|(?<![\w./-])(r4l(?:\.[a-z_]\w*)+)")
SUFFIX = re.compile(
    r"c|h|ko|log|md|toml|py|rs|config|s|o|json|pcap|jsonl|zip|html|sh|mk|csv|txt|symvers|zst|d|bin|so|lds|debug|j2|trace"
)
NO_NAMES = {
    "kernel.watchdog": "a sysctl",
    "CTRL.value": "an example's register",
    "stat.st_mode": "a field of struct stat",
    "module.kallsyms": "a field of the kernel's struct module",
    "modules.order": "a file of Kbuild's",
}
Sign = tuple[str, int, str]
"""A file, a line, and a text there."""


@cache
def files() -> tuple[str, ...]:
    """The checkout's files, as git knows them."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(name for name in done.stdout.splitlines() if (ROOT / name).is_file())


@cache
def places() -> frozenset[str]:
    """The ends of all paths in the checkout, of files and folders: `nic.py`, `net/nic.py`, and so on."""
    whole = {*files(), *(str(folder) for name in files() for folder in PurePath(name).parents)}
    return frozenset("/".join(PurePath(path).parts[at:]) for path in whole for at in range(len(PurePath(path).parts)))


def signs_in(name: str, text: str) -> Iterator[Sign]:
    """Yield the text of a file for its readers: all of a document and of a table, comments and docstrings of code."""
    if name.endswith((".md", ".toml")):
        yield from ((name, number, line) for number, line in enumerate(text.splitlines(), 1))
    elif name.endswith(".py"):
        yield from (
            (name, token.start[0], token.string)
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        )
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield name, node.lineno, node.value.value
    elif name.endswith(".rs"):
        found = ((number, re.search(r"//[/!]?(.*)", line)) for number, line in enumerate(text.splitlines(), 1))
        yield from ((name, number, match[1]) for number, match in found if match)
    elif name.endswith((".yml", ".sh")) or name in ("r4l", "Makefile"):
        found = ((number, re.search(r"(?:^|\s)#(?!!)(.*)", line)) for number, line in enumerate(text.splitlines(), 1))
        yield from ((name, number, match[1]) for number, match in found if match)


def paths_astray(sign: Sign) -> Iterator[str]:
    """The paths in a sign that lead nowhere."""
    name, line, text = sign
    for match in PATH.finditer(text):
        path = match[1].rstrip(".")
        if STANDS_FOR.search(path) or any(re.fullmatch(pattern, path) for pattern in (*NOT_OURS, MADE)):
            continue
        if path not in places() and not (ROOT / name).parent.joinpath(path).exists():
            yield f"{name}:{line}: {path}"


def has(owner: object, parts: list[str], *, guess: bool = True) -> bool:
    """Return True if an object has an attribute of an attribute …; a class also has what its instances get.

    Args:
        guess: take attributes for granted of what instances get without an annotation.
    """
    for number, part in enumerate(parts):
        if inspect.isclass(owner) and part in (hints := hints_of(owner)):
            owner = hints[part]
            if not inspect.isclass(owner):
                return True
        elif hasattr(owner, part):
            owner = getattr(owner, part)
            if isinstance(owner, property | functools.cached_property):
                return True
        elif inspect.isclass(owner):
            return (guess or number == len(parts) - 1) and any(
                re.search(rf"self\.{part}\b", inspect.getsource(kind))
                for kind in owner.__mro__
                if kind.__module__.startswith("r4l")
            )
        elif inspect.ismodule(owner):
            try:
                owner = importlib.import_module(f"{owner.__name__}.{part}")
            except ImportError:
                return False
        else:
            return False
    return True


@cache
def fixture_types() -> dict[str, object]:
    """The pytest plugin's fixtures, with the types of what they give."""
    text = Path(fixtures.__file__).read_text(encoding="utf-8")
    made = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.returns]
    named = {node.name: re.sub(r"^Iterator\[(.*)\]$", r"\1", ast.unparse(node.returns or node)) for node in made}
    return {name: getattr(fixtures, kind, None) for name, kind in named.items()}


def hints_of(kind: type) -> dict[str, object]:
    """The annotated attributes of a class, with their types; without, where those cannot be had."""
    try:
        return dict(typing.get_type_hints(kind))
    except (NameError, TypeError):
        return dict.fromkeys(inspect.get_annotations(kind))


@cache
def modules_of(room: str) -> tuple[ModuleType, ...]:
    """All modules of a room."""
    found = []
    for name in files():
        if name.startswith(f"{SOURCE}{room}") and name.endswith(".py") and "__main__" not in name:
            dotted = name.removeprefix("src/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            with contextlib.suppress(ImportError):  # what runs in gdb or in the toolchain
                found.append(importlib.import_module(dotted))
    return tuple(found)


def family(kind: object) -> Iterator[object]:
    """Yield a class and its subclasses in its room: the fixture `device` may be any model."""
    yield kind
    if inspect.isclass(kind) and kind.__module__.startswith("r4l."):
        modules_of(kind.__module__.split(".")[1])
        for each in kind.__subclasses__():
            yield from family(each)


def known(dotted: str, name: str) -> bool:
    """Return True if the code has something of that name, as a reader of the file would look for it."""
    parts = dotted.split(".")
    if parts[0] in ("r4l", "self"):
        return parts[0] == "self" or has(r4l, parts[1:])
    if has(r4l, parts) or has(builtins, parts):
        return True
    kind = fixture_types().get(parts[0])
    if kind is not None and any(has(each, parts[1:]) for each in family(kind)):
        return True
    if name.startswith(SOURCE):
        room = PurePath(name.removeprefix(SOURCE)).parts[0].removesuffix(".py")
        for module in modules_of(room):
            kinds = [value for value in vars(module).values() if inspect.isclass(value)]
            if has(module, parts) or any(has(kind, parts, guess=False) for kind in kinds):
                return True
    try:
        return has(importlib.import_module(parts[0]), parts[1:])
    except ImportError:
        return False


def names_astray(sign: Sign) -> Iterator[str]:
    """The names in a sign that the code does not have."""
    name, line, text = sign
    for match in NAME.finditer(text):
        dotted = match[1] or match[2]
        # Tables quote C and Rust.
        if name.endswith(".toml") and not dotted.startswith("r4l."):
            continue
        if dotted in NO_NAMES or SUFFIX.fullmatch(dotted.rpartition(".")[2]):
            continue
        if not known(dotted, name):
            yield f"{name}:{line}: {dotted}"


APART = ("tests/fixtures/", "tests/hostile/folders.toml", "tests/unit/test_signs.py")
"""Files that name what lies in the folders of others."""


def all_signs(*starts: str) -> Iterator[Sign]:
    for name in files():
        if name.startswith(starts) and not name.startswith(APART):
            with contextlib.suppress(UnicodeDecodeError):
                yield from signs_in(name, (ROOT / name).read_text(encoding="utf-8"))


def test_each_path_that_is_named_exists() -> None:
    assert [fault for sign in all_signs("") for fault in paths_astray(sign)] == []


def test_each_name_of_the_code_that_is_named_exists() -> None:
    assert [
        fault for sign in all_signs(SOURCE, "docs/", "README", "CONTRIBUTING") for fault in names_astray(sign)
    ] == []


@pytest.mark.parametrize(
    ("name", "text", "astray"),
    [
        ("docs/x.md", "see `vm/machines.toml` and net/nic.py", ["vm/machines.toml"]),
        ("docs/x.md", "[labs](labs.md), [first hour](../CONTRIBUTING.md), [no](../GONE.md)", ["../GONE.md"]),
        ("src/r4l/x.toml", "# as docs/rows says, and docs/devel/migration in QEMU", ["docs/rows"]),
        (
            "src/r4l/vm/x.py",
            '"""As `r4l.vm.nothing` and `VM.check` do, in `klog.never`."""',
            ["r4l.vm.nothing", "klog.never"],
        ),
        ("docs/x.md", "`vm.klog.allow(…)`, `wire.flush()`, `wire.flash()`, `home.publish`", ["wire.flash"]),
        ("rust/kit/src/x.rs", "// like rust/kit/src/nothing.rs", ["rust/kit/src/nothing.rs"]),
    ],
)
def test_signs_astray_are_found(name: str, text: str, astray: list[str]) -> None:
    found = [fault for sign in signs_in(name, text) for fault in (*paths_astray(sign), *names_astray(sign))]
    assert [fault.split(": ")[1] for fault in found] == astray
