# SPDX-License-Identifier: MIT
"""Drivers put into a kernel's tree and taken out again: the files, in a tree that is small. No compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from r4l import resources
from r4l.errors import EnvironmentFault, UsageError
from r4l.graft import changes as graft_changes
from r4l.graft import depends, driver, graft, remove
from r4l.graft.record import Record

LIB = """// SPDX-License-Identifier: GPL-2.0
pub mod alloc;
#[cfg(CONFIG_AUXILIARY_BUS)]
pub mod auxiliary;
#[cfg(CONFIG_I2C = "y")]
pub mod i2c;
#[cfg(CONFIG_NET)]
pub mod net;
#[doc(hidden)]
#[cfg(any(CONFIG_OF, all(CONFIG_ACPI, not(CONFIG_UML))))]
// Why.
pub mod odd;
#[cfg(CONFIG_PCI)]
pub mod pci;
#[cfg(not(testlib))]
pub mod other;
"""

TREE = {
    "Makefile": "VERSION = 7\nPATCHLEVEL = 3\n",
    "Kconfig": 'source "drivers/Kconfig"\n',
    "rust/Makefile": "ifdef CONFIG_RUST\n\nendif # CONFIG_RUST\n",
    "rust/kernel/lib.rs": LIB,
    "init/Kconfig": (
        'config RUST\n\tbool "Rust support"\n\nconfig AUXILIARY_BUS\n\tbool\n\nconfig E1000\n\ttristate "e1000"\n'
    ),
    "drivers/Kconfig": 'menu "Device Drivers"\n\nsource "drivers/net/Kconfig"\n\nendmenu\n',
    "drivers/Makefile": "obj-y += net/\n",
    "drivers/net/Kconfig": 'menuconfig NETDEVICES\n\tbool "Network"\n\nif NETDEVICES\n\nendif # NETDEVICES\n',
    "drivers/net/Makefile": "obj-$(CONFIG_LOOPBACK) += loopback.o\n",
    "drivers/misc/Kconfig": "# empty\n",
    "drivers/misc/Kbuild": "# no newline at its end",
    "samples/rust/Kconfig": "if SAMPLES_RUST\n\nendif # SAMPLES_RUST\n",
    "samples/rust/Makefile": "obj-$(CONFIG_SAMPLE_RUST_MINIMAL) += rust_minimal.o\n",
}

E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The top of a kernel, as much of it as matters here."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    tree = tmp_path / "linux"
    for path, text in TREE.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    return tree


@pytest.fixture
def repository(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as a git repository with one commit."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "李 Hua")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "li@example.org")
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "base")
    return tree


def git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def texts(tree: Path) -> dict[str, str]:
    files = (path for path in tree.rglob("*") if path.is_file() and ".git" not in path.relative_to(tree).parts)
    return {str(path.relative_to(tree)): path.read_text() for path in files}


def own(tmp_path: Path, name: str, kbuild: str, **files: str) -> Path:
    """A driver's folder of the test's own."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "Kbuild").write_text(kbuild)
    for file, text in files.items():
        (folder / file.replace("_rs", ".rs").replace("_c", ".c")).write_text(text)
    return folder


# -- in -----------------------------------------------------------------------------------------------------------


@pytest.mark.row("B3")
def test_a_single_file_goes_among_the_samples(tree: Path) -> None:
    done = graft(HELLO, tree)
    assert (done.folder, done.symbol, done.kit) == ("samples/rust", "SAMPLE_RUST_HELLO", False)
    after = texts(tree)
    assert set(after) - set(TREE) == {"samples/rust/hello.rs"}
    assert after["samples/rust/hello.rs"] == (HELLO / "hello.rs").read_text()
    kconfig = after["samples/rust/Kconfig"]
    assert kconfig.index("if SAMPLES_RUST") < kconfig.index("config SAMPLE_RUST_HELLO") < kconfig.index("endif")
    assert '\ttristate "Hello world in Rust"\n\tdepends on RUST\n\thelp\n' in kconfig
    assert after["samples/rust/Makefile"].endswith("obj-$(CONFIG_SAMPLE_RUST_HELLO) += hello.o\n")
    assert {path for path, text in TREE.items() if after[path] != text} == set(done.changed)


