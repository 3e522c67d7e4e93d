# SPDX-License-Identifier: MIT
"""A process with all imports done. Each run is a fork of it, which saves the imports and leaves no state behind.

This is multiprocessing's forkserver: it has one thread, which makes forking safe, and ends with its owner.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing import connection, forkserver

from r4l.own_python import safe_path
from r4l.threads import Failed, guarded
from r4l.watch.job import Job, JobResult, main

GRACE = 10.0
"""Seconds that an ended run gets to clean up."""

Output = Callable[["RunningJob", bytes], None]
End = Callable[["RunningJob", JobResult | None], None]


class RunningJob:
    """A running job.

    Args:
        on_output: called on a thread with the run's output.
        on_end: called on that thread with the outcome; None if the run died.
        failed: called on that thread if it fails itself.
    """

    def __init__(self, job: Job, on_output: Output, on_end: End, failed: Failed) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["r4l.watch.rehearsal"])
        with safe_path():
            forkserver.ensure_running()
        self._screen, screen = context.Pipe(duplex=False)
        self._answer, answer = context.Pipe(duplex=False)
        self._process = context.Process(target=main, args=(job, screen, answer), daemon=True)
        self._process.start()
        screen.close()
        answer.close()
        self._on_output, self._on_end = on_output, on_end
        self._thread = threading.Thread(target=guarded(self._follow, failed), name="r4l-run", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        outcome: JobResult | None = None
        sources: list[connection.Connection | int] = [self._screen, self._answer, self._process.sentinel]
        while self._process.sentinel in sources:
            ready = connection.wait(sources)
            if self._screen in ready:
                data = os.read(self._screen.fileno(), 1 << 16)
                if data:
                    self._on_output(self, data)
                else:
                    sources.remove(self._screen)
            elif self._answer in ready:
                try:
                    outcome = self._answer.recv()
                except (EOFError, OSError):
                    # The run was ended, perhaps while it sent its outcome.
                    sources.remove(self._answer)
            else:
                # Only when nothing is left to read: a test's program may live on and keep the pipe open.
                sources.remove(self._process.sentinel)
        self._on_end(self, outcome)

    def end(self) -> None:
        """End the run, and wait until it has cleaned up."""
        self._process.terminate()
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._thread.join()
        self._screen.close()
        self._answer.close()
