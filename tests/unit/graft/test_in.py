# SPDX-License-Identifier: MIT
"""Drivers added to a kernel's tree: places, written files, refusals. No compiler."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.graft import changes as graft_changes
from r4l.graft import depends, graft
from r4l.graft.record import GraftRecord

E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


@pytest.mark.row("B3")
def test_a_single_file_goes_among_the_samples(
    tree: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
    done = graft(HELLO, tree)
    assert (done.folder, done.symbol, done.kit) == ("samples/rust", "SAMPLE_RUST_HELLO", False)
    after = texts(tree)
    assert set(after) - set(original) == {"samples/rust/hello.rs"}
    assert after["samples/rust/hello.rs"] == (HELLO / "hello.rs").read_text()
    kconfig = after["samples/rust/Kconfig"]
    assert kconfig.index("if SAMPLES_RUST") < kconfig.index("config SAMPLE_RUST_HELLO") < kconfig.index("endif")
    assert '\ttristate "Hello world in Rust"\n\tdepends on RUST\n\thelp\n' in kconfig
    assert after["samples/rust/Makefile"].endswith("obj-$(CONFIG_SAMPLE_RUST_HELLO) += hello.o\n")
    assert {path for path, text in original.items() if after[path] != text} == set(done.changed)


@pytest.mark.row("B3")
def test_a_driver_with_the_kit(tree: Path, texts: Callable[[Path], dict[str, str]]) -> None:
    done = graft(E1000, tree)
    after = texts(tree)
    assert (done.folder, done.symbol, done.kit) == ("drivers/net/r4l_e1000", "R4L_E1000", True)
    assert {path for path in after if path.startswith(done.folder)} == {
        f"{done.folder}/{name}" for name in ("Kconfig", "Makefile", *(path.name for path in E1000.glob("*.rs")))
    }
    kconfig = after[f"{done.folder}/Kconfig"]
    for line in ("depends on RUST", "depends on PCI", "depends on INET", "select R4L_KIT"):
        assert f"\t{line}\n" in kconfig
    assert kconfig.count("depends on PCI") == 1
    makefile = after[f"{done.folder}/Makefile"]
    assert "obj-$(CONFIG_R4L_E1000) := r4l_e1000.o\n" in makefile
    assert "RUSTFLAGS_main.o += -Cmetadata=r4l_e1000\n" in makefile
    assert "include $(srctree)/rust/kit/kit.mk\n" in makefile
    assert "R4L_KIT" not in makefile
    assert 'source "drivers/net/r4l_e1000/Kconfig"\n\nendif # NETDEVICES' in after["drivers/net/Kconfig"]
    assert after["drivers/net/Makefile"].endswith("obj-$(CONFIG_R4L_E1000) += r4l_e1000/\n")
    assert after["rust/Makefile"].endswith("endif # CONFIG_RUST\ninclude $(src)/kit/in-tree.mk\n")
    assert 'source "rust/kit/Kconfig"\n\nendmenu' in after["drivers/Kconfig"]
    kit = {path.removeprefix("rust/kit/") for path in after if path.startswith("rust/kit/")}
    assert {"Kconfig", "in-tree.mk", "kit.mk", "bindgen.mk", "c/exports.c", "c/bindgen_parameters", "src/kit.rs"} <= kit


def test_a_folder_that_is_to_be_made_or_is_there(
    tree: Path, texts: Callable[[Path], dict[str, str]], own: Callable[..., Path]
) -> None:
    assert graft(HELLO, tree, wanted="drivers/misc/greeter").folder == "drivers/misc/greeter"
    after = texts(tree)
    assert after["drivers/misc/Kbuild"] == "# no newline at its end\nobj-$(CONFIG_HELLO) += greeter/\n"
    assert after["drivers/misc/greeter/Makefile"].endswith("obj-$(CONFIG_HELLO) := hello.o\n")
    folder = own("two", "obj-m := two.o\ntwo-y := main.o part.o\n", main_rs="mod x;\n", part_c="int x;\n")
    done = graft(folder, tree, wanted="drivers/misc", symbol="CONFIG_SECOND")
    assert (done.folder, done.symbol) == ("drivers/misc/two", "SECOND")


def test_what_a_driver_uses_becomes_what_it_depends_on(tree: Path, own: Callable[..., Path]) -> None:
    source = """// kernel::i2c is only spoken of.