@pytest.mark.row("B3")
def test_a_driver_with_the_kit(tree: Path) -> None:
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
    assert "include $(src)/kit/in-tree.mk\n\nendif # CONFIG_RUST" in after["rust/Makefile"]
    assert 'source "rust/kit/Kconfig"\n\nendmenu' in after["drivers/Kconfig"]
    kit = {path.removeprefix("rust/kit/") for path in after if path.startswith("rust/kit/")}
    assert {"Kconfig", "in-tree.mk", "kit.mk", "bindgen.mk", "c/exports.c", "c/bindgen_parameters", "src/kit.rs"} <= kit


def test_a_folder_that_is_to_be_made_or_is_there(tree: Path, tmp_path: Path) -> None:
    assert graft(HELLO, tree, wanted="drivers/misc/greeter").folder == "drivers/misc/greeter"
    after = texts(tree)
    assert after["drivers/misc/Kbuild"] == "# no newline at its end\nobj-$(CONFIG_HELLO) += greeter/\n"
    assert after["drivers/misc/greeter/Makefile"].endswith("obj-$(CONFIG_HELLO) := hello.o\n")
    folder = own(tmp_path, "two", "obj-m := two.o\ntwo-y := main.o part.o\n", main_rs="mod x;\n", part_c="int x;\n")
    done = graft(folder, tree, wanted="drivers/misc", symbol="CONFIG_SECOND")
    assert (done.folder, done.symbol) == ("drivers/misc/two", "SECOND")


def test_what_a_driver_uses_becomes_what_it_depends_on(tree: Path, tmp_path: Path) -> None:
    source = """// kernel::i2c is only spoken of.
use kernel::{
    auxiliary, odd::{self, other}, prelude::*,
};
fn f() { kernel::net::phy() }
module! { description: "A \\"quoted\\" driver", }
"""
    done = graft(own(tmp_path, "many", "obj-m := many.o\n", many_rs=source), tree, wanted="drivers/misc")
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


def test_a_template_that_checks_for_the_kit(tree: Path, tmp_path: Path) -> None:
    kbuild = "ifndef R4L_KIT\n$(error none)\nendif\n\nobj-m := x.o\nx-y := main.o \\\n\tother.o\n"
    kbuild += "\ninclude $(R4L_KIT)/kit.mk\n"
    folder = own(tmp_path, "x", kbuild, main_rs="use kernel::net;\n", other_c="int y;\n")
    done = graft(folder, tree)
    makefile = (tree / done.folder / "Makefile").read_text()
    assert makefile.split("\n", 2)[2] == (
        "obj-$(CONFIG_X) := x.o\nx-y := main.o \\\n\tother.o\nRUSTFLAGS_main.o += -Cmetadata=x\n\n"
        "include $(srctree)/rust/kit/kit.mk\n"
    )


