# SPDX-License-Identifier: MIT
"""Work spread over processes and machines by dask.distributed (https://distributed.dask.org).

Dask has the queue, the protocol and the repetition of what was lost with a worker. A worker holds as many virtual
machines at once as its resource `vm` says.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from r4l import home, resources
from r4l.errors import EnvironmentFault, R4LError
from r4l.kernel import Kernel
from r4l.own_python import safe_path
from r4l.rootfs import disk
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.terminal import Console
from r4l.toolchain import Toolchain, lock_of

if TYPE_CHECKING:
    from distributed import Client, Future

MACHINES = "vm"
"""Name of the resource (https://distributed.dask.org/en/stable/resources.html): virtual machines at once."""
CONNECT = 30
"""Seconds within which a scheduler must answer."""
PATIENCE = 300.0
"""Seconds without any worker that holds virtual machines, after which the work ends."""
WORD_AFTER = 5.0
"""Seconds without one, after which a line on stderr says so."""
LOOK = 2.0
"""Seconds between two looks at the workers."""
TICK = 0.1
"""Seconds between two looks at the results, as in `distributed.as_completed`."""
UNWATCHED = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
}
"""Dask's settings for processes on this computer. By default a worker looks at its own stack every 10 ms, and at its
event loop every 20 ms, for a dashboard that nobody opens: 3 % of a processor in each, and 4 % in the scheduler."""
ROOM = "dask"
STOCK = "stock"
SOURCES = frozenset({".py", ".toml", ".rs", ".c", ".h", ".sh", ""})
"""Suffixes of the files that r4l consists of. Editors and builds leave others beside them; Kbuild has none."""
Item = TypeVar("Item")
Shared = TypeVar("Shared")


class UnfitWorker(EnvironmentFault):
    """A worker's computer has another r4l, or cannot make the kernel. It would spoil each call that it gets."""


@dataclass(frozen=True)
class SharedKernel:
    """A kernel as data, of which each worker has its own.

    Attributes:
        name: as for `--kernel`; not the path of a build folder, which other computers do not have.
        arch: the guest's architecture.
        lock: versions of the toolchain and of Debian's kernel, the JSON of a lock file.
    """

    name: str
    arch: str
    lock: str

    @classmethod
    def of(cls, kernel: Kernel, name: str) -> SharedKernel:
        """Return a kernel of this computer as data.

        Args:
            kernel: the kernel.
            name: the user's name of it.
        """
        # The tree in force, since that of the kernel may have extras, which a worker adds itself.
        toolchain = Toolchain.made() or kernel.toolchain
        lock = replace(lock_of(toolchain, kernel.release, kernel.version), images=disk.versions_of(toolchain))
        return cls(name, kernel.arch, json.dumps(lock.as_data(), sort_keys=True))

    @property
    def title(self) -> str:
        """The kernel for people: its release, or the user's name of a kernel from source."""
        return str(json.loads(self.lock)["kernel"]) if self.name == STOCK else self.name

    def ready(self) -> Kernel:
        """Return the kernel on this computer, after the toolchain and the kernel of these versions were made if they
        are missing. Calls of several threads and processes wait for one another.

        Raises:
            UnfitWorker: they cannot be made here.
        """
        with _making:
            if self not in _ready:
                try:
                    _ready[self] = self._make()
                except R4LError as error:
                    raise UnfitWorker(
                        f"{platform.node()} cannot be made ready for {self.name}: {error.cause}",
                        error.remedy,
                        detail=error.detail,
                    ) from error
            return _ready[self]

    def _make(self) -> Kernel:
        lock = json.loads(self.lock)
        file: Path | None = None
        name = self.name
        if self._is_in_force():
            # Without the lock file, `stock` would be the newest kernel that is ready.
            name = lock["kernel"] if name == STOCK else name
        else:
            file = home.room(ROOM) / f"{home.content_key(self.lock)}.lock.json"
            home.replace_text(file, self.lock)
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, Stages(Console(file=nowhere)) as stages:
            return set_up(stages, name, arch=self.arch, lock_file=file)

    def _is_in_force(self) -> bool:
        """True if a toolchain with these versions is in force on this computer already."""
        made = Toolchain.made()
        return made is not None and made.packages.items() >= json.loads(self.lock)["packages"].items()


