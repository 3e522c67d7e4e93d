# SPDX-License-Identifier: MIT
"""Kernels made ready while the parts before them run: tests leave some of the processors idle."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable

from r4l import home
from r4l.process import end_group
from r4l.selftest import parts
from r4l.selftest.parts import Need
from r4l.stages import Stages

LOWEST = 19
"""Niceness of a kernel that is not the next one needed."""


class Ahead:
    """Runs `r4l setup` for one kernel after the other, in the order in which they are needed.

    Whether a kernel came to be is for `set_up` to find, which goes on from there and tells what is wrong. As a context
    manager it ends on exit what still runs.

    Args:
        needs: kernels in the order in which the parts need them; the first is made at the usual priority, since the
            tests wait for it, and the others at the lowest.
    """

    def __init__(self, needs: Iterable[Need]) -> None:
        self._done = {need: threading.Event() for need in needs}
        self._guard = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="r4l-ahead", daemon=True)

    def wait_for(self, need: Need, stages: Stages) -> None:
        """Wait until the making of a kernel has ended; it can have failed."""
        done = self._done[need]
        if not done.is_set():
            with stages.stage(f"kernel {need[0]} ({need[1]}), begun before"):
                done.wait()

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
        """Start `r4l setup` for a kernel; None after the end."""
        name, arch = need
        argv = ["setpriv", "--pdeathsig", "TERM", "nice", "-n", str(niceness)]
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
