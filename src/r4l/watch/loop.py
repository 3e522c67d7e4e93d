# SPDX-License-Identifier: MIT
"""Start a run for each save; a save during a run ends that run."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from r4l.kernel import Kernel
from r4l.module import Module
from r4l.module.unchanged import LastBuild
from r4l.paths import leads_to_file, leads_to_folder
from r4l.threads import thread_failure
from r4l.watch.job import Job, JobResult
from r4l.watch.project import Project, Work
from r4l.watch.saves import Saves
from r4l.watch.warm import RunningJob

JUDGED = (0, 123)
"""Exit codes of runs that have a verdict; the work of others is still to be done."""


class Screen(Protocol):
    """Output of a watch."""

    @property
    def color(self) -> bool:
        """True if colours are shown."""

    @property
    def columns(self) -> int:
        """Width in characters."""

    def begin(self, saved: frozenset[Path]) -> None:
        """Announce a run because of these saved files; the set is empty for the first run."""

    def output(self, data: bytes) -> None:
        """Show output of pytest or the guest's kernel."""

    def gone(self, folder: Path) -> None:
        """Announce that the folder is gone; the next run begins when it is back."""

    def superseded(self) -> None:
        """Announce that a new save ended the run."""

    def end(self, outcome: JobResult | None, seconds: float) -> None:
        """Show the verdict, and the seconds since the save."""


@contextlib.contextmanager
def interrupt_as_event(events: queue.SimpleQueue[Callable[[], None]]) -> Iterator[None]:
    """Make the first Ctrl-C an event of a loop, which raises KeyboardInterrupt there; the next one raises it at once.

    Python drops an exception that is raised while it finalises an object.
    """

    def end() -> None:
        raise KeyboardInterrupt

    def note(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        events.put(end)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def changed_since(path: Path, when: float) -> bool:
    """True if a file or folder has changed since a time in seconds (`time.time`)."""
    try:
        return path.stat().st_ctime >= when
    except OSError:
        return False


@dataclass
class Loop:
    """A watch.

    Attributes:
        arguments: for pytest.
        parameters: module parameters, used if there are no tests and the module is only loaded.
        config: options of Kconfig that the module is built with.
    """

    project: Project
    kernel: Kernel
    screen: Screen
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    _known: LastBuild | None = None
    _run: RunningJob | None = None
    _begun: float = 0.0
    _gone: bool = False
    _events: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)
    _pending: Work = field(default_factory=Work)
    _folders: frozenset[Path] = frozenset()
    _around: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def forever(self) -> None:
        """Run everything once, then what each save affects.

        Raises:
            KeyboardInterrupt: the user ended the watch.
        """
        saves = Saves(self.project.watched, self._tell, self._thread_failed)
        try:
            with interrupt_as_event(self._events), saves, self._around:
                self._watch_around(Module(self.project.folder, self.config).read_around(self.kernel))
                self._pending = Work(everything=True)
                self._start(frozenset())
                while True:
                    self._events.get()()
        finally:
            if self._run:
                self._run.end()

    def _saved(self, saved: frozenset[Path]) -> None:
        if not self.project.folder.is_dir():
            self._end_of_folder()
            return
        self._gone = False
        work = self.project.affected(saved)
        if any(path in self._folders and not leads_to_folder(path) for path in saved):
            # Of a folder that is moved away, no file is told.
            work = Work(everything=True)
        if any(map(self.project.is_commit, saved)) and self._reads_repository():
            # The files are the same, and what git says of them is not.
            self._known, work = None, Work(everything=True)
        if not work:
            return
        # Work that an ended run did not reach stays pending.
        self._pending |= work
        if self._run:
            self._run.end()
            self.screen.superseded()
        told = (path for path in saved if path in self._folders or self.project.affected([path]))
        self._start(frozenset((*told, *filter(self.project.is_commit, saved))))

    def _end_of_folder(self) -> None:
        if self._run:
            self._run.end()
            self._run = None
        if not self._gone:
            self.screen.gone(self.project.folder)
        self._gone, self._pending = True, Work(everything=True)

    def _reads_repository(self) -> bool:
        return Module(self.project.folder, self.config).reads_repository(self.kernel)

    def _start(self, saved: frozenset[Path]) -> None:
        self._begun = time.monotonic()
        self.screen.begin(saved)
        self._folders = self.project.folders()
        # One may have been renamed since it was saved.
        tests = [] if self._pending.everything else sorted(filter(leads_to_file, self._pending.tests))
        job = Job(
            folder=self.project.folder,
            kernel=self.kernel,
            tests=tuple(tests or self.project.tests()),
            everything=not tests,
            cwd=self.project.shelf.parent if self.project.shelf else self.project.folder,
            arguments=self.arguments,
            parameters=self.parameters,
            config=self.config,
            color=self.screen.color,
            columns=self.screen.columns,
            known=self._known,
        )
        self._run = RunningJob(
            job,
            lambda run, data: self._events.put(lambda: self._output(run, data)),
            lambda run, outcome: self._events.put(lambda: self._ended(run, outcome)),
            self._thread_failed,
        )

    def _thread_failed(self, error: BaseException) -> None:
        def end() -> None:
            raise thread_failure("the watch", error)

        self._events.put(end)

    def _output(self, run: RunningJob, data: bytes) -> None:
        if run is self._run:
            self.screen.output(data)

    def _ended(self, run: RunningJob, outcome: JobResult | None) -> None:
        if run is not self._run:
            return
        self._run = None
        run.end()
        if outcome and outcome.code in JUDGED:
            self._pending = Work()
        self.screen.end(outcome, time.monotonic() - self._begun)
        if outcome:
            self._known = outcome.known
            self._look_around(outcome)

    def _look_around(self, outcome: JobResult) -> None:
        """Watch the files around the folder that a run's build has read. One that was saved meanwhile is told now."""
        before = self.project.around
        # A build that failed has not read all of them.
        self._watch_around(outcome.around if outcome.built else outcome.around | before)
        since = time.time() - (time.monotonic() - self._begun)
        late = frozenset(path for path in self.project.around - before if changed_since(path, since))
        if late:
            self._saved(late)

    def _watch_around(self, around: frozenset[Path]) -> None:
        folders = self.project.watched_around
        self.project = dataclasses.replace(self.project, around=around)
        if self.project.watched_around == folders:
            return
        self._around.close()
        if self.project.watched_around:
            self._around.enter_context(
                Saves(self.project.watched_around, self._tell, self._thread_failed, recursive=False)
            )

    def _tell(self, saved: frozenset[Path]) -> None:
        self._events.put(lambda: self._saved(saved))
