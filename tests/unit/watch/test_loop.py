# SPDX-License-Identifier: MIT
"""Runs that begin and end with saves, commits, and the folder itself."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from r4l.kernel import Kernel
from r4l.module import Module
from r4l.module.unchanged import LastBuild
from r4l.watch.job import Job, JobResult
from r4l.watch.loop import Loop, interrupt_as_event
from r4l.watch.project import Project, Work


class Screen:
    """The screen, which only remembers."""

    color = False
    columns = 80

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, saved: frozenset[Path]) -> None:
        self.said.append(f"begin {' '.join(sorted(path.name for path in saved))}".strip())

    def output(self, data: bytes) -> None:
        self.said.append(data.decode())

    def gone(self, folder: Path) -> None:
        self.said.append(f"gone {folder.name}")

    def superseded(self) -> None:
        self.said.append("superseded")

    def end(self, outcome: JobResult | None, seconds: float) -> None:
        self.said.append("end")


class Run:
    """A run that does nothing."""

    begun: list[Job]

    def __init__(self, job: Job, *_: object) -> None:
        self.begun.append(job)

    def end(self) -> None:
        """As `RunningJob.end`."""


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A watch whose first run has ended, of a folder in a repository."""
    folder = tmp_path / "blinker"
    for name in (".git/objects", ".git/refs/heads"):
        (folder / name).mkdir(parents=True)
    (folder / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (folder / "Kbuild").write_text("obj-m := blinker.o\n")
    (folder / "blinker.c").write_text("")
    monkeypatch.setattr(Run, "begun", [], raising=False)
    monkeypatch.setattr("r4l.watch.loop.RunningJob", Run)
    made = Loop(Project.of(folder), cast(Kernel, None), Screen())
    made._known = LastBuild(folder, "key", (folder,), frozenset(), ())
    return made


def said(loop: Loop) -> list[str]:
    """Return what was shown since the last call."""
    screen = cast(Screen, loop.screen)
    found, screen.said = screen.said, []
    return found


@pytest.mark.parametrize("reads", [True, False], ids=["a build that calls git", "another"])
def test_a_commit(loop: Loop, monkeypatch: pytest.MonkeyPatch, reads: bool) -> None:
    monkeypatch.setattr(Module, "reads_repository", lambda *_: reads)
    loop._saved(frozenset({loop.project.folder / ".git/refs/heads/main", loop.project.folder / ".git/index"}))
    assert said(loop) == (["begin main"] if reads else [])
    assert [job.known for job in Run.begun] == ([None] if reads else []), "make is asked again: no file has changed"


def test_a_look_of_git(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Module, "reads_repository", lambda *_: True)
    loop._saved(frozenset({loop.project.folder / ".git/index", loop.project.folder / ".git/index.lock"}))
    assert not said(loop)


def test_a_save(loop: Loop) -> None:
    loop._saved(frozenset({loop.project.folder / "blinker.c"}))
    assert said(loop) == ["begin blinker.c"]
    [job] = Run.begun
    assert job.known is loop._known is not None


def test_a_folder_that_is_gone_and_back(loop: Loop, tmp_path: Path) -> None:
    folder = loop.project.folder
    loop._saved(frozenset({folder / "blinker.c"}))
    shutil.move(folder, tmp_path / "away")
    for _ in range(2):
        loop._saved(frozenset({folder}))
    assert said(loop) == ["begin blinker.c", "gone blinker"], "the run is ended, and that told once"
    assert loop._run is None
    shutil.move(tmp_path / "away", folder)
    loop._saved(frozenset({folder}))
    assert said(loop) == ["begin blinker"]
    shutil.move(folder, tmp_path / "away")
    loop._saved(frozenset({folder}))
    assert said(loop) == ["gone blinker"]


def test_a_test_file_that_is_renamed_during_its_run(loop: Loop) -> None:
    """Regression: pytest was given the name that was gone, and told that it cannot run."""
    first, second = (loop.project.folder / name for name in ("test_a.py", "test_b.py"))
    first.write_text("")
    loop._saved(frozenset({first}))
    first.rename(second)
    loop._saved(frozenset({first, second}))
    assert [job.tests for job in Run.begun] == [(first,), (second,)]
    assert not any(job.everything for job in Run.begun)


def test_test_files_that_are_all_gone_when_the_run_begins(loop: Loop) -> None:
    file = loop.project.folder / "test_a.py"
    loop._pending = Work(tests=frozenset({file}))
    loop._start(frozenset({file}))
    assert [(job.tests, job.everything) for job in Run.begun] == [((), True)]


@pytest.mark.parametrize(
    ("code", "left"), [(0, False), (123, False), (2, True), (120, True), (121, True), (125, True), (130, True)]
)
def test_a_run_without_a_verdict_leaves_its_work(loop: Loop, code: int, left: bool) -> None:
    """Regression: after a build that failed, the next save of a test file was the only one that ran."""
    file = loop.project.folder / "test_a.py"
    file.write_text("")
    loop._saved(frozenset({loop.project.folder / "blinker.c"}))
    assert loop._run
    loop._ended(loop._run, JobResult(code))
    loop._saved(frozenset({file}))
    assert Run.begun[-1].everything is left


def test_a_run_that_is_killed_leaves_its_work(loop: Loop) -> None:
    loop._saved(frozenset({loop.project.folder / "blinker.c"}))
    assert loop._run
    loop._ended(loop._run, None)
    assert loop._pending.everything


def test_a_folder_that_is_moved_away(loop: Loop, tmp_path: Path) -> None:
    """Regression: the kernel tells of the folder only, and no run began."""
    source, notes = loop.project.folder / "src.v1", loop.project.folder / "notes"
    for folder in (source, notes):
        folder.mkdir()
    (source / "a.c").write_text("")
    (notes / "a.md").write_text("")
    loop._saved(frozenset({source}))
    said(loop)
    shutil.move(notes, tmp_path / "notes")
    loop._saved(frozenset({notes}))
    assert not said(loop)
    shutil.move(source, tmp_path / "away")
    loop._saved(frozenset({source}))
    assert said(loop) == ["superseded", "begin src.v1"]


def ended(loop: Loop, around: set[Path], *, built: bool = True) -> None:
    """End a run whose build has read files outside of the folder."""
    loop._saved(frozenset({loop.project.folder / "blinker.c"}))
    assert loop._run
    loop._ended(loop._run, JobResult(0 if built else 121, built=built, around=frozenset(around)))


def test_files_around_the_folder_are_watched_from_the_build_on_that_reads_them(loop: Loop, tmp_path: Path) -> None:
    """Regression: a header outside of the folder started no run."""
    headers, other = tmp_path / "common/ver.h", tmp_path / "other/ver.h"
    for file in (headers, other):
        file.parent.mkdir()
        file.write_text("")
    with loop._around:
        ended(loop, {headers})
        assert loop.project.watched_around == (headers.parent,)
        said(loop)
        end = time.monotonic() + 60
        while loop._events.empty():
            assert time.monotonic() < end
            headers.write_text("new")
            time.sleep(0.05)
        loop._events.get()()
        assert said(loop)[0] == "begin ver.h"
        ended(loop, {other}, built=False)
        assert loop.project.around == {headers, other}, "a build that fails has not read all"
        ended(loop, {other})
        assert loop.project.around == {other}
        ended(loop, set())
        assert not loop.project.watched_around


def test_a_file_around_that_is_saved_while_the_first_build_runs(loop: Loop, tmp_path: Path) -> None:
    header = tmp_path / "common/ver.h"
    header.parent.mkdir()
    with loop._around:
        loop._saved(frozenset({loop.project.folder / "blinker.c"}))
        loop._begun -= 1
        header.write_text("")
        assert loop._run
        loop._ended(loop._run, JobResult(0, built=True, around=frozenset({header})))
        assert said(loop) == ["begin blinker.c", "end", "begin ver.h"]


class Finalised:
    """An object that the user interrupts while Python finalises it."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_while_python_finalises_an_object_ends_the_watch() -> None:
    """Regression: Python drops an exception there, and the watch went on as if ^C had not been typed."""
    events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    with interrupt_as_event(events):
        Finalised()
        with pytest.raises(KeyboardInterrupt):
            events.get(timeout=10)()


def test_the_second_interrupt_ends_at_once() -> None:
    events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    before = signal.getsignal(signal.SIGINT)
    with interrupt_as_event(events):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
