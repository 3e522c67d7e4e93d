# SPDX-License-Identifier: MIT
"""A toolchain is identified by its versions: which tree is in force, and when another one is made."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.toolchain.conftest import Debian
from tests.unit.toolchain.trees import NEWER, legacy, lock_file

from r4l import home
from r4l.errors import EnvironmentFault, UsageError
from r4l.toolchain import LockFile, Toolchain, lock_of, tree


def test_other_versions_are_another_toolchain(debian: Debian) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    assert first.key != second.key
    assert first.root.is_dir(), "a process that uses it goes on"
    assert second.packages["rustc"] == "1.90.0-1"
    assert Toolchain.existing() == Toolchain.get() == second


def test_an_update_without_anything_new_changes_nothing(debian: Debian) -> None:
    first = Toolchain.get()
    assert Toolchain.get(update=True) == first
    assert debian.made == 1, "that there is nothing new is seen before anything is unpacked"
    assert [path.name for path in first.root.parent.iterdir() if path.is_dir()] == [first.key]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_when_the_tree_is_finished(
    debian: Debian, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def finish(folder: Path, *_: object) -> None:
        (folder / "etc").mkdir()
        raise OSError(number, os.strerror(number), str(folder / "etc/passwd"))

    with monkeypatch.context() as patched:
        patched.setattr(tree, "finish", finish)
        with pytest.raises(EnvironmentFault, match="the disk is full"):
            Toolchain.get()
    room = home.room("toolchain")
    assert [path for path in room.iterdir() if path.is_dir()] == [], "the half of a tree is removed"
    assert Toolchain.get().root.is_dir()


@pytest.mark.parametrize("fault", [EnvironmentFault("no network"), KeyboardInterrupt()])
def test_an_update_that_ends_early_leaves_the_old_one_in_force(debian: Debian, fault: BaseException) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    debian.fault = fault
    with pytest.raises(type(fault)):
        Toolchain.get(update=True)
    assert Toolchain.existing() == first
    assert [path.name for path in first.root.parent.iterdir() if path.is_dir()] == [first.key]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_killed_between_the_tree_and_its_coming_into_force(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    with monkeypatch.context() as patch:
        patch.setattr("r4l.toolchain.current.write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Toolchain.get(update=True)
    assert Toolchain.existing() == first
    assert Toolchain.get(update=True).packages["rustc"] == "1.90.0-1"


def test_a_lock_file_governs_until_the_next_setup(debian: Debian, tmp_path: Path) -> None:
    newest = Toolchain.get()
    locked = Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    assert locked.packages["rustc"] == "1.84.0-1"
    assert Toolchain.existing() == locked
    assert Toolchain.get() == locked
    lock = Toolchain.existing().lock
    assert lock
    assert lock.source == str(tmp_path / "lock.json")
    # In another process too.
    code = "from r4l.toolchain import Toolchain; print(Toolchain.existing().key)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert other.stdout.decode().strip() == locked.key
    assert Toolchain.get(update=True) == newest
    assert Toolchain.existing().lock is None


def test_versions_that_are_there_already_are_not_made_again(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(lock_of(first, "", "").as_data()), encoding="utf-8")
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    assert second != first
    assert Toolchain.get(lock_file=lock) == first
    assert debian.made == 2


def test_a_home_of_before_is_taken_as_it_is(debian: Debian, tmp_path: Path) -> None:
    root = legacy(tmp_path / "home", debian.versions)
    found = Toolchain.get()
    assert (found.root, found.key) == (root, root.name)
    assert debian.made == 0
    # An update that finds nothing newer keeps it, and all that was built with it.
    assert Toolchain.get(update=True).root == root
    debian.versions |= NEWER
    assert Toolchain.get(update=True).root != root
    assert root.is_dir()


def test_a_lock_file_governs_a_later_recipe_too(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    monkeypatch.setattr("r4l.toolchain.recipe_key", lambda _table: "0123456789abcdef")
    assert Toolchain.made() is None
    later = Toolchain.get()
    assert later.packages["rustc"] == "1.84.0-1"
    assert later.key.startswith("0123456789abcdef-")


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a lock file"),
        (b"\xff\xfe", "is not a lock file"),
        (b"[]", "the file lists no packages"),
        (b'{"packages": {}}', "the file lists no packages"),
        (b'{"packages": {"make": 4}}', "not a package with a version"),
        (b'{"packages": {"make,vim": "1"}}', "not a package with a version"),
        (b'{"packages": {"make": "1 --foo"}}', "not a package with a version"),
        (b'{"packages": {"make": "1"}, "kernel": "../../x"}', "kernel is"),
        (b'{"packages": {"make": "1"}, "kernel": ["a"]}', "kernel is"),
        (b"[" * 100_000, "is not a lock file"),
        (b'{"packages": {"make": "1"}, "suite": "bookworm"}', "for Debian's suite bookworm, .* from trixie"),
        (b'{"packages": {"make": "1"}, "architecture": "arm64"}', "for Debian's architecture arm64, .* from amd64"),
    ],
)
def test_a_lock_file_that_will_not_do(debian: Debian, tmp_path: Path, content: bytes, said: str) -> None:
    first = Toolchain.get()
    (tmp_path / "lock.json").write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        Toolchain.get(lock_file=tmp_path / "lock.json")
    assert caught.value.remedy
    assert Toolchain.existing() == first


def test_a_lock_file_that_cannot_be_read(debian: Debian, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lock file .* cannot be read: Is a directory"):
        Toolchain.get(lock_file=tmp_path)


def test_what_a_lock_file_says_is_read_as_it_was_written(debian: Debian, tmp_path: Path) -> None:
    lock = lock_of(Toolchain.get(), "7.3.4+deb13-amd64", "7.3.4-1~bpo13+1")
    (tmp_path / "lock.json").write_text(json.dumps(lock.as_data()), encoding="utf-8")
    assert LockFile.read(tmp_path / "lock.json", "trixie", "amd64") == lock


def test_another_suite_has_its_tree_beside_the_default_one(debian: Debian, tmp_path: Path) -> None:
    locked = Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    sid = Toolchain.get(suite="sid")
    assert (sid.suite, sid.lock) == ("sid", None), "the lock file is for the default suite"
    assert sid.key != locked.key
    assert Toolchain.all_made() == [locked, sid]
    assert Toolchain.made("testing") is None
    debian.versions |= NEWER
    newer = Toolchain.get(suite="sid", update=True)
    assert newer.packages["rustc"] == "1.90.0-1"
    assert (Toolchain.made("sid"), Toolchain.made()) == (newer, locked), "an update is of one suite"


def test_a_later_recipe_has_the_lock_of_the_default_suite(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    Toolchain.get(suite="sid")
    monkeypatch.setattr("r4l.toolchain.recipe_key", lambda _table: "0123456789abcdef")
    assert Toolchain.get().packages["rustc"] == "1.84.0-1"