def test_hard_links_are_not_written_through(tree: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-al", str(tree), str(tmp_path / "original")], check=True)
    graft(E1000, tree)
    assert texts(tmp_path / "original") == TREE


# -- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"wanted": "../x"}, "is no path inside"),
        ({"wanted": "/etc"}, "is no path inside"),
        ({"wanted": "a b"}, "is no path inside"),
        ({"wanted": "fs/foo"}, "fs of the kernel's tree has no Kconfig"),
        ({"wanted": "rust"}, "rust of the kernel's tree has no Kconfig"),
        ({"symbol": "E1000"}, "has an option E1000 already"),
        ({"symbol": "my-driver"}, "is no name for an option"),
    ],
)
def test_places_that_cannot_be(tree: Path, arguments: dict[str, str], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        graft(HELLO, tree, **arguments)  # type: ignore[arg-type]
    assert texts(tree) == TREE


def test_what_is_no_driver_and_what_is_no_tree(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no kernel tree"):
        graft(HELLO, tmp_path)
    with pytest.raises(UsageError, match="holds no module"):
        graft(tree / "init", tree)
    with pytest.raises(UsageError, match=r"has 2 modules: a, b"):
        graft(own(tmp_path, "both", "obj-m := a.o b.o\n", a_rs="", b_rs=""), tree)
    with pytest.raises(UsageError, match=r"has no source for gone\.o"):
        graft(own(tmp_path, "gone", "obj-m := gone.o\n"), tree)
    (tree / "rust/kernel/lib.rs").unlink()
    with pytest.raises(UsageError, match="has no Rust"):
        graft(HELLO, tree)


def test_twice(tree: Path) -> None:
    graft(HELLO, tree)
    before = texts(tree)
    with pytest.raises(UsageError, match="is in the kernel's tree already"):
        graft(HELLO, tree)
    assert texts(tree) == before


def test_a_kit_of_another_version(tree: Path) -> None:
    graft(E1000, tree)
    (tree / "rust/kit/src/kit.rs").write_text("// other\n")
    shutil.rmtree(tree / "drivers/net/r4l_e1000")
    with pytest.raises(UsageError, match=r"it is not this one: rust/kit/src/kit\.rs"):
        graft(E1000, tree, wanted="drivers/misc")


def test_a_failure_leaves_the_tree_as_it_was(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert texts(tree) == TREE
    assert not Record.load(tree).entries


# -- out ----------------------------------------------------------------------------------------------------------


def test_out_again_is_as_before(tree: Path) -> None:
    graft(E1000, tree)
    graft(HELLO, tree)
    remove(str(E1000), tree)
    assert set(texts(tree)) - set(TREE) == {"samples/rust/hello.rs"}
    remove("hello", tree)
    assert texts(tree) == TREE
    assert not (tree / "rust/kit").exists()
    assert not (tree / "drivers/net/r4l_e1000").exists()
    with pytest.raises(UsageError, match=r"hello is not in .* or was not put there"):
        remove("hello", tree)


def test_the_kit_stays_while_somebody_needs_it(tree: Path, tmp_path: Path) -> None:
    graft(E1000, tree)
    kbuild = "obj-m := x.o\nx-y := main.o\ninclude $(R4L_KIT)/kit.mk\n"
    other = graft(own(tmp_path, "x", kbuild, main_rs="\n"), tree)
    assert not other.kit
    remove("r4l_e1000", tree)
    assert (tree / "rust/kit/in-tree.mk").exists()
    assert "kit/in-tree.mk" in (tree / "rust/Makefile").read_text()
    remove("x", tree)
    assert texts(tree) == TREE


def test_edits_of_the_user_beside_it_stay(tree: Path) -> None:
    graft(HELLO, tree)
    makefile = tree / "samples/rust/Makefile"
    makefile.write_text("# mine\n" + makefile.read_text() + "obj-y += mine.o\n")
    remove("hello", tree)
    assert makefile.read_text() == "# mine\n" + TREE["samples/rust/Makefile"] + "obj-y += mine.o\n"


def test_edits_of_the_user_in_it_are_not_lost(tree: Path) -> None:
    graft(E1000, tree)
    edited = tree / "drivers/net/r4l_e1000/main.rs"
    edited.write_text(edited.read_text() + "// mine\n")
    before = texts(tree)
    with pytest.raises(UsageError, match=r"drivers/net/r4l_e1000/main\.rs changed since"):
        remove("r4l_e1000", tree)
    assert texts(tree) == before
    edited.write_text(edited.read_text().removesuffix("// mine\n"))
    (tree / "drivers/net/r4l_e1000/mine.rs").write_text("// mine\n")
    remove("r4l_e1000", tree)
    assert set(texts(tree)) - set(TREE) == {"drivers/net/r4l_e1000/mine.rs"}, "a file of the user's stays"


def test_a_line_that_is_gone(tree: Path) -> None:
    graft(HELLO, tree)
    (tree / "samples/rust/Makefile").write_text("# empty\n")
    before = texts(tree)
    with pytest.raises(UsageError, match=r"samples/rust/Makefile no longer has"):
        remove("hello", tree)
    assert texts(tree) == before


@pytest.mark.parametrize("half_a_file", [False, True])
def test_what_an_interrupt_left_can_be_taken_out(tree: Path, half_a_file: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = f"""
import os, signal
from pathlib import Path
from r4l.graft import changes, graft
write, count = changes.write, 0
def kill(path, final):
    os.kill(os.getpid(), signal.SIGKILL)
def killed(path, text):
    global count
    count += 1
    if count == 20:
        if {half_a_file}:
            Path.rename = kill
        else:
            kill(path, path)
    write(path, text)
changes.write = killed
graft(Path({str(E1000)!r}), Path({str(tree)!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == -9
    assert texts(tree) != TREE
    assert any(".partial-" in path for path in texts(tree)) == half_a_file
    remove("r4l_e1000", tree)
    assert texts(tree) == TREE


def test_ctrl_c_leaves_the_tree_as_it_was(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = graft_changes.write

    def interrupted(path: Path, text: str) -> None:
        write(path, text)
        if path.name == "main.rs":
            monkeypatch.undo()
            monkeypatch.setenv("R4L_HOME", str(tree.parent / "home"))
            raise KeyboardInterrupt

    monkeypatch.setattr(graft_changes, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        graft(E1000, tree)
    assert texts(tree) == TREE
    assert not Record.load(tree).entries


# -- git and patches ----------------------------------------------------------------------------------------------


def test_as_a_commit_and_out_by_another(repository: Path) -> None:
    (repository / "drivers/net/mine.c").write_text("int mine;\n")
    git(repository, "add", "drivers/net/mine.c")
    done = graft(E1000, repository, commit=True)
    assert git(repository, "rev-parse", "HEAD").strip() == done.commit
    assert git(repository, "status", "--porcelain") == "A  drivers/net/mine.c\n", "the user's own stays as it was"
    assert git(repository, "log", "-1", "--format=%s") == "drivers/net/r4l_e1000: add r4l_e1000\n"
    touched = git(repository, "show", "--name-only", "--format=").split()
    assert sorted(touched) == sorted([*done.new, *done.changed])
    remove("r4l_e1000", repository, commit=True)
    assert git(repository, "diff", "--stat", "HEAD~2", "HEAD") == ""
    assert git(repository, "status", "--porcelain") == "A  drivers/net/mine.c\n"


@pytest.mark.parametrize("staged", [False, True])
def test_dirty_files_are_not_committed(repository: Path, staged: bool) -> None:
    makefile = repository / "samples/rust/Makefile"
    makefile.write_text(makefile.read_text() + "# mine\n")
    if staged:
        git(repository, "add", "samples/rust/Makefile")
    before = texts(repository)
    with pytest.raises(UsageError, match=r"samples/rust/Makefile in .* has changes that are not committed"):
        graft(HELLO, repository, commit=True)
    assert texts(repository) == before
    assert graft(E1000, repository, commit=True).commit, "elsewhere it can be dirty"


def no_commits(repository: Path) -> Path:
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no commits today >&2\nexit 1\n")
    hook.chmod(0o755)
    return hook


def test_a_commit_that_git_refuses(repository: Path) -> None:
    no_commits(repository)
    with pytest.raises(EnvironmentFault, match="no commits today"):
        graft(HELLO, repository, commit=True)
    assert texts(repository) == TREE
    assert git(repository, "status", "--porcelain") == ""


def test_a_removal_that_git_refuses(repository: Path) -> None:
    graft(E1000, repository)
    before = texts(repository)
    hook = no_commits(repository)
    with pytest.raises(EnvironmentFault, match="no commits today"):
        remove("r4l_e1000", repository)
    assert texts(repository) == before
    assert git(repository, "status", "--porcelain") == ""
    hook.unlink()
    assert remove("r4l_e1000", repository).commit
    assert texts(repository) == TREE


def test_a_repository_gets_a_commit_unless_told_otherwise(repository: Path) -> None:
    assert graft(HELLO, repository).commit == git(repository, "rev-parse", "HEAD").strip()
    assert remove("hello", repository).commit == git(repository, "rev-parse", "HEAD").strip()
    assert graft(HELLO, repository, commit=False).commit is None
    assert "?? samples/rust/hello.rs" in git(repository, "status", "--porcelain")
    assert remove("hello", repository).commit is None, "it came as none"
    assert git(repository, "status", "--porcelain") == ""
    assert texts(repository) == TREE


def test_what_git_undid_is_there_no_more(repository: Path) -> None:
    graft(E1000, repository)
    git(repository, "branch", "driver")
    git(repository, "reset", "-q", "--hard", "HEAD~1")
    with pytest.raises(UsageError, match="r4l_e1000 is not in"):
        remove("r4l_e1000", repository)
    graft(HELLO, repository)
    git(repository, "checkout", "-q", "driver")
    remove("r4l_e1000", repository)
    assert texts(repository) == TREE
    git(repository, "checkout", "-q", "-")
    remove("hello", repository)
    assert texts(repository) == TREE


def test_a_tree_without_git(tree: Path) -> None:
    with pytest.raises(UsageError, match="is no git repository"):
        graft(HELLO, tree, commit=True)
    assert texts(tree) == TREE


@pytest.mark.parametrize("tool", [["git", "am", "-q"], ["patch", "-s", "-p1", "-i"]])
def test_a_patch_makes_the_same(repository: Path, tmp_path: Path, tool: list[str]) -> None:
    patch = tmp_path / "e1000.patch"
    graft(E1000, repository, wanted="drivers/misc", patch=patch)
    assert texts(repository) == TREE, "the tree is left alone"
    if shutil.which(tool[0]) is None:
        raise AssertionError(f"this test needs {tool[0]}")
    subprocess.run([*tool, str(patch)], cwd=repository, check=True)
    patched = texts(repository)
    if tool[0] == "git":
        assert git(repository, "log", "-1", "--format=%an <%ae>") == "李 Hua <li@example.org>\n"
        assert git(repository, "log", "-1", "--format=%s") == "drivers/misc/r4l_e1000: add r4l_e1000\n"
    git(repository, "reset", "-q", "--hard", "HEAD~1" if tool[0] == "git" else "HEAD")
    git(repository, "clean", "-qfdx")
    graft(E1000, repository, wanted="drivers/misc")
    assert texts(repository) == patched


# -- the command --------------------------------------------------------------------------------------------------


def test_the_command(tree: Path, tmp_path: Path) -> None:
    def r4l(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "r4l", "graft", *arguments, "--into", str(tree)]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = r4l(str(HELLO), "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["symbol"] == "SAMPLE_RUST_HELLO"
    assert said["new"] == ["samples/rust/hello.rs"]
    assert said["changed"] == ["samples/rust/Kconfig", "samples/rust/Makefile"] or said["changed"] == sorted(
        said["changed"]
    )
    again = r4l(str(HELLO), "--json")
    assert again.returncode == 2
    assert "already" in json.loads(again.stdout)["cause"]
    out = r4l("hello", "--remove")
    assert out.returncode == 0, out.stderr
    assert "- samples/rust/hello.rs" in out.stderr
    assert texts(tree) == TREE
    assert r4l(str(HELLO), "--commit", "--patch", "x").returncode == 2
    assert r4l("hello", "--remove", "--as", "x").returncode == 2


def test_what_a_driver_is() -> None:
    e1000 = driver.look(E1000)
    assert (e1000.name, e1000.root, e1000.kit, e1000.single) == ("r4l_e1000", "main.rs", True, False)
    assert {"pci", "device", "sync"} <= e1000.uses()
    assert e1000.description == "Intel 82540EM Gigabit Ethernet, in Rust"
    assert driver.look(resources.rust("drivers", "c_from_rust")).bindgen
