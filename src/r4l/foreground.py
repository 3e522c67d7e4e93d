# SPDX-License-Identifier: MIT
"""Run a program on the user's terminal, and let it finish its output when it is interrupted."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

ALONE, TOGETHER = 0.5, 10.0
"""Seconds after which a program that has not ended is interrupted: `ALONE` if only this process got the signal,
`TOGETHER` if the program probably got it too (a second interrupt would cut short its cleanup)."""
PATIENCE = 30.0
"""Seconds from this interrupt to SIGKILL."""


def run_here(argv: Sequence[str], cwd: Path, *, output: IO[str] | None = None) -> int:
    """Run a program on this terminal to its end, and return its exit code. An interrupted program gets time to finish
    its output.

    Args:
        output: an open file for its standard output; this process's own by default.

    Raises:
        KeyboardInterrupt: this process was interrupted; the program has ended too.
    """
    told: list[int] = []
    begun = False

    def interrupt(number: int, _frame: object) -> None:
        told.append(number)
        # During the start of the program, an exception would lose track of it.
        if begun:
            raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    # A terminal sends SIGINT for ^C to the program too; `kill` sends SIGTERM to this process only.
    with _handling(numbers, interrupt), subprocess.Popen(argv, cwd=cwd, stdout=output) as process:
        try:
            begun = True
            if told:
                raise KeyboardInterrupt
            return process.wait()
        except KeyboardInterrupt:
            with _handling(numbers, signal.SIG_IGN):
                # With SIGINT ignored, as in a script's background jobs, the program reacts to SIGTERM only.
                ask = signal.SIGINT if signal.SIGINT in numbers else signal.SIGTERM
                _see_out(process, ask, ALONE if signal.SIGTERM in told else TOGETHER)
            raise


@contextlib.contextmanager
def _handling(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _see_out(process: subprocess.Popen[bytes], ask: signal.Signals, moment: float) -> None:
    """Wait for a program to end; send it a signal after `moment` seconds, and SIGKILL after `PATIENCE` more."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
        return
    process.send_signal(ask)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
        return
    process.kill()
    process.wait()
