# SPDX-License-Identifier: MIT
"""`r4l graft` itself, and the folders that it accepts as drivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kconfiglib
import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.graft import driver, graft, remove

E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


def test_the_command(
    tree: Path, tmp_path: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
    def r4l(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "r4l", "graft", *arguments, "--into", str(tree)]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = r4l(str(HELLO), "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["symbol"] == "SAMPLE_RUST_HELLO"
    assert said["new"] == ["samples/rust/hello.rs"]
    assert said["changed"] == ["samples/rust/Kconfig", "samples/rust/Makefile"]
    again = r4l(str(HELLO), "--json")
    assert again.returncode == 2
    assert "already" in json.loads(again.stdout)["cause"]
    out = r4l("hello", "--remove")
    assert out.returncode == 0, out.stderr
    assert "- samples/rust/hello.rs" in out.stderr
    assert texts(tree) == original
    assert r4l(str(HELLO), "--commit", "--patch", "x").returncode == 2
    assert r4l("hello", "--remove", "--as", "x").returncode == 2
    assert r4l(str(E1000), "--series", "out", "--patch", "x").returncode == 2
    assert "series.toml" in r4l(str(HELLO), "--series", "out").stderr
    assert not (tmp_path / "out").exists()


def test_what_a_driver_is() -> None:
    e1000 = driver.read_driver(E1000)
    assert (e1000.name, e1000.root, e1000.kit, e1000.single) == ("r4l_e1000", "main.rs", True, False)
    assert {"pci", "device", "sync"} <= e1000.uses()
    assert e1000.description == "Intel 82540, 82544, 82545, 82546 Gigabit Ethernet, in Rust"
    assert driver.read_driver(resources.rust("drivers", "c_from_rust")).bindgen


def test_a_patch_goes_where_a_link_or_a_pipe_leads(tree: Path, tmp_path: Path) -> None:
    real, link, pipe = (tmp_path / each for each in ("real", "link", "pipe"))
    real.write_text("old")
    link.symlink_to(real)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for patch in (link, pipe):
        graft(HELLO, tree, patch=patch)
    read = os.read(reader, 1 << 16).decode()
    os.close(reader)
    assert link.is_symlink()
    assert pipe.is_fifo()
    assert read.partition("\nSubject:")[2] == real.read_text().partition("\nSubject:")[2] != ""


@pytest.mark.parametrize(
    ("literals", "text"),
    [
        (r'"a \"b\" \\ c"', r'a "b" \ c'),
        ('"does \\\n        one thing"', "does one thing"),
        ('"does\n        one thing"', "does one thing"),
        (r'"A\n\tdriver"', "A driver"),
        (r'"bell\x07 \u{202e}right \033[31m"', "bell right [31m"),
        ('"one " "two"\n\t"three"', "one twothree"),
        ('"\u202eright\u2028 \x1b"', "right"),
        ('"' + "x" * 500 + '"', "x" * 200),
        ('""', ""),
    ],
)
def test_a_description_is_one_line(literals: str, text: str) -> None:
    assert driver.one_line(literals) == text


HOSTILE = {
    "shell": "costs $(shell,touch {pwned}) nothing",
    "brackets": "costs ${{shell,touch {pwned}}} or $(error-if,y,stop) $",
    "quotes": '\\" if m\n\tdefault y\n\tprompt \\"$(shell,touch {pwned})',
    "backslash": "a tail \\\\",
    "lines": "a\nconfig OTHER\n\tbool \\n endmenu",
    "author": "From: Somebody <somebody@else>",
    "end": "--- a/x\n---\ndiff --git a/x b/x\n",
    "mail": "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
}


@pytest.mark.parametrize("words", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("kind", ["rs", "c"])
def test_a_strangers_description_is_only_text(
    words: str, kind: str, repository: Path, tmp_path: Path, own: Callable[..., Path], git: Callable[..., str]
) -> None:
    said = words.format(pwned=tmp_path / "pwned")
    source = f'module! {{ description: "{said}", }}' if kind == "rs" else f'MODULE_DESCRIPTION("{said}");'
    folder = own("odd", "obj-m := odd.o\n", **{f"odd_{kind}": source + "\n"})
    patch = tmp_path / "x.patch"
    graft(folder, repository, wanted="drivers/misc/odd", patch=patch)
    done = graft(folder, repository, wanted="drivers/misc/odd")
    message = git(repository, "log", "-1", "--format=%B")
    assert message.startswith("drivers/misc/odd: add odd\n\nThe module odd: ")
    git(repository, "reset", "-q", "--hard", "HEAD^")
    git(repository, "am", "-q", str(patch))
    assert git(repository, "log", "-1", "--format=%an %B") == f"李 Hua {message}"
    lines = (repository / done.folder / "Kconfig").read_text().split("\n")
    assert [line for line in lines if line and not line.startswith(("\t", "#"))] == ["config ODD"]
    kconfig = tmp_path / "Kconfig"
    kconfig.write_text("\n".join(line for line in lines if "depends" not in line))
    (symbol,) = kconfiglib.Kconfig(str(kconfig), warn=False).unique_defined_syms
    ((prompt, _),) = ((node.prompt[0], node) for node in symbol.nodes)
    assert prompt == driver.read_driver(folder).description.replace('"', "'")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("kbuild", "names"),
    [
        ("obj-m := cm.o # formerly old.o\n", ["cm"]),
        ("# obj-m := old.o\nobj-m := cm.o\n", ["cm"]),
        ("ifeq ($(DEBUG),y)\nobj-m := cm.o\nelse\nobj-m := cm.o\nendif\n", ["cm"]),
        ("obj-m := cm.o # and \\\nold.o\ncm-y := main.o # formerly old.o\n", ["cm"]),
    ],
)
def test_modules_are_counted_once_and_not_in_comments(kbuild: str, names: list[str], own: Callable[..., Path]) -> None:
    found = driver.read_driver(own("cm", kbuild, cm_rs="\n", main_rs="\n"))
    assert [found.name] == names
    assert set(found.objects) <= {"main.o"}


@pytest.mark.parametrize("name", ["a\nb.h", 'a"b.h', "a\\b.h", "a\x07.h"])
def test_a_file_that_no_patch_can_name_is_refused(name: str, own: Callable[..., Path]) -> None:
    folder = own("odd", "obj-m := odd.o\n", odd_rs="\n")
    (folder / name).touch()
    with pytest.raises(UsageError, match="rename the file"):
        driver.read_driver(folder)


def test_parts_in_folders_of_their_own(tree: Path, own: Callable[..., Path]) -> None:
    """Regression: a module of core/main.o had no source."""
    kbuild = "obj-m := foo.o\nfoo-y := ./core/main.o \\\n\tcore/hw.o\n"
    folder = own("foo", kbuild)
    (folder / "core").mkdir()
    with pytest.raises(UsageError, match=r"add core/main\.rs or core/main\.c"):
        driver.read_driver(folder)
    (folder / "core/hw.c").write_text("\n")
    assert driver.read_driver(folder).root == "core/hw.c"
    (folder / "core/main.rs").write_text("use kernel::net;\n")
    done = graft(folder, tree, wanted="drivers/misc")
    makefile = (tree / done.folder / "Makefile").read_text()
    assert "RUSTFLAGS_core/main.o += -Cmetadata=foo\n" in makefile
    assert {"drivers/misc/foo/core/main.rs", "drivers/misc/foo/core/hw.c"} <= {*done.new}


def test_a_kbuild_in_latin_1(tree: Path, tmp_path: Path, own: Callable[..., Path]) -> None:
    """Regression: a comment of it was a bug in r4l."""
    folder = own("odd", "", odd_rs="\n", more_c="\n")
    (folder / "Kbuild").write_bytes(b"# M\xfcller\nobj-m := odd.o\nodd-y := odd_main.o more.o\n")
    graft(folder, tree, wanted="drivers/misc", patch=tmp_path / "x.patch")
    done = graft(folder, tree, wanted="drivers/misc")
    assert b"# M\xfcller\nobj-$(CONFIG_ODD) := odd.o\n" in (tree / done.folder / "Makefile").read_bytes()
    assert b"+# M\xfcller\n" in (tmp_path / "x.patch").read_bytes()
    assert remove("odd", tree).new == done.new
