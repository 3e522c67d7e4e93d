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
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from r4l import home, resources
from r4l.errors import EnvironmentFault, R4LError
from r4l.kernel import Kernel
from r4l.process import safe_path
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.terminal import Console
from r4l.toolchain import Toolchain, lock_of

if TYPE_CHECKING:
    from distributed import Client

MACHINES = "vm"
"""Name of the resource (https://distributed.dask.org/en/stable/resources.html): virtual machines at once."""
CONNECT = 30
"""Seconds within which a scheduler must answer."""
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
        lock = lock_of(toolchain, kernel.release, kernel.version).as_data()
        return cls(name, kernel.arch, json.dumps(lock, sort_keys=True))

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
    from distributed import Client, LocalCluster

    if address:
        try:
            client = Client(address, timeout=CONNECT)
        except (OSError, ValueError) as error:
            raise EnvironmentFault(
                f"no scheduler of Dask answers at {address}: {error}",
                "start one with `dask scheduler`, and give its address as it prints it",
            ) from error
        with client:
            _require_resource(client, address)
            yield client
        return
    with (
        safe_path(),
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


def _require_resource(client: Client, address: str) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if workers and not any(MACHINES in worker.get("resources", {}) for worker in workers):
        raise EnvironmentFault(
            f"no worker of {address} says how many virtual machines it holds",
            f'start them with `dask worker {address} --nthreads 2 --resources "{MACHINES}=2"`',
        )


def spread(
    client: Client, function: Callable[[Shared, Item], Any], shared: Shared, items: Sequence[Item]
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

    Raises:
        UnfitWorker: a worker has another r4l, or the function raised it.
        EnvironmentFault: the scheduler is gone.
    """
    from distributed import as_completed
    from distributed.client import FutureCancelledError

    # A task, and not data scattered to the workers: those are lost with the worker.
    common = client.submit(_same, shared, pure=False)
    # Processes of this computer have this r4l, also while its user works on it.
    key = "" if client.cluster is not None else own_key()
    every = ([value] * len(items) for value in (function, key, common))
    calls = client.map(_call, *every, items, resources={MACHINES: 1}, pure=False)
    by_key = {call.key: item for call, item in zip(calls, items, strict=True)}
    waiting = as_completed(calls)
    del calls
    for call in waiting:
        try:
            result = call.result()
        except FutureCancelledError as error:
            raise _gone() from error
        except UnfitWorker:
            raise
        except Exception as error:  # noqa: BLE001 (handed to the caller, who knows what it means)
            result = error
        if call.status in ("cancelled", "lost"):
            raise _gone()
        yield by_key.pop(call.key), result
    if by_key:
        raise _gone()


def _same(value: Shared) -> Shared:
    return value


def _call(function: Callable[[Shared, Item], Any], key: str, shared: Shared, item: Item) -> Any:
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
    return function(shared, item)


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
