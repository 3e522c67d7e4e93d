# SPDX-License-Identifier: MIT
"""Prepare kernels while earlier parts run: the tests leave some of the processors idle."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable

from r4l import home
from r4l.process import dying, end_group
from r4l.selftest import parts
from r4l.selftest.parts import Need
from r4l.stages import Stages
from r4l.threads import guarded

LOWEST = 19
"""Niceness for a kernel that is not needed next."""


class Ahead:
    """Runs `r4l setup` for one kernel after the other, in the order of need. A context manager; on exit it ends a
    running setup.

    Failures are not reported here: `set_up` continues an unfinished kernel and reports the cause.

    Args:
        needs: kernels in the order in which the parts need them. The first is made at normal priority, since the tests
            wait for it; the others at the lowest.
    """

    def __init__(self, needs: Iterable[Need]) -> None:
        self._done = {need: threading.Event() for need in needs}
        self._guard = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._thread = threading.Thread(target=guarded(self._work, self._failed), name="r4l-ahead", daemon=True)

    def wait_for(self, need: Need, stages: Stages) -> None:
        """Wait until the setup of a kernel has ended, successfully or not."""
        done = self._done[need]
        if not done.is_set():
            with stages.stage(f"kernel {need[0]} ({need[1]}), begun before"):
                done.wait()

    def _failed(self, _error: BaseException) -> None:
        # Those who wait make the kernels themselves.
        for done in self._done.values():
            done.set()

    def _work(self) -> None:
        for number, (need, done) in enumerate(self._done.items()):
            try:
                process = self._start(need, LOWEST if number else 0)
                if process is None:
                    return
                process.wait()
            finally:
                done.set()

    def _start(self, need: Need, niceness: int) -> subprocess.Popen[bytes] | None:
        """Start `r4l setup` for a kernel; return None after the exit of the context."""
        name, arch = need
        argv = [*dying("TERM"), "nice", "-n", str(niceness)]
        argv += [parts.PYTHON, "-m", "r4l", "setup", "--kernel", name, "--arch", arch]
        log = home.room("logs") / "selftest-ahead.log"
        with self._guard, log.open("ab") as output:
            if self._closed:
                return None
            self._running = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
            return self._running

    def __enter__(self) -> Ahead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._closed = True
        if self._running:
            end_group(self._running)
        self._thread.join()
