# SPDX-License-Identifier: MIT
"""One run, in a forked child: build, then tests, or load and unload."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module, unchanged
from r4l.module.unchanged import Known
from r4l.net import Nic
from r4l.process import plain
from r4l.testing.exitcodes import EXIT_CODES
from r4l.vm import VM

PYTEST = (
    "-q",
    "--no-header",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    # We have imported what pytest would have liked to rewrite.
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


@dataclass(frozen=True)
class Job:
    """What a run is to do.

    Attributes:
        folder: of the module.
        kernel: to build for and to test on.
        sources: the folders that the module is built from.
        tests: files; none: load the module and unload it.
        cwd: where pytest is started.
        arguments: more for pytest.
        parameters: of the module, where it is loaded.
        color: the output goes to a terminal.
        columns: of that terminal.
        known: what the last run built.
    """

    folder: Path
    kernel: Kernel
    sources: tuple[Path, ...]
    tests: tuple[Path, ...]
    cwd: Path
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    color: bool = False
    columns: int = 80
    known: Known | None = None


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        code: one of `r4l.errors.EXIT_CODES`.
        steps: what was done, each with its seconds.
        error: what went wrong, where it was not a test.
        known: what was built.
    """

    code: int = 0
    steps: list[tuple[str, float]] = field(default_factory=list)
    error: R4LError | None = None
    known: Known | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Something that is done now."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.steps.append((name, time.monotonic() - begin))


def main(job: Job, screen: Connection, answer: Connection) -> None:
    """The child: do the job.

    Args:
        screen: becomes stdout and stderr.
        answer: gets the `Outcome`.
    """
    # A group of its own: ^C at the terminal reaches only our owner, which ends us by SIGTERM.
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_owner, daemon=True).start()
    for descriptor in (1, 2):
        os.dup2(screen.fileno(), descriptor)
    os.environ["COLUMNS"] = str(job.columns)
    outcome = Outcome(known=job.known)
    try:
        _do(job, outcome)
    except R4LError as error:
        outcome.code, outcome.error = error.exit_code, _plain(error)
    except KeyboardInterrupt:
        outcome.code = 130
    sys.stdout.flush()
    answer.send(outcome)


def _interrupt(*_: object) -> None:
    # A second one must not disturb the clearing up after the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_owner() -> None:
    owner = parent_process()
    assert owner is not None
    connection.wait([owner.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _do(job: Job, outcome: Outcome) -> None:
    if job.known:
        unchanged.remember(job.known)
    with outcome.step("build"):
        modules = _build(job, outcome)
    if job.tests:
        with outcome.step("tests"):
            outcome.code = _test(job)
    else:
        _load(job, modules, outcome)


def _build(job: Job, outcome: Outcome) -> list[BuiltModule]:
    printed: dict[str, str] = {}
    before = unchanged.stamp(job.sources)
    try:
        modules = Module(job.folder).build_all(
            job.kernel, say=lambda line: printed.update({plain(line): line}), color=job.color
        )
    except R4LError as error:
        error.detail = "\n".join(printed.get(line, line) for line in error.detail.splitlines())
        raise
    outcome.known = Known(job.folder, job.kernel.key, job.sources, before, tuple(modules))
    unchanged.remember(outcome.known)
    return modules


def _test(job: Job) -> int:
    os.chdir(job.cwd)
    argv = [*PYTEST, "--kernel", job.kernel.name, "--arch", job.kernel.arch, f"--color={'yes' if job.color else 'no'}"]
    code = pytest.main([*argv, *job.arguments, *map(str, job.tests)])
    return EXIT_CODES.get(code, 120)


def _load(job: Job, modules: list[BuiltModule], outcome: Outcome) -> None:
    with VM(job.kernel, nics=[Nic("e1000")], snapshot=True) as vm:
        since = vm.klog.mark()
        try:
            with outcome.step("load"):
                for module in modules:
                    vm.insmod(module, **job.parameters)
                vm.klog.sync()
            with outcome.step("unload"):
                for module in reversed(modules):
                    vm.rmmod(module.name)
                vm.klog.check()
        finally:
            for record in vm.klog.records(since):
                print(f"  {record.text}")


def _plain(error: R4LError) -> R4LError:
    """An error as one that can be sent to another process."""
    sent = R4LError(error.cause, error.remedy, detail=error.detail, log=error.log, known=error.known)
    sent.kind, sent.exit_code = error.kind, error.exit_code
    return sent
