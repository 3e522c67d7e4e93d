# SPDX-License-Identifier: MIT
"""rust-analyzer itself understands rust-project.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r4l import resources
from r4l.ide import EditorFiles, check, rust_project
from r4l.ide.lsp import LanguageServer
from r4l.kernel import Kernel

# A machine with much else to do is no failure.
pytestmark = pytest.mark.timeout(900)

DRIVERS = sorted(kbuild.parent.name for kbuild in resources.rust("drivers").glob("*/Kbuild"))


def crates(project: Path) -> dict[str, dict[str, Any]]:
    return {crate["display_name"]: crate for crate in json.loads(project.read_text())["crates"]}


def line(place: tuple[Path, int]) -> str:
    file, number = place
    return file.read_text().splitlines()[number - 1]


@pytest.mark.row("A14")
def test_the_project_of_the_kernel_has_its_crate_and_its_samples(
    kernel: Kernel, drivers: dict[str, EditorFiles], rust_analyzer: LanguageServer
) -> None:
    found = crates(drivers["hello"].projects[-1])
    assert found["kernel"]["root_module"] == str(kernel.source / "rust/kernel/lib.rs")
    assert {"core", "alloc", "bindings", "macros", "pin_init"} <= found.keys()
    sample = kernel.source / "samples/rust/rust_minimal.rs"
    assert str(sample) in [crate["root_module"] for crate in found.values()]
    rust_analyzer.open(sample, "rust")
    [place] = rust_analyzer.definition(sample, "numbers: KVec<i32>", "KVec")
    assert place[0] == kernel.source / "rust/kernel/alloc/kvec.rs"
    assert "pub type KVec<T>" in line(place)


@pytest.mark.row("A15")
def test_a_definition_in_the_kernel_is_found_from_a_driver(
    kernel: Kernel, drivers: dict[str, EditorFiles], rust_analyzer: LanguageServer
) -> None:
    main, chip = (drivers["e1000"].folder / name for name in ("main.rs", "chip.rs"))
    rust_analyzer.open(main, "rust")
    rust_analyzer.open(chip, "rust")
    [place] = rust_analyzer.definition(chip, "pci::DeviceId::from_id", "from_id")
    assert place[0].is_relative_to(kernel.source / "rust/kernel")
    assert "fn from_id" in line(place)
    [place] = rust_analyzer.definition(main, "impl PinInit<", "PinInit")
    assert "pub unsafe trait PinInit" in line(place)


@pytest.mark.row("A15")
def test_a_definition_in_the_kit_is_found_from_a_driver(
    drivers: dict[str, EditorFiles], rust_analyzer: LanguageServer
) -> None:
    main = drivers["e1000"].folder / "main.rs"
    rust_analyzer.open(main, "rust")
    [place] = rust_analyzer.definition(main, "impl kit::pci::Driver for", "Driver")
    assert place[0] == resources.kit() / "src/pci.rs"
    assert "pub trait Driver" in line(place)
    [place] = rust_analyzer.definition(main, "kit::pci_device_table!", "pci_device_table")
    assert "macro_rules! pci_device_table" in line(place)


@pytest.mark.row("A15")
def test_a_definition_in_generated_bindings_is_found_from_a_driver(
    drivers: dict[str, EditorFiles], rust_analyzer: LanguageServer
) -> None:
    main = drivers["c_from_rust"].folder / "main.rs"
    rust_analyzer.open(main, "rust")
    [place] = rust_analyzer.definition(main, "bindings::get_random_u32", "get_random_u32")
    assert place[0].name == "c_bindings.rs"
    assert "fn get_random_u32" in line(place)


@pytest.mark.row("A15")
@pytest.mark.parametrize("name", DRIVERS)
def test_every_name_of_a_driver_is_found(
    name: str, drivers: dict[str, EditorFiles], rust_analyzer: LanguageServer
) -> None:
    files = drivers[name]
    own = crates(files.projects[0])
    assert "kernel" in own
    sources = sorted(files.folder.rglob("*.rs"))
    assert files.folder in {(files.folder / crate["root_module"]).parent for crate in own.values()}
    assert files.broken is None
    # Of e1000, rust-analyzer does not know `len` of an array in the length of another array's type.
    understood = check.rust(rust_analyzer, sources, compiled=True)
    assert understood.files == tuple(sources)
    assert not understood.names
    assert not understood.errors


def test_what_rustc_compiles_is_no_complaint(drivers: dict[str, EditorFiles], rust_analyzer: LanguageServer) -> None:
    """Members behind `pin_init!` and the name in front of a `#[pinned_drop]`."""
    files = drivers["pinned_drop"]
    assert files.broken is None
    understood = check.rust(rust_analyzer, [files.folder / "pinned_drop.rs"], compiled=True)
    assert not understood.names
    assert not understood.errors
    assert "PinnedDrop is not found" in "\n".join(map(str, understood.limits)), "or rust-analyzer has learnt it"


def test_what_rustc_does_not_find_is_not_found(drivers: dict[str, EditorFiles], rust_analyzer: LanguageServer) -> None:
    files = drivers["broken"]
    assert files.broken
    assert "does not build" in files.broken.cause
    understood = check.rust(rust_analyzer, [files.folder / "hello.rs"])
    assert {name.name for name in understood.names} >= {"no_such_module", "no_such_function"}
    assert "Module" not in {name.name for name in understood.names}


@pytest.mark.row("A16")
@pytest.mark.parametrize("name", DRIVERS)
def test_what_is_indexed_is_what_is_built(name: str, kernel: Kernel, drivers: dict[str, EditorFiles]) -> None:
    for file in drivers[name].projects:
        project = json.loads(file.read_text())
        named = rust_project.paths(project, file.parent)
        assert len(named) > len(project["crates"])
        assert not [path for path in named if not path.exists()]
        found = crates(file)
        # The kernel's own files: from the tree, and with the configuration, that the module is built with.
        assert Path(found["kernel"]["root_module"]).is_relative_to(kernel.source)
        assert Path(found["kernel"]["env"]["OBJTREE"]) == kernel.build
        configured = {f'{option}="y"' for option, value in kernel.config.items() if value == "y"}
        assert configured <= set(found["kernel"]["cfg"])
    assert (kernel.source / "rust/kernel/dma.rs").is_file()


@pytest.mark.row("B8")
def test_an_editor_gets_two_projects_and_the_servers(drivers: dict[str, EditorFiles]) -> None:
    files = drivers["e1000"]
    assert files.settings == files.folder / ".vscode/settings.json"
    settings = json.loads(files.settings.read_text())
    own, kernels = (files.folder / project for project in settings["rust-analyzer.linkedProjects"])
    assert (own, kernels) == files.projects
    assert own == files.folder / "rust-project.json"
    assert {"main", "kit", "kernel"} <= crates(own).keys()
    assert "kernel" in crates(kernels)
    for key in ("rust-analyzer.server.path", "clangd.path"):
        with LanguageServer([settings[key]], files.folder) as server:
            assert server.capabilities["definitionProvider"]
