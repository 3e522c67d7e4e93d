# SPDX-License-Identifier: MIT
"""The model of a driver's device: the class in the driver's folder, and the files that it needs.

Both are found by reading Python's syntax trees; no file is executed.
"""

from __future__ import annotations

import ast
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from r4l.errors import UsageError
from r4l.module import BuiltModule
from r4l.pci import Device
from r4l.pci import load as models

BASES = frozenset({"Device", "NetworkCard", *(name for _, name in models.MODELS.values())})
"""Classes of r4l from which models inherit."""
TESTS = ("test_*.py", "*_test.py", "conftest.py")
"""Files of pytest's, whose classes are models for single tests."""
MOST = 64 << 20
"""Bytes of a model's files together: they go to every worker."""
SUFFIX = re.compile(r"\.\w+")
EXTENSION = re.compile(r".*\.\w+")


def find_model(folder: str, module: BuiltModule) -> str:
    """Return the model for a driver: the one in its folder or the folder's `tests`, or one of r4l's with an identity
    that the driver has in its table, or one in a file of pytest's. A class from which another one inherits is none.

    Args:
        folder: the user's name of the driver.
        module: the driver.

    Raises:
        UsageError: there is none, or several.
    """
    files = [file for base in (Path(folder), Path(folder) / "tests") for file in sorted(base.glob("*.py"))]
    tests = [file for file in files if any(fnmatchcase(file.name, pattern) for pattern in TESTS)]
    unread: list[str] = []
    found = _models_in([file for file in files if file not in tests], unread)
    if not found:
        shipped = [models.SHIPPED + name for name in models.MODELS]
        # The driver may be for several of them; the first is the most common card.
        found = [one for one in shipped if _is_for(module, models.model_class(one))][:1] or _models_in(tests, unread)
    if len(found) != 1:
        why = f" ({'; '.join(unread)})" if unread else ""
        raise UsageError(
            f"{folder} has several models: {', '.join(found)}"
            if found
            else f"there is no model of a device in {folder}{why}",
            "name it with --device FILE.py:CLASS (docs/devices.md says how one is written)",
        )
    return found[0]


@dataclass(frozen=True)
class _Class:
    """A class of a file, with the names of its bases, each without the modules before it."""

    file: Path
    name: str
    bases: tuple[str, ...]


def _models_in(files: Sequence[Path], unread: list[str]) -> list[str]:
    """Return the models that files define, without those from which others inherit.

    Args:
        files: files of Python.
        unread: receives a line for each that cannot be read.
    """
    classes: list[_Class] = []
    bases = set(BASES)
    for file in files:
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError) as error:
            unread.append(f"{file} cannot be read: {error}")
            continue
        classes += _classes_of(file, tree)
    found: list[_Class] = []
    while more := [one for one in classes if one not in found and bases.intersection(one.bases)]:
        found += more
        bases.update(one.name for one in more)
    inherited = {base for one in found for base in one.bases if base != one.name}
    return [f"{one.file}:{one.name}" for one in classes if one in found and one.name not in inherited]


