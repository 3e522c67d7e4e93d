# SPDX-License-Identifier: MIT
"""Paths that are not UTF-8 work, or are refused with a cause; there is never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import home
from r4l.camp.labs import bundle
from r4l.module import Module
from r4l.rootfs import cpio

STRANGE = os.fsdecode(b"a\xffb")


def r4l(folder: Path, *arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "R4L_HOME": str(home or folder / "home"), "R4L_MIRROR": "http://127.0.0.1:9/debian"}
    argv = [sys.executable, "-m", "r4l", *arguments]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("build", STRANGE), 2),
        (("test", STRANGE), 120),
        (("ide", STRANGE), 2),
        (("watch", STRANGE), 2),
        (("new", STRANGE), 2),
        (("lab", "start", "hello", f"{STRANGE}/workspace"), 0),
        (("lab", "check", STRANGE), 2),
        (("setup", "--lock", f"{STRANGE}/lock.json"), 2),
        (("setup", "--kernel", STRANGE), 2),
        (("kernel", "show", f"{STRANGE}/"), 120),
        (("kernel", "build", "--kdir", STRANGE), 120),
        (("graft", STRANGE, "--into", STRANGE), 2),
        (("clean", "--kernel", STRANGE), 2),
        (("lab", "grade", STRANGE), 2),
    ],
)
def test_a_command_with_such_a_path(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    (tmp_path / STRANGE).mkdir()
    (tmp_path / STRANGE / "Kbuild").write_text("obj-m := a.o\n", encoding="utf-8")
    (tmp_path / STRANGE / "lock.json").write_text("{}", encoding="utf-8")
    done = r4l(tmp_path, *arguments)
    assert b"bug in r4l" not in done.stderr, done.stderr.decode(errors="replace")
    assert done.returncode == code, done.stderr.decode(errors="replace")


def test_a_home_of_such_a_name_is_refused(tmp_path: Path) -> None:
    done = r4l(tmp_path, "doctor", home=tmp_path / STRANGE)
    assert done.returncode == 2
    assert b"set R4L_HOME to another folder" in done.stderr


def test_such_a_path_is_printed_as_it_is(tmp_path: Path) -> None:
    done = r4l(tmp_path, "lab", "start", "hello", f"{STRANGE}/workspace")
    assert done.stdout == os.fsencode(tmp_path) + b"/a\xffb/workspace\n"


def test_clean_lists_such_an_entry(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / STRANGE).touch()
    done = r4l(tmp_path, "clean")
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"a\xffb" in done.stdout
    assert r4l(tmp_path, "clean", "--json").returncode == 0


def test_a_key_of_such_a_path() -> None:
    assert home.content_key(STRANGE) != home.content_key(os.fsdecode(b"a\xfeb"))
    assert home.content_key("\ud800")


def test_a_workspace_there_has_a_place_to_be_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from r4l.camp.labs.check import place
    from r4l.camp.labs.lab import Lab
    from r4l.camp.labs.workspace import Workspace

    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    workspace = Workspace.start(Lab.named("hello"), tmp_path / STRANGE)
    assert Module(place(workspace)).folder.is_relative_to(tmp_path / "home")


def test_such_a_file_for_the_guest() -> None:
    archive = io.BytesIO()
    cpio.write([cpio.regular(STRANGE, b"data"), cpio.symlink("link", STRANGE)], archive)
    assert b"a\xffb" in archive.getvalue()
    entries = {entry.name: entry.data for entry in cpio.read(archive.getvalue())}
    assert entries[STRANGE] == b"data"
    assert entries["link"] == b"a\xffb"


@pytest.mark.parametrize("text", [STRANGE, "\ud800"])
def test_such_a_text_in_a_bundle(text: str) -> None:
    """JSON can contain texts that no file name can."""
    with pytest.raises(bundle._Fault, match="with a name that submit never writes"):
        bundle._require_path(text)
    assert bundle._own_hash({"student": text})


@pytest.mark.parametrize("words", [["doctor"], ["no-such-command"], ["run", "-", "--memory"], ["clean", "--json"]])
def test_what_the_command_line_repeats_does_not_command_the_terminal(tmp_path: Path, words: list[str]) -> None:
    """Regression: a name in a stranger's folder that the shell puts there (`r4l doctor *`) set the terminal's title."""
    name = "a\x1b]0;hostile\x07\x9b5n"
    arguments = [name] if words == ["no-such-command"] else [*words, name]
    done = r4l(tmp_path, *arguments)
    assert done.returncode == 2
    # With --json, the error is on standard output.
    said = done.stdout + done.stderr
    assert b"hostile" in said
    assert b"\x1b]" not in said
    assert "\x9b".encode() not in said
