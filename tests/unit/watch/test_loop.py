# SPDX-License-Identifier: MIT
"""Runs that begin and end with saves, commits, and the folder itself."""

from __future__ import annotations

import os
import queue
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from r4l.kernel import Kernel
from r4l.module import Module
from r4l.module.unchanged import LastBuild
from r4l.watch.job import Job, JobResult
from r4l.watch.loop import Loop, interrupt_as_event
from r4l.watch.project import Project


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