def _classes_of(file: Path, tree: ast.Module) -> Iterator[_Class]:
    aliases = {
        alias.asname: alias.name.rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names = (base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases)
            yield _Class(file, node.name, tuple(aliases.get(name, name) for name in names))


def _is_for(module: BuiltModule, model: type[Device]) -> bool:
    """Return True if a module's table has the identity of a model (scripts/mod/file2alias.c, do_pci_entry)."""
    wanted = f"pci:v{model.vendor_id:08X}d{model.device_id:08X}"
    return any(alias.startswith(wanted) for alias in module.modinfo.get("alias", []))


def made(spec: str) -> Device:
    """Return a new device of a model, not plugged in.

    Args:
        spec: `python:NAME` or `FILE.py:CLASS`.

    Raises:
        UsageError: there is no such model, or it raises an exception.
    """
    cls = models.model_class(spec)
    try:
        return cls()
    except Exception as error:
        raise UsageError(
            f"{spec} cannot be made: {type(error).__name__}: {error}",
            "correct its __init__, which is called without arguments",
            detail=traceback.format_exc(),
        ) from error


def files_of(model: Path, base: Path) -> Mapping[str, bytes]:
    """Return the contents of a model's files by their names relative to a folder.

    These are the model's own file, the modules and packages that it imports from the folder, and the files and folders
    there that its text names, or the text of one of these modules: `"rom.bin"`, `"tables/*.csv"`, or
    `with_suffix(".bin")`. A package or folder is taken as a whole, without hidden files and `__pycache__`.

    Args:
        model: the model's file.
        base: the model's folder, or one above it.

    Raises:
        UsageError: they have more than `MOST` bytes together, or one cannot be read.
    """
    found: dict[Path, bytes] = {}
    waiting = [model]
    rest = MOST
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        try:
            found[file] = file.read_bytes()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}", f"{model.name} names it") from error
        rest -= len(found[file])
        if rest < 0:
            largest = max(found, key=lambda one: len(found[one]))
            raise UsageError(
                f"the files that {model.name} names have more than {MOST >> 20} MiB together",
                f"leave some out, such as {largest}: a model's files go to every worker",
            )
        if file.suffix == ".py":
            waiting += _named_by(file, found[file], base)
    return {path.relative_to(base).as_posix(): found[path] for path in sorted(found)}


def _named_by(file: Path, text: bytes, base: Path) -> Iterator[Path]:
    """Return the files that a module names, from its own folder up to the base."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # Not used as a module, or the model's load tells it.
        return
    imported, patterns = _names(tree, base)
    patterns |= {file.stem + one for one in patterns if SUFFIX.fullmatch(one)}
    folder = file.parent
    while True:
        for entry in sorted(folder.iterdir()):
            hidden = entry.name.startswith((".", "__pycache__"))
            name = entry.name.removesuffix(".py")
            module = name in imported and (entry.is_dir() or entry.suffix == ".py")
            if not hidden and (module or any(fnmatchcase(entry.name, pattern) for pattern in patterns)):
                yield from _tree(entry)
        if folder == base:
            return
        folder = folder.parent


def _tree(entry: Path) -> Iterator[Path]:
    """Return a file, or the files of a folder and of those in it."""
    if entry.is_file():
        yield entry
    elif entry.is_dir() and not entry.is_symlink():
        for one in sorted(entry.iterdir()):
            if not one.name.startswith((".", "__pycache__")):
                yield from _tree(one)


def _names(tree: ast.Module, base: Path) -> tuple[set[str], set[str]]:
    """Return the modules that may be imported from beside a file, and the patterns of names of files, each without the
    folders before and after it."""
    imported: set[str] = set()
    patterns: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = [node.module] if node.module else [alias.name for alias in node.names]
            imported.update(name.partition(".")[0] for name in whole)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = _parts(node.value)
            patterns.update(parts)
            # importlib.import_module("regs")
            imported.update(part.partition(".")[0] for part in parts[:1])
        elif isinstance(node, ast.JoinedStr):
            joined = "".join(str(one.value) if isinstance(one, ast.Constant) else "*" for one in node.values)
            # Without an extension it is hardly the name of a file, and may be as short as `*_*`.
            patterns.update(part for part in _parts(joined) if EXTENSION.fullmatch(part))
    return {name for name in imported if not _is_elsewhere(name, base)}, patterns


def _parts(text: str) -> list[str]:
    """Return the parts of a relative path, without those that stand for any name."""
    parts = [] if text.startswith("/") or "\n" in text else text.split("/")
    return [part for part in parts if part.strip("*?.") and part != "r4l"]


def _is_elsewhere(name: str, base: Path) -> bool:
    """Return True if a module has been imported already, and is not of a model's folder."""
    module = sys.modules.get(name)
    if module is None:
        return False
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return not any(place and Path(place).is_relative_to(base) for place in places)
