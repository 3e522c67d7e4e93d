# SPDX-License-Identifier: MIT
"""Ask the language servers themselves whether they understand a folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.ide import EditorFiles
from r4l.ide.lsp import ERROR, Diagnostic, LanguageServer, Message, Unresolved
from r4l.process import Say, quiet

INACTIVE = "inactive-code"
UNLINKED = "unlinked-file"


@dataclass(frozen=True)
class Understood:
    """What a server made of some files.

    Attributes:
        files: those that were looked at.
        names: those that it cannot find.
        errors: what it reports as an error. rust-analyzer does not always agree with rustc on types.
    """

    files: tuple[Path, ...]
    names: tuple[Unresolved, ...] = ()
    errors: tuple[Diagnostic, ...] = ()


def options(projects: Sequence[Path]) -> Message:
    """rust-analyzer's settings for a check: it looks at what it is asked about, and says all it knows."""
    return {
        "linkedProjects": [str(path) for path in projects],
        "checkOnSave": False,
        "cachePriming": {"enable": False},
        # Unresolved imports, methods and fields are reported only so.
        "diagnostics": {"experimental": {"enable": True}},
    }


@contextlib.contextmanager
def rust_analyzer(*folders: EditorFiles) -> Iterator[LanguageServer]:
    """rust-analyzer with the projects of folders loaded, as an editor has it that has them all open."""
    projects = dict.fromkeys(project for files in folders for project in files.projects)
    with LanguageServer([str(folders[0].programs["rust-analyzer"])], folders[0].folder, options([*projects])) as server:
        server.wait_until_quiet()
        yield server


@contextlib.contextmanager
def clangd(files: EditorFiles) -> Iterator[LanguageServer]:
    """clangd for the C of a folder."""
    assert files.commands is not None
    argv = [
        str(files.programs["clangd"]),
        "--background-index=false",
        f"--compile-commands-dir={files.commands.parent}",
    ]
    with LanguageServer(argv, files.folder) as server:
        yield server


def module(files: EditorFiles, say: Say = quiet) -> Understood:
    """Look at all Rust files of a module folder, and at its C files that are compiled.

    Raises:
        EnvironmentFault: a server died or does not answer.
    """
    parts = [Understood(())]
    sources = sorted(files.folder.rglob("*.rs"))
    if files.projects and sources:
        with rust_analyzer(files) as server:
            parts.append(rust(server, sources, say))
    if files.commands:
        with clangd(files) as server:
            parts.append(c(server, c_files(files.commands), say))
    return Understood(
        tuple(file for part in parts for file in part.files),
        tuple(name for part in parts for name in part.names),
        tuple(error for part in parts for error in part.errors),
    )


def rust(server: LanguageServer, files: Sequence[Path], say: Say = quiet) -> Understood:
    """Look at Rust files with a rust-analyzer that has loaded its projects; those of no crate are left out."""
    seen: list[Path] = []
    names: list[Unresolved] = []
    errors: list[Diagnostic] = []
    for file in files:
        say(file.name)
        server.open(file, "rust")
        diagnostics = server.diagnostics(file)
        if any(diagnostic.code == UNLINKED for diagnostic in diagnostics):
            continue
        seen.append(file)
        errors += [diagnostic for diagnostic in diagnostics if diagnostic.severity == ERROR]
        # Code that is configured out has no names; and a name that goes through a macro can be coloured as
        # unresolved where it leads to its definition all the same.
        out = [diagnostic for diagnostic in diagnostics if diagnostic.code == INACTIVE]
        for name in server.unresolved(file):
            inactive = any(span.line <= name.line <= span.last_line for span in out)
            if not inactive and not server.definition_at(file, name.line, name.column):
                names.append(name)
    return Understood(tuple(seen), tuple(names), tuple(errors))


def c(server: LanguageServer, files: Sequence[Path], say: Say = quiet) -> Understood:
    """Look at C files with clangd."""
    errors: list[Diagnostic] = []
    for file in files:
        say(file.name)
        server.open(file, "c")
        errors += [diagnostic for diagnostic in server.diagnostics(file) if diagnostic.severity == ERROR]
    return Understood(tuple(files), (), tuple(errors))


def c_files(commands: Path) -> list[Path]:
    """The files that a compile_commands.json lists."""
    return sorted({Path(entry["file"]) for entry in json.loads(commands.read_text(encoding="utf-8"))})
