# SPDX-License-Identifier: MIT
"""Rust of another month: complete drivers from that time, compiled in one run of make and explained."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.known import Explanation
from r4l.module import Module
from r4l.module.diagnose import diagnose

FIXTURES = Path(__file__).parents[1] / "fixtures/drift/rust"
TOLD = {
    "pci_617": [
        ("macro-tokens", "leave the second name out"),
        ("trait-method-type", "(rust/kernel/pci.rs:"),
        ("trait-method-type", "id_info: Option<&'bound Self::IdInfo>"),
        ("trait-item-missing", "type Data<'bound> = Self;"),
    ],
    "pci_618": [("lifetime-missing", "DevresBar<SIZE>"), ("trait-item-missing", "(rust/kernel/pci.rs:")],
    "pci_new": [("argument-type", "`pci::Vendor::REDHAT`"), ("trait-method-type", "write `type Data<'bound> = Self;`")],
    "plat": [("macro-tokens", "of_device_table!"), ("trait-item-missing", "(rust/kernel/platform.rs:")],
    "misc": [
        ("trait-method-parameters", "`open` of the trait `MiscDevice`"),
        ("trait-method-parameters", "_misc: &Misc"),
    ],
    "uslice": [("argument-type", "UserPtr::from_addr(address)")],
    "inlinec": [
        ("inline-c", "`pci_enable_msix_exact`: in include/linux/pci.h:"),
        ("inline-c", "`kmalloc`: in include/linux/slab.h:"),
        ("inline-c", "`no_such_function_at_all`: the headers"),
    ],
    "barebind": [("kernels-crate", "`use kernel::bindings;`")],
    "lastcomma": [("module-macro-comma", "the last one too")],
    "mutexinit": [("path-unknown", "new_mutex!(value)"), ("macro-unknown", "new_mutex!(value)")],
    "miscmod": [("path-unknown", "MiscDeviceRegistration")],
    "miscmod2": [("macro-unknown", "MiscDeviceRegistration")],
    "camp": [
        ("path-unknown", "`kernel::pci::Resource`"),
        ("path-unknown", "`kernel::device::RawDevice`"),
        ("path-unknown", "`kernel::dma::Allocation`"),
        ("path-unknown", "`kernel::delay`"),
        ("path-unknown", "rust/kit/README.md"),
    ],
}
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
