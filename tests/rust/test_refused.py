# SPDX-License-Identifier: MIT
"""The rules that the kit's types carry: the shortest safe code that breaks one does not compile (refused/)."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.module.errors_in import CompilerError, errors_in

FOLDER = Path(__file__).with_name("refused")
RULES: dict[str, dict[str, str]] = tomllib.loads((FOLDER / "refused.toml").read_text(encoding="utf-8"))
ROUNDS = 6
"""The compiler's passes, each of which says nothing where one before it has found an error, and one for the rest."""

Refused = Mapping[str, list[CompilerError]]


def compiled(folder: Path, kernel: Kernel, names: list[str]) -> list[CompilerError]:
    """The errors of the driver with these snippets and all code that is right."""
    modules = [
        f"mod {name};\n" for name in (*names, *(f"{name}_right" for name, row in RULES.items() if "right" in row))
    ]
    (folder / "main.rs").write_text((FOLDER / "main.rs").read_text() + "".join(modules))
    lines: list[str] = []
    try:
        Module(folder).build(kernel, say=lines.append)
    except BuildError:
        return [error for error in errors_in("\n".join(lines)) if error.place]
    return []


@pytest.fixture(scope="session")
def refused(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """The errors of each snippet. Those that a pass of the compiler has refused are left out of the next round."""
    folder = tmp_path_factory.mktemp("refused") / "refused"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.toml"))
    for name, row in RULES.items():
        (folder / f"{name}.rs").write_text(f"use super::*;\n{row['code']}\n")
        if "right" in row:
            (folder / f"{name}_right.rs").write_text(f"use super::*;\n{row['right']}\n")
    said: dict[str, list[CompilerError]] = {}
    for _ in range(ROUNDS):
        found = compiled(folder, kernel, [name for name in RULES if name not in said])
        if not found:
            return said
        for error in found:
            name = Path(error.place.rpartition(":")[0]).stem
            assert name in RULES, error.text
            said.setdefault(name, []).append(error)
    pytest.fail(f"after {ROUNDS} rounds there are still errors")


@pytest.mark.parametrize("name", RULES)
def test_what_breaks_a_rule_does_not_compile(refused: Refused, name: str) -> None:
    row = RULES[name]
    assert name in refused, f"{row['rule']}: this compiles:\n{row['code']}"
    heads = [error.head for error in refused[name]]
    code = rf"error\[(?:{row['error']})\]: " if row["error"] else "error: "
    assert any(re.match(code, head) and re.search(row["says"], head) for head in heads), heads
