# SPDX-License-Identifier: MIT
"""Check with the language servers themselves that they resolve a folder's code."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.ide import EditorFiles
from r4l.ide.limits import OF_TYPES, is_limit
from r4l.ide.lsp import ERROR, Diagnostic, LanguageServer, Message, Unresolved
from r4l.paths import leads_to_file, require_text
from r4l.process import Say, quiet
from r4l.walk import files_below

INACTIVE = "inactive-code"
UNLINKED = "unlinked-file"


@dataclass(frozen=True)
class Understood:
    """Result of a server's check.

    Attributes:
        files: the checked files.
        names: names that the server cannot resolve.
        errors: diagnostics of severity error.
        limits: names and errors in code that rustc has compiled, by which rust-analyzer shows its own limits
            (`r4l.ide.limits`).
    """

    files: tuple[Path, ...]
    names: tuple[Unresolved, ...] = ()
    errors: tuple[Diagnostic, ...] = ()
    limits: tuple[Unresolved | Diagnostic, ...] = ()


def options(projects: Sequence[Path]) -> Message:
    """Return rust-analyzer's settings for a check: analyse only the requested files, and report everything."""
    return {
        "linkedProjects": [str(path) for path in projects],
        "checkOnSave": False,
        "cachePriming": {"enable": False},
        # Without this, unresolved imports, methods and fields are not reported.
        "diagnostics": {"experimental": {"enable": True}},
    }


@contextlib.contextmanager
def rust_analyzer(*folders: EditorFiles) -> Iterator[LanguageServer]:
    """Start rust-analyzer with the projects of all given folders loaded, as in an editor that has them open."""
    projects = dict.fromkeys(project for files in folders for project in files.projects)
    with LanguageServer([str(folders[0].programs["rust-analyzer"])], folders[0].folder, options([*projects])) as server:
        server.wait_until_quiet()
        yield server


@contextlib.contextmanager
def clangd(files: EditorFiles) -> Iterator[LanguageServer]:
    """Start clangd for the C files of a folder."""
    assert files.commands is not None
    argv = [
        str(files.programs["clangd"]),
        "--background-index=false",
        f"--compile-commands-dir={files.commands.parent}",
    ]
    with LanguageServer(argv, files.folder) as server:
        yield server


def module(files: EditorFiles, say: Say = quiet) -> Understood:
    """Check all Rust files of a module folder, and its compiled C files.

    Raises:
        EnvironmentFault: a server died or does not answer.
    """
    parts = [Understood(())]
    sources = rust_files(files.folder)
    if files.projects and sources:
        with rust_analyzer(files) as server:
            parts.append(rust(server, sources, say, compiled=files.broken is None))
    if files.commands:
        with clangd(files) as server:
            parts.append(c(server, c_files(files.commands), say))
    return Understood(
        tuple(file for part in parts for file in part.files),
        tuple(name for part in parts for name in part.names),
        tuple(error for part in parts for error in part.errors),
        tuple(limit for part in parts for limit in part.limits),
    )


def rust_files(folder: Path) -> list[Path]:
    """Return the Rust files of a module folder and all below it, without hidden ones: an editor has files of its own
    there, such as Emacs' locks, which are links to nothing."""
    found = files_below(folder, lambda name: name.endswith(".rs"))
    shown = [path for path in found if not any(name.startswith(".") for name in path.relative_to(folder).parts)]
    return [path for path in shown if leads_to_file(path)]


def rust(server: LanguageServer, files: Sequence[Path], say: Say = quiet, *, compiled: bool = False) -> Understood:
    """Check Rust files with a rust-analyzer that has loaded its projects; files of no crate are skipped.

    Args:
        compiled: rustc has compiled all these files as they are.
    """
    seen: list[Path] = []
    names: list[Unresolved] = []
    errors: list[Diagnostic] = []
    limits: list[Unresolved | Diagnostic] = []
    for file in files:
        say(file.name)
        server.open(file, "rust")
        diagnostics = server.diagnostics(file)
        if any(diagnostic.code == UNLINKED for diagnostic in diagnostics):
            continue
        seen.append(file)
        text = require_text(file, "replace")
        for diagnostic in diagnostics:
            if diagnostic.severity == ERROR:
                (limits if compiled and diagnostic.code in OF_TYPES else errors).append(diagnostic)
        # Names in code that is configured out are not resolved. A name that goes through a macro can be coloured as
        # unresolved although its definition is found.
        out = [diagnostic for diagnostic in diagnostics if diagnostic.code == INACTIVE]
        for name in server.unresolved(file):
            inactive = any(span.line <= name.line <= span.last_line for span in out)
            if not inactive and not server.definition_at(file, name.line, name.column):
                limited = compiled and is_limit(text, name.line, name.column)
                (limits if limited else names).append(name)
    return Understood(tuple(seen), tuple(names), tuple(errors), tuple(limits))


def c(server: LanguageServer, files: Sequence[Path], say: Say = quiet) -> Understood:
    """Check C files with clangd."""
    errors: list[Diagnostic] = []
    for file in files:
        say(file.name)
        server.open(file, "c")
        errors += [diagnostic for diagnostic in server.diagnostics(file) if diagnostic.severity == ERROR]
    return Understood(tuple(files), (), tuple(errors))


def c_files(commands: Path) -> list[Path]:
    """Return the files listed in a compile_commands.json."""
    return sorted({Path(entry["file"]) for entry in json.loads(commands.read_text(encoding="utf-8"))})
