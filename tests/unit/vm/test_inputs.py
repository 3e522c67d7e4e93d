# SPDX-License-Identifier: MIT
"""The inputs of a preparation that libraries read for it: noted and compared, or refused with the reason."""

from __future__ import annotations

import contextlib
import datetime
import glob
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import stat as stat_of
from pathlib import Path
from time import time as now
from typing import Any

import pytest

from r4l.errors import UsageError
from r4l.vm import inputs
from r4l.vm.fingerprint import fingerprint


class Stale:
    """A folder with data, and a preparation that uses it."""

    def __init__(self, folder: Path, prepare: Callable[[], object]) -> None:
        self.data = folder / "data"
        (self.data / "sub").mkdir(parents=True)
        (self.data / "a.txt").write_text("a")
        self.noted = folder.with_name(f"{folder.name}.inputs")
        self.prepare = prepare

    def note(self) -> None:
        with inputs.recorded([]) as record:
            self.prepare()
        inputs.save(record, self.noted)
        assert self.fresh, "nothing has changed"

    @property
    def fresh(self) -> bool:
        return inputs.unchanged(self.noted)


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Stale]:
    """Runs a preparation in a folder with data, and notes its inputs."""
    monkeypatch.chdir(tmp_path)

    def note(prepare: Callable[[], object]) -> Stale:
        stale = Stale(tmp_path, prepare)
        stale.note()
        return stale

    return note


Noted = Callable[[Callable[[], object]], Stale]


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def in_a_pool(function: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


READS = {
    "open": lambda: Path("data/a.txt").read_text(),
    "another thread": lambda: in_a_thread(lambda: Path("data/a.txt").read_text()),
    "a pool": lambda: in_a_pool(lambda: Path("data/a.txt").read_text()),
    "a library's function in another thread": lambda: in_a_pool(lambda: shutil.copy("data/a.txt", "copy.txt")),
    "size": lambda: Path("data/a.txt").stat().st_size,
    "os.scandir": lambda: [entry.stat().st_size for entry in os.scandir("data")],
    "glob": lambda: [path.read_text() for path in Path("data").glob("*.txt")],
}


@pytest.mark.parametrize("read", READS)
def test_a_file_that_changes(noted: Noted, read: str) -> None:
    stale = noted(READS[read])
    (stale.data / "a.txt").write_text("another")
    assert not stale.fresh


LISTS: dict[str, Callable[[], object]] = {
    "Path.glob": lambda: list(Path("data").glob("*.txt")),
    "Path.rglob": lambda: list(Path().rglob("*.txt")),
    "Path.iterdir": lambda: list(Path("data").iterdir()),
    "glob.glob": lambda: glob.glob("data/*.txt"),  # noqa: PTH207
    "os.listdir": lambda: os.listdir("data"),  # noqa: PTH208
    "os.walk": lambda: list(os.walk(".")),
    "os.fwalk": lambda: list(os.fwalk("data")),
    "another thread": lambda: in_a_thread(lambda: list(Path("data").glob("*"))),
}


@pytest.mark.parametrize("how", LISTS)
def test_a_folder_with_another_file(noted: Noted, how: str) -> None:
    """Regression: only files that were opened counted."""
    stale = noted(LISTS[how])
    (stale.data / "b.txt").write_text("b")
    assert not stale.fresh
    (stale.data / "b.txt").unlink()
    assert stale.fresh
    (stale.data / "a.txt").unlink()
    assert not stale.fresh


EXISTS: dict[str, Callable[[], object]] = {
    "Path.exists": lambda: Path("data/c.txt").exists(),
    "Path.is_file": lambda: Path("data/c.txt").is_file(),
    "os.path.exists": lambda: os.path.exists("data/c.txt"),  # noqa: PTH110
    "os.path.lexists": lambda: os.path.lexists("data/c.txt"),
    "os.access": lambda: os.access("data/c.txt", os.R_OK),
    "another thread": lambda: in_a_thread(Path("data/c.txt").exists),
    "open": lambda: _read_or_nothing("data/c.txt"),
    "another place": lambda: shutil.which("c.txt", path="data"),
}


def _read_or_nothing(name: str) -> str:
    try:
        return Path(name).read_text()
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("how", EXISTS)
def test_a_file_that_appears(noted: Noted, how: str) -> None:
    """Regression: as above."""
    stale = noted(EXISTS[how])
    (stale.data / "c.txt").write_text("c")
    assert not stale.fresh


MEANWHILE: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "read": (lambda: Path("data/a.txt").read_text(), lambda: Path("data/a.txt").write_text("new")),
    "read, gone": (lambda: Path("data/a.txt").read_text(), lambda: Path("data/a.txt").unlink()),
    "read, not there": (lambda: _read_or_nothing("data/b.txt"), lambda: Path("data/b.txt").touch()),
    "listed": (lambda: list(Path("data").iterdir()), lambda: Path("data/b.txt").touch()),
    "asked for": (lambda: Path("data/b.txt").exists(), lambda: Path("data/b.txt").touch()),
    "size": (lambda: Path("data/a.txt").stat().st_size, lambda: Path("data/a.txt").write_text("new")),
    "variable": (lambda: os.environ.get("HOME"), lambda: os.environ.update(HOME="/new")),
}


