# SPDX-License-Identifier: MIT
"""The rules of the home: complete or absent, leftovers removed, keys by content."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l import home
from r4l.errors import EnvironmentFault, UsageError
from r4l.toolchain import host


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_published_folder_replaces_the_old_one(own_home: Path) -> None:
    final = own_home / "thing"
    for content in ("old", "new"):
        partial = home.temporary(final)
        partial.mkdir()
        (partial / "file").write_text(content)
        home.publish(partial, final)
    assert (final / "file").read_text() == "new"
    assert [path.name for path in own_home.iterdir()] == ["thing"]


def test_what_a_dead_process_left_is_removed_by_the_next(own_home: Path) -> None:
    final = own_home / "thing"
    dead = final.parent / ".thing.partial-999999"
    dead.mkdir(parents=True)
    (dead / "half").touch()
    home.temporary(final)
    assert not dead.exists()


def test_folders_without_write_permission_can_be_removed(own_home: Path) -> None:
    inner = own_home / "tree/closed"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0o500)
    home.remove(own_home / "tree")
    assert not (own_home / "tree").exists()


def test_key_depends_on_content_and_on_where_parts_end(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("ab")
    assert home.content_key(file) == home.content_key("ab")
    assert home.content_key("a", "b") != home.content_key("ab")


def test_too_little_space_names_both_numbers(own_home: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"needs 999999999 MiB, but only \d+ MiB are free"):
        home.require_space(home.home(), 999_999_999, "the test")


def test_home_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", "/proc/no/such/place")
    with pytest.raises(EnvironmentFault, match="cannot make the home folder") as caught:
        home.home()
    assert "R4L_HOME" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_what_is_mounted_is_never_removed(own_home: Path) -> None:
    inside = own_home / "tree/mnt"
    inside.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(inside)], check=True)
    try:
        (inside / "precious").touch()
        with pytest.raises(EnvironmentFault, match="is mounted inside"):
            home.remove(own_home / "tree")
        assert (inside / "precious").exists()
    finally:
        subprocess.run(["umount", str(inside)], check=True)


def test_a_user_without_a_home_gets_no_folder_called_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("R4L_HOME")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _name: "~/.cache/r4l")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvironmentFault, match="no home folder") as caught:
        home.home()
    assert "R4L_HOME" in caught.value.remedy
    assert not (tmp_path / "~").exists()


class Terminal(io.StringIO):
    """A terminal that keeps its text; `told` is set when a line is complete.

    capsys would lose a line that another thread writes between its reading and its truncating.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if text.endswith("\n"):
            self.told.set()
        return written


def test_who_waits_for_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(home, "WORD_AFTER", 0.05)
    monkeypatch.setattr(sys, "stderr", terminal)
    entered = threading.Event()

    def second() -> None:
        with home.lock("kernel-1.2.3"):
            entered.set()

    with home.lock("kernel-1.2.3"):
        threading.Thread(target=second).start()
        assert terminal.told.wait(30)
        assert not entered.is_set()
    assert terminal.getvalue() == "r4l: waiting for another r4l, which works on kernel-1.2.3\n"
    assert entered.wait(30)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_home_on_a_file_system_without_locks(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(EnvironmentFault, match="cannot be locked") as caught:
        with home.lock("lists"):
            pass
    assert "NFS" in caught.value.remedy
    assert "R4L_HOME" in caught.value.remedy


def test_a_home_from_which_nothing_can_be_started(own_home: Path) -> None:
    own_home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", str(own_home)], check=False).returncode != 0:
        pytest.skip("no mounting here")
    try:
        fault = host.problem()
    finally:
        subprocess.run(["umount", "-l", str(own_home)], check=True)
    assert fault
    assert "mounted noexec" in fault.cause
    assert "R4L_HOME" in fault.remedy


@pytest.mark.parametrize(("name", "taken"), [("我的 工作台", False), ("a b", False), ("工作台", True), ("ä-Ж-é", True)])
def test_a_home_with_other_characters_in_its_path(
    name: str, taken: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / name))
    if taken:
        assert home.room("x").is_dir()
        return
    with pytest.raises(UsageError, match="has a space in its path") as caught:
        home.home()
    assert "R4L_HOME" in caught.value.remedy
    assert not (tmp_path / name).exists()


