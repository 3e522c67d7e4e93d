# SPDX-License-Identifier: MIT
"""Drivers removed from a kernel's tree, also after interrupts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.graft import changes as graft_changes
from r4l.graft import graft, remove
from r4l.graft.record import GraftRecord

E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


def test_out_again_is_as_before(tree: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]) -> None:
    graft(E1000, tree)
    graft(HELLO, tree)
    remove(str(E1000), tree)
    assert set(texts(tree)) - set(original) == {"samples/rust/hello.rs"}
    remove("hello", tree)
    assert texts(tree) == original
    assert not (tree / "rust/kit").exists()
    assert not (tree / "drivers/net/r4l_e1000").exists()
    with pytest.raises(UsageError, match=r"r4l has put no driver hello into"):
        remove("hello", tree)


def test_the_kit_stays_while_somebody_needs_it(
    tree: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str], own: Callable[..., Path]
) -> None:
    graft(E1000, tree)
    kbuild = "obj-m := x.o\nx-y := main.o\ninclude $(R4L_KIT)/kit.mk\n"
    other = graft(own("x", kbuild, main_rs="\n"), tree)
    assert not other.kit
    remove("r4l_e1000", tree)
    assert (tree / "rust/kit/in-tree.mk").exists()
    assert "kit/in-tree.mk" in (tree / "rust/Makefile").read_text()
    remove("x", tree)
    assert texts(tree) == original


def test_edits_of_the_user_beside_it_stay(tree: Path, original: dict[str, str]) -> None:
    graft(HELLO, tree)
    makefile = tree / "samples/rust/Makefile"
    makefile.write_text("# mine\n" + makefile.read_text() + "obj-y += mine.o\n")
    remove("hello", tree)
    assert makefile.read_text() == "# mine\n" + original["samples/rust/Makefile"] + "obj-y += mine.o\n"


def test_edits_of_the_user_in_it_are_not_lost(
    tree: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
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
    assert set(texts(tree)) - set(original) == {"drivers/net/r4l_e1000/mine.rs"}, "a file of the user's stays"


def test_a_line_that_is_gone(tree: Path, texts: Callable[[Path], dict[str, str]]) -> None:
    graft(HELLO, tree)
    (tree / "samples/rust/Makefile").write_text("# empty\n")
    before = texts(tree)
    with pytest.raises(UsageError, match=r"samples/rust/Makefile no longer contains"):
        remove("hello", tree)
    assert texts(tree) == before


@pytest.mark.parametrize("half_a_file", [False, True])
def test_what_an_interrupt_left_can_be_taken_out(
    tree: Path, half_a_file: bool, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
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
    assert texts(tree) != original
    assert any(".partial-" in path for path in texts(tree)) == half_a_file
    remove("r4l_e1000", tree)
    assert texts(tree) == original


def test_ctrl_c_leaves_the_tree_as_it_was(
    tree: Path, monkeypatch: pytest.MonkeyPatch, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
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
    assert texts(tree) == original
    assert not GraftRecord.load(tree).entries


@pytest.mark.parametrize("committed", [True, False])
def test_the_kit_stays_under_a_driver(committed: bool, repository: Path, git: Callable[..., str]) -> None:
    graft(E1000, repository, commit=committed)
    before = git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")
    with pytest.raises(UsageError, match="the kit is needed by r4l_e1000"):
        remove("kit", repository)
    assert (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")) == before
    assert remove("r4l_e1000", repository).kit


def test_a_driver_may_have_the_kits_name(tree: Path, own: Callable[..., Path]) -> None:
    graft(E1000, tree)
    graft(own("kit", "obj-m := kit.o\n", kit_rs="\n"), tree)
    assert remove("kit", tree).new == ("samples/rust/kit.rs",)
    assert (tree / "rust/kit").is_dir()
    assert remove("r4l_e1000", tree).kit


ODD = {
    "CRLF": b"config A\r\n\tbool\r\n\r\nif A\r\n\r\nendif # A\r\n",
    "Latin-1": b"# M\xfcller\nconfig A\n\tbool\n",
    "form feed": b"# one\x0ctwo\nconfig A\n\x0c\n\tbool\n\x1c\n",
    "U+2028": "# one\u2028two\u0085three\nconfig A\n".encode(),
    "CR": b"# one\rtwo\nconfig A\n",
    "no end": b"config A\n\tbool",
    "CRLF, no end": b"config A\r\n\tbool",
    "empty": b"",
}


@pytest.mark.parametrize("content", ODD.values(), ids=list(ODD))
def test_bytes_of_others_stay(
    content: bytes, repository: Path, tmp_path: Path, own: Callable[..., Path], git: Callable[..., str]
) -> None:
    for name in ("Kconfig", "Kbuild"):
        (repository / "drivers/misc" / name).write_bytes(content)
    git(repository, "-c", "core.autocrlf=false", "commit", "-qam", "odd")
    source = "// page\x0cbreak\n\x0c\n\u2028fn\u0085 a() {}\x1c\n"
    folder = own("odd", "obj-m := odd.o\n", odd_rs=source)
    graft(folder, repository, wanted="drivers/misc", patch=tmp_path / "x.patch")
    graft(folder, repository, wanted="drivers/misc", commit=False)
    files = [f"drivers/misc/{name}" for name in ("Kconfig", "Kbuild", "odd.rs")]
    after = [(repository / file).read_bytes() for file in files]
    assert after[0].startswith(content[:20])
    assert (b"\r\n" in after[1]) == (b"\n" not in after[1].replace(b"\r\n", b"")) == (b"\r\n" in content)
    remove("odd", repository)
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / files[0]).read_bytes() == content
    git(repository, "apply", str(tmp_path / "x.patch"))
    assert [(repository / file).read_bytes() for file in files] == after