_ready: dict[SharedKernel, Kernel] = {}
_making = threading.Lock()


def require() -> None:
    """Refuse to go on without dask.distributed.

    Raises:
        EnvironmentFault: it is not installed.
    """
    if importlib.util.find_spec("distributed") is None:
        raise EnvironmentFault(
            "dask.distributed is not installed, which spreads the work over processes and machines",
            "pip install 'r4l[sweep]'",
        )


@contextmanager
def connected(address: str = "", jobs: int = 1) -> Iterator[Client]:
    """Connect to the workers: those of a scheduler, or processes on this computer, which end with the block.

    Args:
        address: of the user's scheduler, such as `tcp://10.0.0.1:8786`; empty for processes on this computer.
        jobs: number of these processes, each with one virtual machine at a time.

    Raises:
        EnvironmentFault: dask is not installed, no scheduler answers, or none of its workers has the resource `vm`.
    """
    require()
    # Imported here: it takes half a second, and only some installations have it.
    import dask
    from distributed import Client, LocalCluster

    if address:
        try:
            client = Client(address, timeout=CONNECT)
        except (OSError, ValueError) as error:
            raise EnvironmentFault(
                f"no scheduler of Dask answers at {address}: {error}",
                "start one with `dask scheduler`, and give its address as it prints it",
            ) from error
        with _silent(), client:
            _require_resource(client, address)
            yield client
        return
    with (
        safe_path(),
        dask.config.set(UNWATCHED),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            resources={MACHINES: 1},
            # A machine's memory is QEMU's, which Dask does not see.
            memory_limit=0,
            # A free port of this computer; Dask's own choice is the same for all.
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            local_directory=str(home.room(ROOM)),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Dask from its own messages, such as a traceback when a scheduler is gone."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _require_resource(client: Client, address: str) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if workers and not any(_holds_machines(worker) for worker in workers):
        raise EnvironmentFault(f"no worker of {address} says how many virtual machines it holds", _start_one(address))


def _holds_machines(worker: Mapping[str, Any]) -> bool:
    """Return True if a worker, as the scheduler describes it, takes calls of `spread`."""
    return bool(worker.get("resources", {}).get(MACHINES, 0) >= 1)


def _start_one(address: str) -> str:
    return f'start one with `dask worker {address} --nthreads 2 --resources "{MACHINES}=2"`'


def spread(
    client: Client,
    function: Callable[[Shared, Item], Any],
    shared: Shared,
    items: Sequence[Item],
    *,
    patience: float = PATIENCE,
) -> Iterator[tuple[Item, Any]]:
    """Call a function for each item on the workers, and yield each item with its result as soon as there is one.

    A worker that is killed loses nothing: Dask repeats its calls elsewhere. A call whose worker is killed again and
    again (`distributed.scheduler.allowed-failures`) has the exception as its result, as one that raises. An
    `UnfitWorker` ends all calls, since that worker would take one after the other and spoil it.

    Args:
        client: the connection to the workers.
        function: a function of a module, which the workers have, too.
        shared: first argument of all calls; sent once to each worker.
        items: second arguments.
        patience: seconds to wait for a worker that holds virtual machines while there is none.

    Raises:
        UnfitWorker: a worker has another r4l, or the function raised it.
        EnvironmentFault: the scheduler is gone, or there was no such worker for so long.
    """
    from distributed.client import FutureCancelledError

    # A task, and not data scattered to the workers: those are lost with the worker.
    common = client.submit(_same, shared, pure=False)
    # Processes of this computer have this r4l, also while its user works on it.
    key = "" if client.cluster is not None else own_key()
    every = ([value] * len(items) for value in (function, key, common))
    calls = client.map(_call, *every, items, resources={MACHINES: 1}, pure=False)
    by_key = {call.key: item for call, item in zip(calls, items, strict=True)}
    done = _as_they_end(client, calls, patience)
    del calls
    for call, result in done:
        # Not by the call's status, which changes when a worker or the scheduler dies after the result has come.
        if isinstance(result, FutureCancelledError):
            raise _gone()
        if isinstance(result, _Returned):
            yield by_key.pop(call.key), result.value
            continue
        _, error, trace = result
        # Other exceptions are handed to the caller, who knows what they mean.
        if isinstance(error, UnfitWorker) or not isinstance(error, Exception):
            raise error.with_traceback(trace)
        yield by_key.pop(call.key), error.with_traceback(trace)
    if by_key:
        raise _gone()


def _as_they_end(client: Client, calls: Sequence[Future[Any]], patience: float) -> Iterator[tuple[Future[Any], Any]]:
    """Yield calls with their results as soon as these are here, and watch over the workers meanwhile. The result of a
    call that raised is type, exception and traceback.

    Raises:
        EnvironmentFault: the scheduler is gone, or there was no worker for them for `patience` seconds.
    """
    from distributed import as_completed

    # With results: one that was on a worker that has died is computed again. The method `result` of a future would wait
    # for that without end.
    waiting = as_completed(calls, with_results=True, raise_errors=False)
    del calls
    address = str(client.scheduler.address) if client.scheduler else "the cluster"
    look, missed, told = time.monotonic() + LOOK, 0.0, False
    while not waiting.is_empty():
        now = time.monotonic()
        if waiting.has_ready():
            # Each has its own time: the caller's work on a result is none.
            yield next(waiting)
            look, missed = time.monotonic() + LOOK, 0.0
        elif client.status != "running":
            # Dask cancels all calls then, even if it reaches the scheduler again.
            raise _gone()
        elif now < look:
            time.sleep(TICK)
        elif not (lack := _lack(client, address)):
            look, missed, told = now + LOOK, 0.0, False
        else:
            look, missed = now + min(LOOK, patience / 2), missed or now
            if now - missed >= patience:
                raise EnvironmentFault(
                    f"{lack}, for {patience:g} s",
                    f"{_start_one(address)}, and run the command again, which goes on; --wait gives it more time",
                )
            if now - missed >= WORD_AFTER and not told:
                told = True
                print(f"r4l: {lack}: waiting for one, {patience:g} s at most", file=sys.stderr)


def _lack(client: Client, address: str) -> str:
    """Return the reason why no worker takes a call at present; empty if there is one that holds virtual machines."""
    if client.scheduler is None:
        return f"the scheduler {address} is gone"
    try:
        # `scheduler_info` waits without end for a scheduler that is stopped.
        known = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=WORD_AFTER)
    except (OSError, TimeoutError):
        return f"the scheduler {address} does not answer"
    if any(_holds_machines(worker) for worker in known["workers"].values()):
        return ""
    return f"no worker of {address} holds virtual machines"


