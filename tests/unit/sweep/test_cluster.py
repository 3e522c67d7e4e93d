# SPDX-License-Identifier: MIT
"""Work spread over processes: each item is done once, whatever becomes of a worker."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from r4l import cluster, home, resources
from r4l.cluster import SharedKernel, UnfitWorker
from r4l.errors import EnvironmentFault
from r4l.pci.models.edu import Edu
from r4l.sweep import Baseline, CellResult, Results, SweptDriver, Wanted
from r4l.toolchain import Toolchain


def square(folder: str, number: int) -> int:
    """Square a number; the process dies at 3, the first time."""
    mark = Path(folder) / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise ValueError("five")
    with (Path(folder) / "done").open("a") as file:
        file.write(f"{number}\n")
    return number * number


def pause(_: None, seconds: float) -> None:
    """Do nothing for some seconds."""
    time.sleep(seconds)


def test_a_killed_worker_loses_nothing_and_nothing_counts_twice(tmp_path: Path) -> None:
    with cluster.connected(jobs=2) as client:
        found = list(cluster.spread(client, square, str(tmp_path), list(range(8))))
    assert (tmp_path / "died").exists()
    results = dict(found)
    assert len(found) == len(results) == 8
    assert isinstance(results.pop(5), ValueError)
    assert results == {number: number * number for number in range(8) if number != 5}


def test_workers_of_this_computer_do_not_profile_themselves() -> None:
    with cluster.connected(jobs=1) as client:
        # A profile has a sample for every 10 ms of a call.
        assert list(cluster.spread(client, pause, None, [1.0])) == [(1.0, None)]
        assert client.profile()["count"] == 0


def test_no_scheduler_and_no_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    # Dask tries to connect again until this time is over.
    monkeypatch.setattr(cluster, "CONNECT", 3)
    with pytest.raises(EnvironmentFault, match="no scheduler of Dask answers"), cluster.connected("tcp://127.0.0.1:9"):
        pass
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as without,
        pytest.raises(EnvironmentFault, match="how many virtual machines it holds") as refused,
        cluster.connected(without.scheduler_address),
    ):
        pass
    assert f"dask worker {without.scheduler_address}" in refused.value.remedy


class Scheduler:
    """Dask's own programs: a scheduler, and workers of it, each a process of this computer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: list[subprocess.Popen[str]] = []
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler, said = self._start("scheduler", *options, until=r"Scheduler at: +(tcp://\S+)")
        self.address = said[1]

    def _start(self, name: str, *words: str, until: str) -> tuple[subprocess.Popen[str], re.Match[str]]:
        """Start a program, and return it with the words that it says when it is ready."""
        # A file, since nobody reads on: a full pipe would stop the program.
        log = self._folder / f"{name}-{len(self._programs)}.log"
        with log.open("w") as said:
            program = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{name}", *words],
                stdout=subprocess.DEVNULL,
                stderr=said,
                text=True,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path.cwd()), *sys.path))},
            )
        self._programs.append(program)
        while program.poll() is None:
            if found := re.search(until, log.read_text()):
                return program, found
            time.sleep(0.05)
        raise AssertionError(f"dask {name} has ended: {log.read_text()}")

    def worker(self) -> subprocess.Popen[str]:
        """Start a worker that holds one virtual machine."""
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--resources", "vm=1"]
        return self._start("worker", self.address, *options, until="Registered to")[0]

    def close(self) -> None:
        for program in self._programs:
            program.kill()
            program.wait()