class Disk:
    """A disk that fills."""

    def __init__(self, free: int) -> None:
        self.free = free

    def usage(self, _folder: object) -> Any:
        return SimpleNamespace(free=self.free * 2**20)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(5000)
    monkeypatch.setattr("shutil.disk_usage", disk.usage)
    return disk


def test_what_runs_side_by_side_needs_space_for_both(disk: Disk, own_home: Path) -> None:
    """Each of two stages fits alone, and both together do not."""
    with home.space(home.home(), 2600, "the toolchain"):
        with pytest.raises(EnvironmentFault, match=r"a kernel needs 2600 MiB, but only 2400 MiB are free") as caught:
            with home.space(home.home(), 2600, "a kernel"):
                pass
        assert "besides the toolchain, which is being made" in caught.value.cause
        with home.space(home.home(), 2400, "less"):
            pass
    with home.space(home.home(), 2600, "a kernel"):
        pass


def test_what_the_other_has_written_already_is_not_counted_twice(disk: Disk, own_home: Path) -> None:
    disk.free = 5300
    with home.space(home.home(), 2600, "the toolchain"):
        disk.free -= 2000
        with home.space(home.home(), 2600, "a kernel"):
            disk.free -= 2600
        disk.free -= 600
        # More than it said: what is really free counts too.
        with pytest.raises(EnvironmentFault, match="only 100 MiB are free"), home.space(home.home(), 200, "more"):
            pass


def test_two_threads_do_not_both_get_the_last_of_it(disk: Disk, own_home: Path) -> None:
    refused: list[EnvironmentFault] = []
    together, tried = threading.Barrier(2), threading.Barrier(2)

    def claim(what: str) -> None:
        together.wait(10)
        try:
            with home.space(home.home(), 2600, what):
                tried.wait(10)
        except EnvironmentFault as fault:
            refused.append(fault)
            tried.wait(10)

    threads = [threading.Thread(target=claim, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_mount_whose_name_is_no_text(own_home: Path, tmp_path: Path) -> None:
    """The mount may belong to anybody on the machine."""
    strange = os.fsencode(tmp_path) + b"/strange \xff"
    os.mkdir(strange)  # noqa: PTH102
    (own_home / "tree").mkdir(parents=True)
    subprocess.run([b"mount", b"-t", b"tmpfs", b"none", strange], check=True)
    try:
        home.remove(own_home / "tree")
        assert home.mounts_below(tmp_path) == [Path(os.fsdecode(strange))]
    finally:
        subprocess.run([b"umount", strange], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_copy_that_does_not_fit(own_home: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(bytes(3 << 20))
    small = own_home / "small"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=True)
    try:
        with pytest.raises(EnvironmentFault, match="the disk is full"):
            home.copy(source, small / "copy")
        with pytest.raises(EnvironmentFault, match=r"cannot copy .*none"):
            home.copy(tmp_path / "none", small / "copy")
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_published_is_on_the_disk_first(own_home: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Regression: a file could be empty after the machine had lost its power."""
    came: list[str] = []
    renamed = Path.replace

    def replace(path: Path, final: Path) -> Path:
        came.append("renamed")
        return renamed(path, final)

    monkeypatch.setattr(os, "fsync", lambda number: came.append("saved"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(syncfs=lambda number: came.append("saved")))
    monkeypatch.setattr(Path, "replace", replace)
    final = own_home / "thing"
    if kind == "folder":
        partial = home.temporary(final)
        partial.mkdir()
        home.publish(partial, final)
    else:
        own_home.mkdir()
        home.replace_text(final, "text")
    assert came == ["saved", "renamed"]


def test_what_is_written_takes_the_place_of_a_link_or_folder(own_home: Path, tmp_path: Path) -> None:
    own_home.mkdir()
    (tmp_path / "user").write_text("theirs")
    (own_home / "link").symlink_to(tmp_path / "user")
    (own_home / "folder/in").mkdir(parents=True)
    (own_home / f".link.partial-{os.getpid()}").mkdir()
    for name in ("link", "folder"):
        home.replace_text(own_home / name, "ours")
        assert (own_home / name).read_text() == "ours"
    assert (tmp_path / "user").read_text() == "theirs"


@pytest.mark.parametrize(("text", "read"), [("{}", {}), ("", None), ("{", None), (None, None)])
def test_a_record_that_was_never_written(own_home: Path, text: str | None, read: object) -> None:
    own_home.mkdir()
    if text is not None:
        (own_home / "x.json").write_text(text)
    assert home.record(own_home / "x.json") == read
