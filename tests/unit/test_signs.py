# SPDX-License-Identifier: MIT
"""Signs lead somewhere: files and names of the code exist that a document, comment, docstring or table names."""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from types import ModuleType

import pytest
from tests.unit.signs import ROOT, Sign, all_signs, files, places, signs_in

import r4l
from r4l.pci.testing import Stand
from r4l.testing import fixtures

SOURCE = "src/r4l/"
NOT_OURS = (
    r"docs/(devel|interop|specs)(/.*)?",  # QEMU's
    r"src/shared/logs-show\.c",  # systemd's
    r"scripts/.*\.py",  # the kernel's
    r"lsp-extensions\.md",  # rust-analyzer's
    r".*\.helix/languages\.toml",
    # the kernel's, by their top folders
    r"(srctree/)?(arch|asm|asm-generic|drivers|fs|include|init|kernel|lib|linux|mm|net|scripts|tools)/.*\.(c|h|rs|S|sh)",
    r"rust/(kernel|bindings|helpers|pin-init|macros)/.*\.(c|h|rs)",
    r"bindings_helper\.h|decode_stacktrace\.sh|highmem-internal\.h|if\.h|min-tool-version\.sh|seccomp\.h",
    r"(accel|gdbstub|hw|migration|system|target)/.*\.[ch]",  # QEMU's
    r"heap\.c",  # PRoot's
    r"(Objects|Python)/\w+\.c",  # CPython's
    r"rustc_metadata/src/locator\.rs",  # rustc's
)
"""Files of other projects."""
MADE = (
    r"answers\.toml|(.*/)?r4l\.toml|test_\w+\.py|src/nic\.rs|counter\.(py|rs)|my_\w+\.\w+|c_bindings\.rs|file\.rs"
    r"|(foo|widget|greeter)\.(c|rs|S)|\.\./common/a\.c|writes\.sh"
)
"""Files that users and r4l make, or that an example has."""
STANDS_FOR = re.compile(r"NAME|NN|FILE|FOLDER|LAB|DIR")
"""Words in the place of a name."""
PATH = re.compile(
    r"(?<![\w./~$<{*:@%-])("
    r"(?:[\w.-]+/)*[\w-]+\.(?:py|toml|md|j2|svg)"
    r"|(?:docs|tests|labs|bench|src|\.ci|\.github|rust/kit|rust/drivers|rust/agent)/[\w./-]*[\w-]"
    r")(?![\w*{])"
)
SOURCE_PATH = re.compile(r"(?<![\w./~$<{*:@%-])((?:[\w.-]+/)*[\w-]+\.(?:rs|c|h|mk|S|sh))(?![\w*{.])")
"""A file of source code, which documents and comments name; tables quote logs and name the kernel's files."""
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`|(?<![\w./-])(r4l(?:\.[a-z_]\w*)+)")
SUFFIX = re.compile(
    r"c|h|ko|log|md|toml|py|rs|config|s|o|json|pcap|jsonl|zip|html|sh|mk|csv|txt|symvers|zst|d|bin|so|lds|debug|j2|trace"
)
NO_NAMES = {
    "kernel.watchdog": "a sysctl",
    "CTRL.value": "an example's register",
    "Counter.COUNT": "an example's register",
    "stat.st_mode": "a field of struct stat",
    "module.kallsyms": "a field of the kernel's struct module",
    "modules.order": "a file of Kbuild's",
}


def paths_astray(sign: Sign) -> Iterator[str]:
    """The paths in a sign that lead nowhere."""
    name, line, text = sign
    found = [*PATH.finditer(text), *(() if name.endswith(".toml") else SOURCE_PATH.finditer(text))]
    for match in found:
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
    """The pytest plugin's fixtures, with the types of what they give, and the name of a stand in tests of a model."""
    text = Path(fixtures.__file__).read_text(encoding="utf-8")
    made = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.returns]
    named = {node.name: re.sub(r"^Iterator\[(.*)\]$", r"\1", ast.unparse(node.returns or node)) for node in made}
    return {"stand": Stand, **{name: getattr(fixtures, kind, None) for name, kind in named.items()}}


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
        ("rust/kit/src/x.rs", "// like rust/kit/src/nothing.rs", ["rust/kit/src/nothing.rs"] * 2),
        ("rust/kit/src/x.rs", "// `c/layout.c`, c/layouts.c, net/queue.rs, net/cue.rs", ["c/layouts.c"]),
        ("docs/x.md", "inline.mk, outline.mk, arch/x86/kernel/reboot.c, reboots.c", ["outline.mk", "reboots.c"]),
    ],
)
def test_signs_astray_are_found(name: str, text: str, astray: list[str]) -> None:
    found = [fault for sign in signs_in(name, text) for fault in (*paths_astray(sign), *names_astray(sign))]
    assert [fault.split(": ")[1] for fault in found] == astray
