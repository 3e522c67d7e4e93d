# SPDX-License-Identifier: MIT
"""Saves as made by editors and reported by the kernel."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from tests.unit.unhandled import unhandled

from r4l.errors import EnvironmentFault
from r4l.watch.saves import Saves

LIMIT = 60


class Told:
    """The saves reported so far."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[frozenset[Path]] = queue.SimpleQueue()
        self.tell = self._told.put

    def next(self) -> frozenset[Path]:
        """Return the next report if it comes soon."""
        try:
            return self._told.get(timeout=0.2)
        except queue.Empty:
            return frozenset()

    def until(self, *paths: Path) -> None:
        """Wait until all of these paths were reported."""
        missing = set(paths)
        while missing:
            missing -= self._told.get(timeout=LIMIT)


def _begun(folder: Path, told: Told) -> None:
    """Wait until a watch has begun, which it shows by reporting a file."""
    for number in range(300):
        (folder / "begun").write_text(str(number))
        if told.next() == {folder / "begun"}:
            return
    raise AssertionError("the watch tells of nothing")


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told()
    with Saves([tmp_path], told.tell, unhandled):
        _begun(tmp_path, told)
        yield told


def test_a_file_written_in_place(told: Told, tmp_path: Path) -> None:
    (tmp_path / "main.rs").write_text("")
    told.until(tmp_path / "main.rs")


def test_a_file_saved_by_rename(told: Told, tmp_path: Path) -> None:
    (tmp_path / "main.rs.new").write_text("")
    (tmp_path / "main.rs.new").rename(tmp_path / "main.rs")
    told.until(tmp_path / "main.rs")


def test_many_files_at_once(told: Told, tmp_path: Path) -> None:
    files = [tmp_path / f"part{number}.rs" for number in range(300)]
    for file in files:
        file.write_text("")
    told.until(*files)