use kernel::{
    auxiliary, odd::{self, other}, prelude::*,
};
fn f() { kernel::net::phy() }
module! { description: "A \\"quoted\\" driver", }
"""
    done = graft(own("many", "obj-m := many.o\n", many_rs=source), tree, wanted="drivers/misc")
    kconfig = (tree / done.folder / "Kconfig").read_text()
    assert (
        "\tdepends on RUST\n\tdepends on NET\n\tdepends on (OF || (ACPI && !UML))\n\tselect AUXILIARY_BUS\n" in kconfig
    )
    assert "I2C" not in kconfig
    assert "PCI" not in kconfig
    assert "tristate \"A 'quoted' driver\"" in kconfig


@pytest.mark.parametrize(
    ("condition", "expression"),
    [
        ("CONFIG_PCI", "PCI"),
        ('CONFIG_DRM = "y"', "DRM=y"),
        ("any(CONFIG_A, CONFIG_B)", "(A || B)"),
        ('all(CONFIG_A, not(CONFIG_B), any(CONFIG_C = "m"))', "(A && !B && (C=m))"),
        ("not(testlib)", None),
        ("test", None),
        ("all(CONFIG_A, test)", None),
    ],
)
def test_conditions(condition: str, expression: str | None) -> None:
    assert depends.kconfig_expression(condition) == expression


def test_a_template_that_checks_for_the_kit(tree: Path, own: Callable[..., Path]) -> None:
    kbuild = "ifndef R4L_KIT\n$(error none)\nendif\n\nobj-m := x.o\nx-y := main.o \\\n\tother.o\n"
    kbuild += "\ninclude $(R4L_KIT)/kit.mk\n"
    folder = own("x", kbuild, main_rs="use kernel::net;\n", other_c="int y;\n")
    done = graft(folder, tree)
    makefile = (tree / done.folder / "Makefile").read_text()
    assert makefile.split("\n", 2)[2] == (
        "obj-$(CONFIG_X) := x.o\nx-y := main.o \\\n\tother.o\nRUSTFLAGS_main.o += -Cmetadata=x\n\n"
        "include $(srctree)/rust/kit/kit.mk\n"
    )


def test_hard_links_are_not_written_through(
    tree: Path, tmp_path: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
    subprocess.run(["cp", "-al", str(tree), str(tmp_path / "original")], check=True)
    graft(E1000, tree)
    assert texts(tmp_path / "original") == original


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"wanted": "../x"}, "is not a path inside"),
        ({"wanted": "/etc"}, "is not a path inside"),
        ({"wanted": "a b"}, "is not a path inside"),
        ({"wanted": "fs/foo"}, "fs of the kernel's tree has no Kconfig"),
        ({"wanted": "rust"}, "rust of the kernel's tree has no Kconfig"),
        ({"symbol": "E1000"}, "has an option E1000 already"),
        ({"symbol": "my-driver"}, "is not a valid option name"),
    ],
)
def test_places_that_cannot_be(
    tree: Path, arguments: dict[str, str], cause: str, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match=cause):
        graft(HELLO, tree, **arguments)  # type: ignore[arg-type]
    assert texts(tree) == original


def test_what_is_no_driver_and_what_is_no_tree(tree: Path, tmp_path: Path, own: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="is not a kernel tree"):
        graft(HELLO, tmp_path)
    with pytest.raises(UsageError, match="holds no module"):
        graft(tree / "init", tree)
    with pytest.raises(UsageError, match=r"has 2 modules: a, b"):
        graft(own("both", "obj-m := a.o b.o\n", a_rs="", b_rs=""), tree)
    with pytest.raises(UsageError, match=r"has no source for gone\.o"):
        graft(own("gone", "obj-m := gone.o\n"), tree)
    (tree / "rust/kernel/lib.rs").unlink()
    with pytest.raises(UsageError, match="has no Rust"):
        graft(HELLO, tree)


def test_twice(tree: Path, texts: Callable[[Path], dict[str, str]]) -> None:
    graft(HELLO, tree)
    before = texts(tree)
    with pytest.raises(UsageError, match="is in the kernel's tree already"):
        graft(HELLO, tree)
    assert texts(tree) == before


def test_a_kit_of_another_version(tree: Path) -> None:
    graft(E1000, tree)
    (tree / "rust/kit/src/kit.rs").write_text("// other\n")
    shutil.rmtree(tree / "drivers/net/r4l_e1000")
    with pytest.raises(UsageError, match=r"another version of the kit: rust/kit/src/kit\.rs"):
        graft(E1000, tree, wanted="drivers/misc")


def test_a_failure_leaves_the_tree_as_it_was(
    tree: Path, monkeypatch: pytest.MonkeyPatch, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
    written = 0
    write = graft_changes.write

    def full_disk(path: Path, text: str) -> None:
        nonlocal written
        written += 1
        if written == 20:
            raise OSError(28, "No space left on device")
        write(path, text)

    monkeypatch.setattr(graft_changes, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        graft(E1000, tree)
    assert written > 20, "it wrote back"
    assert texts(tree) == original
    assert not GraftRecord.load(tree).entries
