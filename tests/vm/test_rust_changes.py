# SPDX-License-Identifier: MIT
"""Rust of another month: complete drivers from that time, compiled in one run of make and explained."""

from __future__ import annotations

import shutil
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.known import Explanation
from r4l.module import Module
from r4l.module.diagnose import diagnose

FIXTURES = Path(__file__).parents[1] / "fixtures/drift/rust"
TOLD: dict[str, list[list[str]]] = tomllib.loads((FIXTURES / "told.toml").read_text())
"""Entries that explain the errors of each file, with words of cause or remedy."""


@pytest.fixture(scope="module")
def told(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Explanation]]:
    """The explanations of each file's errors."""
    folder = tmp_path_factory.mktemp("rust")
    shutil.copytree(FIXTURES, folder, dirs_exist_ok=True)
    (folder / "Kbuild").write_text("".join(f"obj-m += {file.stem}.o\n" for file in sorted(folder.glob("*.rs"))))
    module = Module(folder)
    # One after the other, so that no two compilers print at once.
    done = module.make(kernel, "-k", "-j1", "modules")
    said = f"{done.stdout.decode()}\n{done.stderr.decode()}"
    found = defaultdict(list)
    for name in TOLD:
        parts = [part for part in said.split("\nerror") if f"> {name}.rs:" in part.partition("\nwarning")[0]]
        text = "".join(f"\nerror{part}" for part in parts)
        found[name] = list(diagnose(text, folder, kernel, lambda: ()).explanations)
    return found


@pytest.mark.row("A12")
@pytest.mark.parametrize("name", TOLD)
def test_each_error_is_told(told: dict[str, list[Explanation]], name: str) -> None:
    for entry, words in TOLD[name]:
        seen = [f"{why.cause} / {why.remedy}" for why in told[name] if why.name == entry]
        assert any(words in text for text in seen), (entry, words, told[name])


@pytest.mark.row("A12")
def test_no_method_is_looked_for_in_another_bus(told: dict[str, list[Explanation]]) -> None:
    causes = [why.cause for name in ("pci_methods", "devres", "device", "dma") for why in told[name]]
    assert not any("auxiliary.rs" in cause for cause in causes)


@pytest.mark.row("A12")
def test_the_constants_of_a_vtable_are_not_told(told: dict[str, list[Explanation]]) -> None:
    assert not any("HAS_READ" in why.cause for why in told["misc_read"])


@pytest.mark.row("A12")
def test_no_probe_is_that_of_another_bus(told: dict[str, list[Explanation]]) -> None:
    assert not any("auxiliary.rs" in why.cause for why in (*told["pci_617"], *told["pci_new"], *told["plat"]))


@pytest.mark.row("A12")
def test_the_camps_tree_wins_over_the_first_error(kernel: Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "camp"
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := camp2.o\n")
    shutil.copy(FIXTURES / "camp2.rs", folder)
    with pytest.raises(BuildError) as caught:
        Module(folder).build(kernel)
    error = caught.value
    assert "`kernel::pci::Resource`" in error.cause
    assert "rust/kit/README.md" in error.remedy
    names = [why.name for why in error.explanations]
    assert names[0] == "path-unknown"
    assert {"module-macro-key", "trait-method-parameters"} <= set(names[1:])
    assert "  remedy: write `authors: [" in error.detail
