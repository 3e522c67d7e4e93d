# SPDX-License-Identifier: MIT
"""The drivers as seen by an editor: copies, so that nothing is written into the checkout.

One rust-analyzer has them all open, since reading the kernel's crates is most of its work.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l import home, ide, resources
from r4l.ide import EditorFiles, check
from r4l.ide.lsp import LanguageServer
from r4l.kernel import Kernel
from r4l.module import Module

WRONG = """
fn wrong(value: u32) -> u32 {
    kernel::no_such_module::ask(value) + no_such_function(value)
}
"""
"""Code of the driver `broken`, which rustc refuses and rust-analyzer must refuse too."""


@pytest.fixture(scope="session")
def folders(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of rust/drivers without their tests (which may contain modules), beside `broken` and `pinned_drop`."""
    top = tmp_path_factory.mktemp("edited")
    shutil.copytree(
        resources.rust("drivers"),
        top,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("tests", ".vscode", "rust-project.json", "compile_commands.json"),
    )
    shutil.copytree(Path(__file__).parents[1] / "fixtures/pinned_drop", top / "pinned_drop")
    shutil.copytree(top / "hello", top / "broken")
    with (top / "broken/hello.rs").open("a") as source:
        source.write(WRONG)
    yield top
    for kbuild in top.rglob("Kbuild"):
        output = Module(kbuild.parent).output(kernel).parent
        if output.exists():
            home.remove(output)


@pytest.fixture(scope="session")
def drivers(kernel: Kernel, folders: Path) -> dict[str, EditorFiles]:
    """Result of `r4l ide` for each driver."""
    found = sorted(kbuild.parent for kbuild in folders.rglob("Kbuild"))
    return {str(folder.relative_to(folders)): ide.for_module(Module(folder), kernel) for folder in found}


@pytest.fixture(scope="session")
def tree(kernel: Kernel) -> EditorFiles:
    """Result of `r4l ide --tree`."""
    return ide.for_tree(kernel)


@pytest.fixture(scope="session")
def rust_analyzer(drivers: dict[str, EditorFiles]) -> Iterator[LanguageServer]:
    """rust-analyzer with the projects of `drivers` and of the kernel loaded."""
    with check.rust_analyzer(*drivers.values()) as server:
        yield server


@pytest.fixture(scope="module")
def clangd(tree: EditorFiles) -> Iterator[LanguageServer]:
    """clangd in the kernel's tree."""
    with check.clangd(tree) as server:
        yield server
