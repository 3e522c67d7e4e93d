# SPDX-License-Identifier: MIT
"""One run in a forked child: build, then tests, or load and unload."""

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
from r4l.module.unchanged import LastBuild
from r4l.net import Nic
from r4l.process import without_colours
from r4l.settings import Settings
from r4l.terminal import escaped
from r4l.testing.exitcodes import EXIT_CODES
from r4l.threads import guarded
from r4l.vm import VM

PYTEST = (
    "-q",
    "--no-header",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    # Modules that pytest would rewrite are imported already.
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


@dataclass(frozen=True)
class Job:
    """Description of a run.

    Attributes:
        folder: the module's folder.
        kernel: kernel to build for and to test on.
        sources: folders that the module is built from.
        tests: test files; empty to load the module and unload it.
        cwd: folder to start pytest in.
        arguments: further arguments for pytest.
        parameters: module parameters for a load without tests.
        config: options of Kconfig that the module is built with.
        color: True if the output goes to a terminal.
        columns: width of that terminal.
        known: the last run's build.
    """

    folder: Path
    kernel: Kernel
    sources: tuple[Path, ...]
    tests: tuple[Path, ...]
    cwd: Path
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    color: bool = False
    columns: int = 80
    known: LastBuild | None = None


@dataclass
class JobResult:
    """Result of a run.

    Attributes:
        code: one of `r4l.errors.EXIT_CODES`.
        steps: the steps done, each with its seconds.
        error: the error that ended the run, except failures of tests.
        known: the build.
    """

    code: int = 0
    steps: list[tuple[str, float]] = field(default_factory=list)
    error: R4LError | None = None
    known: LastBuild | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step of the run."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.steps.append((name, time.monotonic() - begin))


def main(job: Job, screen: Connection, answer: Connection) -> None:
    """Do the job; entry point of the child.

    Args:
        screen: becomes stdout and stderr.
        answer: receives the `JobResult`.
    """
    # Own process group: ^C at the terminal reaches only the owner, which ends this process by SIGTERM.
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=guarded(_await_owner, _end), daemon=True).start()
    for descriptor in (1, 2):
        os.dup2(screen.fileno(), descriptor)
    os.environ["COLUMNS"] = str(job.columns)
    outcome = JobResult(known=job.known)
    try:
        _do(job, outcome)
    except R4LError as error:
        outcome.code, outcome.error = error.exit_code, _plain(error)
    except KeyboardInterrupt:
        outcome.code = 130
    sys.stdout.flush()
    answer.send(outcome)


def _interrupt(*_: object) -> None:
    # A second SIGTERM must not disturb the cleanup after the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _await_owner() -> None:
    owner = parent_process()
    assert owner is not None
    connection.wait([owner.sentinel])
    _end()


def _end(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _do(job: Job, outcome: JobResult) -> None:
    if job.known:
        unchanged.remember(job.known)
    with outcome.step("build"):
        modules = _build(job, outcome)
    if job.tests:
        with outcome.step("tests"):
            outcome.code = _test(job)
    else:
        _load(job, modules, outcome)


def _build(job: Job, outcome: JobResult) -> list[BuiltModule]:
    printed: dict[str, str] = {}
    before = unchanged.stamp(job.sources)
    try:
        module = Module(job.folder, job.config)
        modules = module.build_all(
            job.kernel, say=lambda line: printed.update({without_colours(line): line}), color=job.color
        )
    except R4LError as error:
        error.detail = "\n".join(printed.get(line, line) for line in error.detail.splitlines())
        raise
    outcome.known = LastBuild(job.folder, module.key(job.kernel), job.sources, before, tuple(modules))
    unchanged.remember(outcome.known)
    return modules


def _test(job: Job) -> int:
    os.chdir(job.cwd)
    # As `python -m pytest` does, which `r4l test` calls: tests may import modules of the folder.
    sys.path.insert(0, str(job.cwd))
    argv = [*PYTEST, "--kernel", job.kernel.name, "--arch", job.kernel.arch, f"--color={'yes' if job.color else 'no'}"]
    argv += [f"--r4l-config={name}={value}" for name, value in job.config.items()]
    code = pytest.main([*argv, *job.arguments, *map(str, job.tests)])
    return EXIT_CODES.get(code, 120)


def _load(job: Job, modules: list[BuiltModule], outcome: JobResult) -> None:
    machine = dict(Settings.near(job.folder).machine)
    cards = [Nic(machine.pop("nic_model", "e1000")) for _ in range(machine.pop("nics", 1))]
    # QEMU does not save the state of every device.
    machine.setdefault("snapshot", not machine.get("devices"))
    with VM(job.kernel, nics=cards, **machine) as vm:
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
                print(f"  {escaped(record.text)}")


def _plain(error: R4LError) -> R4LError:
    """Convert an error to a plain `R4LError`, which can be pickled."""
    sent = R4LError(error.cause, error.remedy, detail=error.detail, log=error.log, known=error.known)
    sent.category, sent.exit_code = error.category, error.exit_code
    return sent
