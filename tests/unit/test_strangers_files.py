# SPDX-License-Identifier: MIT
"""Files of a stranger's folder that are no files, or never end, are read in bounded time and memory."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from r4l import home, user_tables
from r4l.errors import UsageError
from r4l.graft.driver import read_driver
from r4l.ide.check import rust_files
from r4l.ide.commands import recorded
from r4l.module import makefiles, own_rust, paths_in, unseen
from r4l.module.makefiles import beside
from r4l.paths import LARGEST, followed, require_for_make, require_text, text_or_none
from r4l.scope import load


def _hole(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a hole of a tebibyte": _hole,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a folder": Path.mkdir,
    "a socket": _socket,
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=list(KINDS))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The address of a socket is short.
    monkeypatch.chdir(tmp_path)


@kinds
def test_no_text(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises((UsageError, OSError)):
        require_text(tmp_path / "x")
    assert text_or_none(tmp_path / "x") == ""
    assert followed(tmp_path / "x").is_absolute()


def test_a_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\r\nb\rc\xff")
    assert text_or_none(tmp_path / "x") == "a\nb\nc\ufffd"
    with pytest.raises(UnicodeDecodeError):
        require_text(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"x" * LARGEST)
    assert len(require_text(tmp_path / "x")) == LARGEST
    with (tmp_path / "x").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UsageError, match="larger than 16 MiB"):
        require_text(tmp_path / "x")


@kinds
def test_a_project_file(make: Callable[[Path], object], tmp_path: Path) -> None:
    """Regression: r4l.toml as a hole took all memory."""
    make(tmp_path / "r4l.toml")
    with pytest.raises(UsageError, match=r"r4l\.toml"):
        user_tables.load(tmp_path / "r4l.toml")


@kinds
def test_sources_and_makefiles(make: Callable[[Path], object], tmp_path: Path) -> None:
    """Regression: the explanation of a failed build waited for a pipe, and one of a link in a circle stopped it."""
    for name in ("a.rs", "Makefile", "more.mk"):
        make(tmp_path / name)
    (tmp_path / "b.rs").write_text("module! {}\nuse kernel::pci::Device as Dev;\nstruct Mine;\n")
    (tmp_path / "Kbuild").write_text("obj-m := b.o\ninclude more.mk\n")
    assert "module!" in own_rust.text_of(tmp_path)
    assert own_rust.defines(tmp_path, "struct", "Mine")
    assert own_rust.has_module_macro("error", tmp_path)
    assert own_rust.module_of("Device", tmp_path, "error") == "pci"
    assert own_rust.implemented(" --> a.rs:1:1\n", tmp_path) is None
    assert unseen.unseen(tmp_path, "", "more.o") is None
    assert beside(tmp_path, [path.name for path in tmp_path.iterdir()], [tmp_path]) == []


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder with 1,500 in each other, which pytest cannot remove."""
    top = tmp_path / "deep"
    inner = top.joinpath(*["a"] * 1500)
    for folder in (top, *reversed(inner.parents[:1499]), inner):
        folder.mkdir()
    (top / "a.rs").write_text("module! {}\n")
    (inner / "Makefile").touch()
    (inner / "b.rs").touch()
    yield top
    home.remove(top)


def test_folders_in_each_other(deep: Path) -> None:
    """Regression: the explanation of a failed build, and `r4l ide`, exceeded the depth of Python's recursion."""
    assert own_rust.text_of(deep).strip() == "module! {}"
    assert own_rust.has_module_macro("error", deep)
    assert own_rust.has_module_macro(f" --> {'x' * 300}.rs:1:1", deep)
    assert not own_rust.defines(deep, "struct", "Mine")
    assert unseen.unseen(deep, "", "more.o") is None
    assert list(recorded(deep)) == []
    assert len(rust_files(deep)) == 2


def test_many_sources_are_read_as_far_as_memory_allows(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.rs").touch()
        os.truncate(tmp_path / f"{number}.rs", LARGEST)
    assert len(own_rust.text_of(tmp_path)) <= 2 * LARGEST + 2


@kinds
def test_a_recording(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises(UsageError):
        load(tmp_path / "x")


@kinds
def test_a_graft(make: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := b.o\n")
    (tmp_path / "b.rs").write_text("module! {}\n")
    make(tmp_path / "c.rs")
    if (tmp_path / "c.rs").is_file():
        with pytest.raises(UsageError, match=r"c\.rs is larger"):
            read_driver(tmp_path)
    else:
        assert list(read_driver(tmp_path).sources) == ["b.rs"]


def test_names_that_no_system_call_takes(tmp_path: Path) -> None:
    """Regression: a path of 5,000 characters in a Makefile or a compiler's message was a bug in r4l."""
    long = f"{'a' * 300}/" + "/b" * 5000
    (tmp_path / "Makefile").write_text(f"obj-m := ../{long}/x.o\ninclude ../{long} {long}\nccflags-y := -I../{long}\n")
    folder = tmp_path.resolve()
    assert makefiles.kbuild_of(folder) == folder / "Makefile"
    assert beside(folder, ["Makefile"], [folder.parent]) == []
    assert unseen.unseen(folder, "", long) is None
    said = f"{long}:1:1: error: x\n --> {long}:1:1\n"
    assert paths_in.whole(said, folder) == said
    assert own_rust.implemented(f" --> {long}:1:1\n", folder) is None
    (folder / ".a.o.cmd").write_text(f"savedcmd_a.o := cc -I{long} -c -o a.o {long}.c\n")
    (command,) = recorded(folder)
    assert command.source == folder / f"{long}.c"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_is_closed_to_the_user(tmp_path: Path) -> None:
    """Regression: a Makefile with such a path was a bug in r4l."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/Makefile").write_text("obj-m := ../closed/x.o\ninclude ../closed/y.mk\n")
    assert beside(tmp_path / "own", ["Makefile"], [tmp_path]) == []
    assert unseen.unseen(tmp_path / "own", "", "../closed/x.o") is None


@pytest.mark.parametrize("character", [" ", ":", "%", "#", "$", "'", '"', "\\", "&", ";", "\n", "(", "*", "\u00a0"])
def test_a_character_that_the_kernels_makefiles_refuse(character: str) -> None:
    with pytest.raises(UsageError, match="kernel's Makefiles cannot handle"):
        require_for_make(Path(f"/tmp/a{character}b"), "move it")


def test_characters_that_they_take() -> None:
    require_for_make(Path("/tmp/a-b_c.d+e@f,g=h~i^j/实验"), "move it")
