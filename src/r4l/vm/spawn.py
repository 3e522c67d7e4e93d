# SPDX-License-Identifier: MIT
"""Start programs that must not outlive this process.

bubblewrap's --die-with-parent uses PR_SET_PDEATHSIG, whose "parent" is the *thread* that forked: a worker thread that
starts a VM and ends would end the VM too. So one thread, which lives as long as the process, starts all of them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

Job = tuple[Future[Any], Callable[[], Any]]


class _Spawner:
    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        # A daemon thread, so that it does not keep the process alive; its programs end with it.
        threading.Thread(target=self._work, name="r4l-spawner", daemon=True).start()

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 (handed to whoever asked)
                future.set_exception(error)

    def call(self, job: Callable[[], Any], undo: Callable[[Any], object]) -> Any:
        future: Future[Any] = Future()
        self._jobs.put((future, job))
        try:
            return future.result()
        except KeyboardInterrupt:
            # Nobody gets the result, which may come later.
            future.add_done_callback(lambda done: None if done.exception() else undo(done.result()))
            raise


_guard = threading.Lock()
_spawner: _Spawner | None = None


def _forget() -> None:
    """Reset the spawner in a forked child, where its thread does not exist."""
    global _spawner, _guard
    _spawner, _guard = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to a program of `spawn`, and to all in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    descriptors: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    started: Callable[[subprocess.Popen[bytes]], object] = lambda _: None,
) -> subprocess.Popen[bytes]:
    """Start a program with its output in `log` and the given descriptors open at their own numbers.

    The program gets a session of its own, so that Ctrl-C at the terminal reaches only this process.

    Args:
        started: called with the program, on the thread that starts it; Ctrl-C may keep the result from the caller.

    Raises:
        FileNotFoundError: the program does not exist.
    """
    global _spawner
    with _guard:
        if _spawner is None:
            _spawner = _Spawner()
        spawner = _spawner

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                start_new_session=True,
                env=env,
            )
        started(process)
        return process

    process: subprocess.Popen[bytes] = spawner.call(start, kill_session)
    return process
