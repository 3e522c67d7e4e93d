# SPDX-License-Identifier: MIT
"""Parallel download and unpacking of packages: several downloads, and a worker for each processor."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from r4l.debian.extract import Rules
from r4l.debian.mirror import Mirror
from r4l.debian.package import Package
from r4l.errors import NO_SPACE, EnvironmentFault, disk_full
from r4l.process import Say, dying, ends_with_us, quiet
from r4l.threads import guarded

DOWNLOADS = 6
"""Number of files that are downloaded at once."""
WORKERS = 4
"""Largest number of workers, since the disk has to keep up."""
WORKER = (sys.executable, "-I", str(Path(__file__).with_name("extract.py")))


class Worker:
    """A process that unpacks packages, one after the other, for one thread."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def unpack(self, deb: Path, folder: Path, rules: Rules, name: str = "") -> None:
        """Lay the files of a package over a folder.

        Args:
            deb: path of the package.
            folder: target.
            rules: files to leave out.
            name: name of the package for messages; the file's by default.

        Raises:
            EnvironmentFault: the disk is full, the file is not a package, or the worker was killed.
        """
        job = {"deb": str(deb), "folder": str(folder), **dataclasses.asdict(rules)}
        assert self._process.stdin
        assert self._process.stdout
        line = b""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            line = self._process.stdout.readline()
        if not line:
            raise EnvironmentFault(
                "the program that unpacks packages was killed", "run the command again, with more free memory"
            )
        answer = json.loads(line)
        if answer.get("errno") in NO_SPACE:
            raise disk_full(answer["error"])
        if answer:
            raise EnvironmentFault(f"cannot unpack {name or deb.name}: {answer['error']}", "run the command again")


@contextlib.contextmanager
def a_worker() -> Iterator[Worker]:
    """Yield a worker, which ends with the `with` block."""
    # The kernel kills the worker with its owner, also during a job.
    argv = [*dying("KILL"), *WORKER]
    with (
        subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        ) as process,
        ends_with_us(process),
    ):
        try:
            yield Worker(process)
        finally:
            process.kill()


def unpack(
    mirror: Mirror, packages: Sequence[Package], debs: Path, folder: Path, rules: Rules, say: Say = quiet
) -> None:
    """Download packages and lay their files over a folder; the .deb files are removed when all are unpacked.

    Args:
        mirror: source of the files.
        packages: the packages.
        debs: folder of the .deb files; existing ones are not downloaded again.
        folder: target.
        rules: files to leave out.
        say: receives each step.

    Raises:
        EnvironmentFault: the network, a package or disk space is missing. Downloaded files stay for another try.
    """
    _Crew(mirror, packages, debs, folder, rules, say).run()
    for package in packages:
        (debs / deb_name(package)).unlink(missing_ok=True)


def download(mirror: Mirror, packages: Sequence[Package], folder: Path) -> dict[str, Path]:
    """Download packages, several at once, and return the paths of their .deb files by the packages' names.

    Raises:
        EnvironmentFault: the network failed, or the disk is full.
    """
    targets = {package.name: folder / deb_name(package) for package in packages}
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        jobs = [pool.submit(mirror.fetch, package.file, targets[package.name]) for package in packages]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            mirror.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return targets


def deb_name(package: Package) -> str:
    """Return the file name of a package's .deb in the home, made from its hash."""
    return f"{package.name}-{package.file.sha256[:32]}.deb"


class _Crew:
    def __init__(
        self, mirror: Mirror, packages: Sequence[Package], debs: Path, folder: Path, rules: Rules, say: Say
    ) -> None:
        self.mirror, self.debs, self.folder, self.rules, self.say = mirror, debs, folder, rules, say
        # The largest first, so that the last ones are unpacked quickly.
        self.wanted = sorted(packages, key=lambda package: package.file.size, reverse=True)
        self.total = sum(package.file.size for package in packages) or 1
        self.bytes = 0
        self.todo: queue.SimpleQueue[Package] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[Package | None] = queue.SimpleQueue()
        self.left = len(packages)
        self.lock = threading.Lock()
        self.fault: BaseException | None = None
        self.files: dict[str, IO[bytes]] = {}

    def run(self) -> None:
        with contextlib.ExitStack() as self.open:
            self._run()

    def _run(self) -> None:
        self.debs.mkdir(parents=True, exist_ok=True)
        for package in self.wanted:
            self.todo.put(package)
        workers = min(WORKERS, len(os.sched_getaffinity(0)), len(self.wanted))
        jobs = [self._download] * min(DOWNLOADS, len(self.wanted)) + [self._unpack] * workers
        # Daemon threads, so that Ctrl-C does not wait for a download.
        threads = [threading.Thread(target=guarded(job, self._give_up), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            self._give_up(None)
            raise
        if self.fault:
            raise self.fault

    def _give_up(self, fault: BaseException | None) -> None:
        with self.lock:
            self.fault = self.fault or fault
        self.mirror.stop.set()
        for _ in range(WORKERS):
            self.ready.put(None)

    def _download(self) -> None:
        while not self.mirror.stop.is_set():
            try:
                package = self.todo.get_nowait()
            except queue.Empty:
                return
            self._open(package)
            with self.lock:
                self.bytes += package.file.size
                share = 100 * self.bytes // self.total
            self.say(f"{share} % downloaded, {package.name}")
            self.ready.put(package)

    def _open(self, package: Package) -> None:
        """Fetch and open a package's .deb; once open, it may be removed by another process that is done with it."""
        target = self.debs / deb_name(package)
        while True:
            self.mirror.fetch(package.file, target)
            with contextlib.suppress(FileNotFoundError):
                self.files[package.name] = self.open.enter_context(target.open("rb"))
                return

    def _unpack(self) -> None:
        with a_worker() as worker:
            while (package := self.ready.get()) is not None and not self.mirror.stop.is_set():
                file = self.files[package.name]
                worker.unpack(Path(f"/proc/{os.getpid()}/fd/{file.fileno()}"), self.folder, self.rules, package.name)
                file.close()
                self.say(f"unpacked {package.name}")
                with self.lock:
                    self.left -= 1
                    if self.left == 0:
                        for _ in range(WORKERS):
                            self.ready.put(None)
