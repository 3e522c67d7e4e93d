# SPDX-License-Identifier: MIT
"""clangd itself understands compile_commands.json."""

from __future__ import annotations

import json

import pytest

from r4l.ide import EditorFiles, check
from r4l.ide.lsp import LanguageServer
from r4l.kernel import Kernel

# A machine with much else to do is no failure.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.row("A17")
def test_the_driver_core_is_listed_though_nothing_of_it_was_compiled(kernel: Kernel, tree: EditorFiles) -> None:
    assert tree.commands is not None
    listed = check.c_files(tree.commands)
    assert kernel.source / "drivers/base/driver.c" in listed
    assert kernel.source / "lib/klist.c" in listed
    assert not (kernel.build / "drivers/base/driver.o").exists()
    assert not [file for file in listed if not file.exists()]


@pytest.mark.row("A17")
def test_klist_next_is_found_from_the_driver_core(kernel: Kernel, clangd: LanguageServer) -> None:
    core, klist = kernel.source / "drivers/base/driver.c", kernel.source / "lib/klist.c"
    clangd.open(core, "c")
    errors = [diagnostic for diagnostic in clangd.diagnostics(core) if diagnostic.severity == 1]
    assert not errors
    [(file, _)] = clangd.definition(core, "klist_next(i)", "klist_next")
    assert file == kernel.source / "include/linux/klist.h", "clangd has not seen klist.c yet"
    clangd.open(klist, "c")
    assert not [diagnostic for diagnostic in clangd.diagnostics(klist) if diagnostic.severity == 1]
    [(file, line)] = clangd.definition(core, "klist_next(i)", "klist_next")
    assert file == klist
    assert "klist_next(struct klist_iter *i)" in klist.read_text().splitlines()[line - 1]


@pytest.mark.row("A17")
def test_the_c_of_a_driver_is_understood(drivers: dict[str, EditorFiles]) -> None:
    files = drivers["c_from_rust"]
    assert files.commands == files.folder / "compile_commands.json"
    with check.clangd(files) as server:
        understood = check.c(server, check.c_files(files.commands))
    assert files.folder / "helpers.c" in understood.files
    assert not understood.errors


def test_the_editor_is_told_where_the_commands_are(tree: EditorFiles) -> None:
    settings = json.loads(tree.settings.read_text())
    assert tree.commands is not None
    assert f"--compile-commands-dir={tree.commands.parent}" in settings["clangd.arguments"]