def _same(value: Shared) -> Shared:
    return value


@dataclass(frozen=True)
class _Returned:
    """The value that a call has returned, to tell it from the exception of one that raised."""

    value: Any


def _call(function: Callable[[Shared, Item], Any], key: str, shared: Shared, item: Item) -> _Returned:
    """Call the function on a worker.

    Args:
        key: the caller's `own_key`; empty if the worker cannot have another.

    Raises:
        UnfitWorker: its r4l is not that of the caller, so its results would be of something else.
    """
    if key and key != own_key():
        raise UnfitWorker(
            f"{platform.node()} has another r4l than this computer", "install the same on all computers, as `pip` does"
        )
    return _Returned(function(shared, item))


@cache
def own_key() -> str:
    """Return the key of r4l's own sources: Python, kit, drivers, labs. A wheel and a checkout have the same."""
    package, beside = Path(__file__).parent, (resources.rust(), resources.labs())
    files: dict[str, Path] = {}
    for folder in (package, *beside):
        for path in folder.rglob("*"):
            name = path.relative_to(folder)
            # In a wheel, the others lie in the package.
            elsewhere = folder == package and any(path.is_relative_to(other) for other in beside)
            if path.suffix in SOURCES and name.name[0] != "." and not elsewhere and path.is_file():
                files[f"{folder.name}/{name.as_posix()}"] = path
    return home.content_key(*(part for name in sorted(files) for part in (name, files[name])))


def _gone() -> EnvironmentFault:
    return EnvironmentFault("the scheduler is gone", "run the command again: results so far are kept")
