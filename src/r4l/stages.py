# SPDX-License-Identifier: MIT
"""Display of long work: stages, some in parallel, each with its last line and its time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from r4l.process import Say, end_all
from r4l.terminal import Console
from r4l.threads import guarded

MAX_WIDTH = 70
QUIET = "R4L_QUIET"
"""Variable that, when set, has nothing shown of what goes well; `-q` sets it, for the programs that r4l starts too."""


def is_quiet() -> bool:
    """True if nothing shall be shown of what goes well."""
    return bool(os.environ.get(QUIET))


@dataclass
class Stage:
    """A finished stage.

    Attributes:
        seconds: wall clock on the host.
        begin: time of its begin by `time.monotonic`.
    """

    name: str
    seconds: float
    ok: bool
    begin: float = 0.0


@dataclass
class Stages:
    """Display of stages on a terminal, or one line for each otherwise; records their times.

    Args:
        console: output of the display; default is stderr, so that stdout is free for results.

    Attributes:
        begun: True once a stage of this process has begun, whose work the next process finds.
    """

    begun: ClassVar[bool] = False

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    done: list[Stage] = field(default_factory=list)
    _progress: Progress | None = None

    def __enter__(self) -> Stages:
        if self.console.is_terminal and not is_quiet():
            self._progress = Progress(
                SpinnerColumn(finished_text=" "),
                TextColumn("{task.description:<24}", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.fields[line]}", style="dim", markup=False),
                console=self.console,
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None

    @contextmanager
    def stage(self, name: str) -> Iterator[Say]:
        """Run one stage; yields the `Say` for its progress. Thread-safe."""
        Stages.begun = True
        begin = time.monotonic()
        task: TaskID | None = self._progress.add_task(name, total=None, line="") if self._progress else None

        def say(line: str) -> None:
            if self._progress and task is not None:
                self._progress.update(task, line=" ".join(line.split())[:MAX_WIDTH])

        ok = False
        try:
            yield say
            ok = True
        finally:
            seconds = time.monotonic() - begin
            if self._progress and task is not None:
                self._progress.remove_task(task)
            self.done.append(Stage(name, seconds, ok, begin))
            if not ok or (seconds >= 0.5 and not is_quiet()):
                mark = "[green]✓[/]" if ok else "[red]✗[/]"
                # A stage's own error counts, and not that of a full disk behind stderr.
                with nullcontext() if ok else suppress(OSError):
                    self.console.print(f"{mark} {escape(f'{name:<28}')} [dim]{seconds:6.1f} s[/]")


def side_by_side(*jobs: Callable[[], object]) -> list[object]:
    """Run jobs in parallel and return their results. The first failure ends the others and is raised.

    An interrupt (Ctrl-C) ends every program that they started.
    """
    results: list[object] = [None] * len(jobs)
    errors: list[BaseException] = []
    failed = threading.Event()
    threads: list[threading.Thread] = []

    def work(index: int, job: Callable[[], object]) -> None:
        results[index] = job()

    def note(error: BaseException) -> None:
        errors.append(error)
        failed.set()

    try:
        for index, job in enumerate(jobs):
            # Daemon threads: after Ctrl-C the program does not wait for a download.
            thread = threading.Thread(target=guarded(work, note), args=(index, job), daemon=True)
            thread.start()
            threads.append(thread)
        while any(thread.is_alive() for thread in threads) and not failed.is_set():
            for thread in threads:
                thread.join(0.05)
    except KeyboardInterrupt:
        end_all()
        raise
    if errors:
        end_all()
        for thread in threads:
            thread.join(5)
        raise errors[0]
    return results