def test_a_name_that_is_no_text(told: Told, tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff.rs", os.O_CREAT | os.O_WRONLY))
    told.until(tmp_path)


def test_a_folder_that_is_removed(told: Told, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    told.until(tmp_path)


def test_a_folder_that_is_made_anew(told: Told, tmp_path: Path) -> None:
    folder = tmp_path / "driver"
    folder.mkdir()
    told.until(folder)
    inner = Told()
    with Saves([folder], inner.tell, unhandled):
        _begun(folder, inner)
        folder.rename(tmp_path / "away")
        folder.mkdir()
        inner.until(folder)
        _begun(folder, inner)


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A work tree with a driver on two branches; the other one has a file of another content, and a folder more."""
    top = tmp_path / "repository"
    (top / "driver").mkdir(parents=True)
    (top / "driver/main.rs").write_text("one")
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-qm", "one")
    git(top, "checkout", "-qb", "other")
    (top / "driver/main.rs").write_text("two")
    (top / "driver/sub").mkdir()
    (top / "driver/sub/hw.rs").write_text("two")
    git(top, "add", ".")
    git(top, "commit", "-qm", "two")
    return top


@pytest.fixture
def of_driver(repository: Path) -> Iterator[Told]:
    """The saves in the driver's folder."""
    told = Told()
    with Saves([repository / "driver"], told.tell, unhandled):
        _begun(repository / "driver", told)
        yield told


def test_a_checkout_and_back(of_driver: Told, repository: Path) -> None:
    driver = repository / "driver"
    git(repository, "checkout", "-q", "main")
    of_driver.until(driver / "main.rs", driver / "sub")
    git(repository, "checkout", "-q", "other")
    of_driver.until(driver / "main.rs", driver / "sub")


def test_a_stash_and_back(of_driver: Told, repository: Path) -> None:
    driver = repository / "driver"
    (driver / "main.rs").write_text("three")
    of_driver.until(driver / "main.rs")
    git(repository, "stash")
    of_driver.until(driver / "main.rs")
    git(repository, "stash", "pop")
    of_driver.until(driver / "main.rs")


def test_a_file_that_gets_older(of_driver: Told, repository: Path) -> None:
    driver = repository / "driver"
    os.utime(driver / "main.rs", (1, 1))
    of_driver.until(driver / "main.rs")
    (repository / "old.rs").write_text("old")
    os.utime(repository / "old.rs", (1, 1))
    (repository / "old.rs").rename(driver / "main.rs")
    of_driver.until(driver / "main.rs")


def test_a_watch_that_cannot_begin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the thread ended, and `r4l watch` saw no save any more."""
    failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    asked: list[bool] = []

    def refuse(*_: object, ignore_permission_denied: bool, **__: object) -> None:
        asked.append(ignore_permission_denied)
        raise OSError("OS file watch limit reached.") if ignore_permission_denied else PermissionError("sub")

    monkeypatch.setattr("r4l.watch.saves.watch", refuse)
    with Saves([tmp_path], Told().tell, failures.put):
        error = failures.get(timeout=LIMIT)
    assert isinstance(error, EnvironmentFault)
    assert error.cause == f"saves in {tmp_path} are not seen: OS file watch limit reached."
    assert asked == [False, True]


def test_a_folder_below_that_is_closed() -> None:
    """Regression: the same."""
    other = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c"]
    if os.geteuid() or not shutil.which("setpriv") or subprocess.run([*other, "import r4l.watch.saves"]).returncode:
        pytest.skip("needs root, and another user who can use this Python")
    script = (
        "import queue, sys; from pathlib import Path; from r4l.watch.saves import Saves; told = queue.SimpleQueue();"
        "top = Path(sys.argv[1]); saves = Saves([top], told.put, told.put); saves.__enter__();"
        "[(top / 'x').write_text(str(n)) for n in range(100) if told.empty() and not __import__('time').sleep(0.1)];"
        "print(told.get(timeout=20))"
    )
    with tempfile.TemporaryDirectory() as top:
        Path(top, "closed").mkdir(mode=0o700)
        Path(top).chmod(0o777)
        done = subprocess.run([*other, script, top], capture_output=True, encoding="utf-8", check=False)
    assert f"{top}/x" in done.stdout, done.stderr


def test_a_checkout_of_a_commit_without_the_folder(of_driver: Told, repository: Path) -> None:
    driver = repository / "driver"
    (driver / "begun").unlink()
    git(repository, "checkout", "-q", "--orphan", "empty")
    git(repository, "rm", "-rqf", ".")
    git(repository, "commit", "-qm", "empty", "--allow-empty")
    of_driver.until(driver)
    assert not driver.exists()
    git(repository, "checkout", "-q", "other")
    of_driver.until(driver)
    _begun(driver, of_driver)


class Gate:
    """The real watch, of which the second one and each later one of folders that are there begin when they are let.

    Attributes:
        asked: set when one of these is to begin.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self._let = threading.Event(), threading.Event()
        self._begun = 0
        monkeypatch.setattr("r4l.watch.saves.watch", self._watch)

    def _watch(self, *folders: Path, **options: Any) -> Iterator[set[Any]]:
        self._begun += 1
        if self._begun > 1 and all(folder.exists() for folder in folders):
            self.asked.set()
            assert self._let.wait(LIMIT)
        yield from watchfiles.watch(*folders, **options)

    def let(self) -> None:
        """Let the watches begin."""
        assert self.asked.wait(LIMIT)
        self._let.set()


@pytest.mark.parametrize("how", ["replaced", "gone and back"])
def test_saves_while_no_watch_has_begun_are_told_once_it_has(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a folder that was back before it was looked for was not told, nor were files that came to one that
    was told before its watch had begun."""
    folder, gate, told = tmp_path / "driver", Gate(monkeypatch), Told()
    folder.mkdir()
    with Saves([folder], told.tell, unhandled):
        _begun(folder, told)
        folder.rename(tmp_path / "away")
        if how == "replaced":
            folder.mkdir()
        else:
            told.until(folder)
            folder.mkdir()
        assert gate.asked.wait(LIMIT)
        while told.next():
            pass
        (folder / "main.rs").write_text("")
        gate.let()
        told.until(folder)
        _begun(folder, told)


def test_a_folder_that_is_gone_from_a_watch_with_closed_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*folders: Path, ignore_permission_denied: bool, **options: Any) -> Iterator[set[Any]]:
        if not ignore_permission_denied:
            raise PermissionError("sub")
        return watchfiles.watch(*folders, ignore_permission_denied=True, **options)

    monkeypatch.setattr("r4l.watch.saves.watch", closed)
    folder, told = tmp_path / "driver", Told()
    folder.mkdir()
    with Saves([folder], told.tell, unhandled):
        _begun(folder, told)
        folder.rename(tmp_path / "away")
        told.until(folder)
        folder.mkdir()
        told.until(folder)
        _begun(folder, told)