@pytest.mark.parametrize("how", MEANWHILE)
def test_what_changes_after_its_use_and_before_the_end(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the state at the end counted, which the machine had not seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/old")
    Stale(tmp_path, lambda: None)
    use, change = MEANWHILE[how]
    used, changed = threading.Event(), threading.Event()

    def other() -> None:
        used.wait(20)
        change()
        changed.set()

    thread = threading.Thread(target=other, daemon=True)
    thread.start()

    def prepare() -> None:
        with contextlib.suppress(FileNotFoundError):
            use()
        if not changed.is_set():
            used.set()
            assert changed.wait(20)

    with inputs.recorded([]) as record:
        prepare()
    thread.join()
    inputs.save(record, Path("noted"))
    assert not inputs.unchanged(Path("noted"))
    with inputs.recorded([]) as record:
        prepare()
    inputs.save(record, Path("noted"))
    assert inputs.unchanged(Path("noted"))


def in_turn(*steps: Callable[[], object]) -> Callable[[], object]:
    return lambda: [step() for step in steps]


OWN: dict[str, Callable[[], object]] = {
    "a cache, written": in_turn(lambda: _read_or_nothing("data/cache"), lambda: Path("data/cache").write_text("x")),
    "a cache, renamed": in_turn(
        Path("data/cache").exists,
        lambda: Path("data/new").write_text("x"),
        lambda: Path("data/new").rename("data/cache"),
    ),
    "a folder": in_turn(lambda: list(Path("data").iterdir()), lambda: Path("data/out").mkdir(exist_ok=True)),
    "a file that is removed": in_turn(
        lambda: _read_or_nothing("data/a.txt"), lambda: Path("data/a.txt").unlink(missing_ok=True)
    ),
    "a tree that is removed": in_turn(lambda: list(Path("data/sub").iterdir()), lambda: shutil.rmtree("data/sub")),
    "a variable": in_turn(lambda: os.environ.get("R4L_X"), lambda: os.environ.update(R4L_X="1")),
}


@pytest.mark.parametrize("how", OWN)
def test_what_the_preparation_changes_itself_counts_as_it_leaves_it(
    noted: Noted, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R4L_X", "0")
    assert noted(OWN[how])


def test_a_file_that_becomes_a_program(noted: Noted) -> None:
    stale = noted(READS["open"])
    (stale.data / "a.txt").chmod(0o755)
    assert not stale.fresh


def test_a_folder_that_is_only_looked_at(noted: Noted) -> None:
    stale = noted(Path("data").is_dir)
    (stale.data / "b.txt").write_text("b")
    assert stale.fresh


VARIABLES: dict[str, Callable[[], object]] = {
    "Path.home": Path.home,
    "expandvars": lambda: os.path.expandvars("$HOME/x"),
    "expanduser": lambda: Path("~/x").expanduser(),
    "all": lambda: dict(os.environ),
    "another thread": lambda: in_a_thread(Path.home),
}


@pytest.mark.parametrize("how", VARIABLES)
def test_a_variable_of_the_environment(noted: Noted, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = noted(VARIABLES[how])
    monkeypatch.setenv("HOME", "/elsewhere")
    assert not stale.fresh


def test_the_working_directory(noted: Noted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stale = noted(lambda: Path("data/a.txt").read_text())
    monkeypatch.chdir(tmp_path / "data")
    assert not stale.fresh


def test_a_record_of_an_older_version_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "it.inputs").write_text("{}")
    assert not inputs.unchanged(tmp_path / "it.inputs")
    assert inputs.unchanged(tmp_path / "none.inputs")


PROGRAMS: dict[str, Callable[[], object]] = {
    "subprocess": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    "os.system": lambda: os.system("true"),
    "os.popen": lambda: os.popen("true").read(),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "network": lambda: socket.create_connection(("127.0.0.1", 9)),
    "another thread": lambda: in_a_pool(lambda: subprocess.run(["true"], check=True)),
}


@pytest.mark.parametrize("how", PROGRAMS)
def test_what_cannot_be_seen_is_refused(noted: Noted, how: str) -> None:
    with pytest.raises(UsageError, match=r"another program|a network") as caught:
        noted(PROGRAMS[how])
    assert "snapshot=False" in caught.value.remedy


def test_a_refusal_that_is_caught_holds(noted: Noted) -> None:
    def prepare() -> None:
        with pytest.raises(UsageError):
            subprocess.run(["true"], check=True)

    with pytest.raises(UsageError, match="subprocess"):
        noted(prepare)


def test_a_temporary_file_and_an_import_are_no_inputs(noted: Noted, tmp_path: Path) -> None:
    def prepare() -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "x").write_text("x")
            assert (Path(folder) / "x").read_text() == "x"
        import this  # noqa: F401

    noted(prepare)


def test_only_the_preparations_threads_are_watched_and_everything_is_put_back(noted: Noted) -> None:
    before = (os.stat, os.getcwd, threading.Thread.start, type(os.environ).__getitem__, len(os.supports_fd))
    ready, done = threading.Event(), threading.Event()

    def other() -> None:
        ready.wait()
        Path("data/a.txt").read_text()
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def prepare() -> None:
        ready.set()
        done.wait()

    stale = noted(prepare)
    thread.join()
    (stale.data / "a.txt").write_text("another")
    assert stale.fresh
    assert before == (os.stat, os.getcwd, threading.Thread.start, type(os.environ).__getitem__, len(os.supports_fd))


def imports_inside(vm: Any) -> None:
    import random

    vm.run(random.random())


CLOCKS: dict[str, Callable[[Any], object]] = {
    "time.time": lambda vm: vm.run(time.time()),
    "from time import time": lambda vm: vm.run(now()),
    "datetime.now": lambda vm: vm.run(datetime.datetime.now()),
    "date.today": lambda vm: vm.run(datetime.date.today()),
    "random": lambda vm: vm.run(random.randint(1, 6)),
    "choice": lambda vm: vm.run(random.choice([1, 2])),
    "urandom": lambda vm: vm.run(os.urandom(3)),
    "uuid4": lambda vm: vm.run(uuid.uuid4()),
    "token": lambda vm: vm.run(secrets.token_hex(3)),
    "an import inside": imports_inside,
}


@pytest.mark.parametrize("how", CLOCKS)
def test_time_and_chance_are_refused(how: str) -> None:
    with pytest.raises(UsageError, match=r"the time, which|chance, which"):
        fingerprint(CLOCKS[how])


def test_a_function_that_cannot_be_watched_is_refused() -> None:
    with pytest.raises(UsageError, match=r"stat_of is os\.stat under a name of its own"):
        fingerprint(lambda vm: vm.run(stat_of("/x").st_size))  # noqa: PTH116
    assert fingerprint(lambda vm: vm.run(os.stat("/x").st_size))  # noqa: PTH116


def test_waiting_and_chance_that_repeats_itself_are_not_refused() -> None:
    def waits(vm: Any) -> None:
        until = time.monotonic() + 5
        while not vm.run("true") and time.monotonic() < until:
            time.sleep(0.1)
        vm.run(random.Random(1).randint(1, 6), datetime.datetime(2026, 1, 1), datetime.timedelta(1))

    assert fingerprint(waits)