@pytest.mark.parametrize("resources", [None, {"vm": 0}, {"gpu": 1}])
def test_work_that_no_worker_takes_ends_with_the_reason(
    resources: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker that comes too late for the first look, too: the cluster has none when the work begins."""
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "WORD_AFTER", 0.5)
    monkeypatch.setattr(cluster, "LOOK", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as local,
        cluster.connected(local.scheduler_address) as client,
    ):
        if resources is not None:
            local.worker_spec = {
                0: {**local.new_spec, "options": {**local.new_spec["options"], "resources": resources}}
            }
            local.sync(local._correct_state)
        with pytest.raises(EnvironmentFault, match=r"no worker of \S+ holds virtual machines, for 1.5 s") as refused:
            list(cluster.spread(client, unfit, None, [1, 3], patience=1.5))
        said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds virtual machines: waiting for one, 1.5 s at most" in said
    assert f"dask worker {local.scheduler_address}" in refused.value.remedy
    assert "--wait" in refused.value.remedy


def test_a_worker_that_comes_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "LOOK", 0.1)
    with (
        LocalCluster(
            n_workers=0, threads_per_worker=1, processes=False, resources={"vm": 1}, dashboard_address="127.0.0.1:0"
        ) as local,
        cluster.connected(local.scheduler_address) as client,
    ):
        late = threading.Timer(0.5, local.scale, [1])
        late.start()
        assert sorted(cluster.spread(client, unfit, None, [1, 3], patience=60)) == [(1, 1), (3, 3)]
        late.join()
        # Dask logs a traceback when it cannot reach its scheduler again.
        assert not logging.getLogger("distributed.client").isEnabledFor(logging.ERROR)
    assert logging.getLogger("distributed.client").isEnabledFor(logging.ERROR)


BASELINE = Baseline("", "m", (), (), 1.0, ())
CELLS = [f"probe:unplug#{nth}" for nth in range(1, 25)]
MORE = 5
"""Calls that end before a program is killed."""


class Gate:
    """A limit for the calls of workers, in files: the test decides how many of them end.

    Args:
        folder: folder that the workers have, too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "gate"
        self._folder.mkdir(exist_ok=True)

    @property
    def ended(self) -> int:
        """Number of calls that have ended."""
        return len(list(self._folder.glob("*.ended")))

    def allow(self, more: int) -> None:
        """Let so many more calls end."""
        home.replace_text(self._folder / "allowed", str(self.ended + more))

    def wait(self) -> None:
        """Wait until all that may end have ended."""
        while self.ended < int((self._folder / "allowed").read_text()):
            time.sleep(0.02)

    def end(self) -> None:
        """End a call, once it may."""
        while self.ended >= int((self._folder / "allowed").read_text()):
            time.sleep(0.02)
        (self._folder / f"{uuid.uuid4()}.ended").touch()


def cells_done(work: tuple[SweptDriver, Baseline], cells: Sequence[str]) -> list[CellResult]:
    """Judge cells as a worker does, without a machine."""
    Gate(Path(work[0].label)).end()
    return [CellResult(work[0].key, cell, "handled", "service went on") for cell in cells]


# Only a limit for what would never end: five programs of Dask's start in it, on a computer that may be busy.
@pytest.mark.timeout(1200)
def test_after_the_death_of_worker_and_scheduler_the_next_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask's real programs: first the only worker dies, then the scheduler; each cell has one result at the end."""
    sweep_module = importlib.import_module("r4l.sweep.sweep")
    monkeypatch.setattr(sweep_module, "run_cells", cells_done)
    # Shares of one cell each.
    monkeypatch.setattr(sweep_module, "SHARES", len(CELLS))
    monkeypatch.setattr(sweep_module, "ready", lambda subject: SimpleNamespace(model=Edu))
    monkeypatch.setattr(cluster, "LOOK", 0.2)
    # Seconds within which a scheduler answers that is alive, however busy this computer is.
    monkeypatch.setattr(cluster, "WORD_AFTER", 60)
    monkeypatch.setattr(cluster, "CONNECT", 300)
    gate = Gate(tmp_path)
    driver = SweptDriver(str(tmp_path), "m", SharedKernel("stock", "x86_64", "{}"), {}, "", "python:edu", {}, False, "")

    def sweep(cluster_: Scheduler, kill: subprocess.Popen[str] | None, patience: float = 600) -> int:
        """Sweep until the end, or until a program is killed after some results; return the number of results."""
        # The rest is for a later sweep, since a worker has one call at a time.
        gate.allow(MORE if kill else len(CELLS))
        with Results(tmp_path) as results:
            results.baselines[driver.key] = replace(BASELINE, key=driver.key)
            before = len(results.cells)

            def say(_: str) -> None:
                if kill and kill.poll() is None and len(results.cells) >= before + 2:
                    # Some more calls end, whose results are on the worker alone unless they are fetched meanwhile.
                    gate.wait()
                    kill.kill()

            try:
                words = {"address": cluster_.address, "patience": patience, "say": say}
                sweep_module.sweep([driver], Wanted(named=CELLS), results, **words)
            finally:
                done = len(Results(tmp_path).cells)
        return done

    first = Scheduler(tmp_path)
    try:
        with pytest.raises(EnvironmentFault, match=r"no worker of \S+ holds virtual machines, for 1 s"):
            sweep(first, first.worker(), patience=1)
        after_worker = len(Results(tmp_path).cells)
        assert 2 <= after_worker <= MORE
        first.worker()
        with pytest.raises(EnvironmentFault, match="the scheduler is gone"):
            sweep(first, first.scheduler)
        after_scheduler = len(Results(tmp_path).cells)
        assert after_worker + 2 <= after_scheduler <= after_worker + MORE
    finally:
        first.close()
    second = Scheduler(tmp_path)
    try:
        second.worker()
        assert sweep(second, None) == len(CELLS)
    finally:
        second.close()
    lines = [json.loads(line)["cell"]["cell"] for line in Results(tmp_path).path.read_text().splitlines()]
    assert sorted(lines) == sorted(CELLS), "a cell counts twice"


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match="not installed") as refused:
        cluster.require()
    assert "r4l[sweep]" in refused.value.remedy


