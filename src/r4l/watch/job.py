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
from typing import TextIO

import pytest

from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.kernel.named import is_path
from r4l.module import BuiltModule, Module, unchanged
from r4l.module.unchanged import LastBuild
from r4l.net import Nic
from r4l.process import without_colours
from r4l.settings import Settings
from r4l.terminal import escaped
from r4l.testing.exitcodes import EXIT_CODES
from r4l.threads import guarded, thread_failure
from r4l.vm import VM

PYTEST = (
    "-q",
    "--no-header",
    "--tb=short",
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
        tests: files and folders to give to pytest; empty for all tests that it finds in `cwd`.
        everything: True if these are all tests: where there are none, the module is loaded and unloaded.
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
    tests: tuple[Path, ...]
    everything: bool
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
        known: the build; None if only make can tell whether it is up to date.
        built: True if the module was built.
        around: files and folders outside of the module's that its build is known to read.
    """

    code: int = 0
    steps: list[tuple[str, float]] = field(default_factory=list)
    error: R4LError | None = None
    known: LastBuild | None = None
    built: bool = False
    around: frozenset[Path] = frozenset()

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
    sys.stdout, sys.stderr = (_stream(descriptor, screen) for descriptor in (1, 2))
    os.environ["COLUMNS"] = str(job.columns)
    outcome = JobResult(known=job.known)
    try:
        _do(job, outcome)
    except R4LError as error:
        outcome.code, outcome.error = error.exit_code, _plain(error)
    except KeyboardInterrupt:
        outcome.code = 130
    except BaseException as error:  # noqa: BLE001 (without an outcome, the run would be called killed)
        fault = _plain(thread_failure("the run", error))
        outcome.code, outcome.error = fault.exit_code, fault
    sys.stdout.flush()
    answer.send(outcome)


def _stream(descriptor: int, screen: Connection) -> TextIO:
    """Put the screen in the place of a descriptor; return a stream for it that fails for no character."""
    os.dup2(screen.fileno(), descriptor)
    # Not the present one: its encoding is the user's, and where it wrote to a file, it would seek.
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


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
        kernel = _present(job.kernel)
        modules = _build(job, kernel, outcome)
    with outcome.step("tests"):
        outcome.code, none = _test(job, kernel)
    if none and job.everything:
        outcome.code, outcome.steps = 0, outcome.steps[:-1]
        _load(job, kernel, modules, outcome)


def _present(kernel: Kernel) -> Kernel:
    """Return a kernel as it is now: the user may have built the own tree again."""
    return Kernel.get(kernel.name, arch=kernel.arch) if is_path(kernel.name) else kernel


def _build(job: Job, kernel: Kernel, outcome: JobResult) -> list[BuiltModule]:
    printed: dict[str, str] = {}
    module = Module(job.folder, job.config)
    sources = module.inputs()
    before = unchanged.stamp(sources)
    lasts = before is not None
    if before is None:
        # Enough for this run, in which each test asks for the module.
        sources = (job.folder,)
        before = unchanged.stamp(sources)
    try:
        modules = module.build_all(
            kernel, say=lambda line: printed.update({without_colours(line): line}), color=job.color
        )
    except R4LError as error:
        error.detail = "\n".join(printed.get(line, line) for line in error.detail.splitlines())
        raise
    finally:
        outcome.around = module.read_around(kernel)
    outcome.built = True
    known = LastBuild(job.folder, module.key(kernel), sources, before, tuple(modules))
    unchanged.remember(known)
    outcome.known = known if lasts and module.is_self_contained(kernel) else None
    return modules


class _Selection:
    """A plugin of pytest's that tells tests which are left out from tests that are not there."""

    deselected = False

    def pytest_deselected(self) -> None:
        self.deselected = True


def _test(job: Job, kernel: Kernel) -> tuple[int, bool]:
    """Run tests; return the exit code, and True if there are none."""
    os.chdir(job.cwd)
    # As `python -m pytest` does, which `r4l test` calls: tests may import modules of the folder.
    sys.path.insert(0, str(job.cwd))
    argv = [*PYTEST, "--kernel", kernel.name, "--arch", kernel.arch, f"--color={'yes' if job.color else 'no'}"]
    argv += [f"--r4l-config={name}={value}" for name, value in job.config.items()]
    selection = _Selection()
    code = pytest.main([*argv, *job.arguments, *map(str, job.tests)], plugins=[selection])
    none = code == pytest.ExitCode.NO_TESTS_COLLECTED and not selection.deselected
    return EXIT_CODES.get(code, 120), none


def _load(job: Job, kernel: Kernel, modules: list[BuiltModule], outcome: JobResult) -> None:
    machine = dict(Settings.near(job.folder).machine)
    cards = [Nic(machine.pop("nic_model", "e1000")) for _ in range(machine.pop("nics", 1))]
    # QEMU does not save the state of every device.
    machine.setdefault("snapshot", not machine.get("devices"))
    with VM(kernel, nics=cards, **machine) as vm:
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