@pytest.fixture
def workers() -> Iterator[str]:
    """A scheduler with one worker, which is a thread of this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, resources={"vm": 1}, dashboard_address="127.0.0.1:0"
    ) as local:
        yield local.scheduler_address


def unfit(_: None, number: int) -> int:
    """Fail as a worker does that cannot make the kernel, at 2."""
    if number == 2:
        raise UnfitWorker("host2 cannot be made ready for stock: no space", "free some", detail="No space left")
    return number


def test_an_unfit_worker_ends_the_work(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with cluster.connected(workers) as client:
        with pytest.raises(UnfitWorker, match="no space") as refused:
            list(cluster.spread(client, unfit, None, [1, 2, 3]))
        assert (refused.value.remedy, refused.value.detail) == ("free some", "No space left")
        # Of another r4l: the worker is another thread than the caller.
        monkeypatch.setattr(cluster, "own_key", lambda: threading.current_thread().name)
        with pytest.raises(UnfitWorker, match="another r4l"):
            list(cluster.spread(client, unfit, None, [1]))


def test_a_wheel_has_the_key_of_its_checkout(tmp_path: Path) -> None:
    assert resources.checkout()
    package = Path(cluster.__file__).parent
    shutil.copytree(package, tmp_path / "r4l")
    for folder in (resources.rust(), resources.labs()):
        shutil.copytree(folder, tmp_path / "r4l" / folder.name)
    (tmp_path / "r4l/labs/03-hello/.pytest_cache").mkdir()
    (tmp_path / "r4l/labs/03-hello/compile_commands.json").write_text("[]")

    def key() -> str:
        argv = [sys.executable, "-c", "from r4l import cluster; print(cluster.__file__, cluster.own_key())"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        file, found = subprocess.run(
            argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.split()
        assert file == str(tmp_path / "r4l/cluster.py")
        return found

    assert key() == cluster.own_key()
    with (tmp_path / "r4l/rust/drivers/hello/hello.rs").open("a") as file:
        file.write("// changed\n")
    assert key() != cluster.own_key()


LOCK = json.dumps({"packages": {"bc": "1.07"}, "kernel": "7.3.4+deb13-amd64", "kernel_version": "7.3.4-1"})


@pytest.mark.parametrize(
    ("made", "name", "wanted", "locked"),
    [
        (None, "stock", "stock", True),
        ({"bc": "1.06"}, "stock", "stock", True),
        ({"bc": "1.07"}, "stock", "7.3.4+deb13-amd64", False),
        ({"bc": "1.07", "proot": "5.1"}, "stock", "7.3.4+deb13-amd64", False),
        ({"bc": "1.07"}, "minimal", "minimal", False),
        (None, "minimal", "minimal", True),
    ],
    ids=[
        "an empty home",
        "another toolchain",
        "the same",
        "the same and more",
        "the same, from source",
        "an empty home, from source",
    ],
)
def test_a_worker_makes_its_home_by_the_lock_file(
    made: dict[str, str] | None, name: str, wanted: str, locked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the versions are not those of the work: a worker on the user's own computer changes nothing there."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    monkeypatch.setattr(Toolchain, "made", lambda: made and SimpleNamespace(packages=made))
    calls: list[tuple[str, str, str]] = []

    def set_up(_: object, name: str, *, arch: str, lock_file: Path | None) -> object:
        calls.append((name, arch, lock_file.read_text() if lock_file else ""))
        return calls

    monkeypatch.setattr(cluster, "set_up", set_up)
    monkeypatch.setattr(cluster, "_ready", {})
    kernel = SharedKernel(name, "x86_64", LOCK)
    assert kernel.ready() is kernel.ready()
    assert calls == [(wanted, "x86_64", LOCK if locked else "")]


def test_a_computer_that_cannot_be_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def set_up(*_: object, **__: object) -> None:
        raise EnvironmentFault("no network", "connect it", detail="says apt")

    monkeypatch.setattr(Toolchain, "made", lambda: None)
    monkeypatch.setattr(cluster, "set_up", set_up)
    monkeypatch.setattr(cluster, "_ready", {})
    with pytest.raises(UnfitWorker, match="cannot be made ready for stock: no network") as refused:
        SharedKernel("stock", "x86_64", LOCK).ready()
    assert (refused.value.remedy, refused.value.detail) == ("connect it", "says apt")
