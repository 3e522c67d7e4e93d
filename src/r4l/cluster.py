# SPDX-License-Identifier: MIT
"""Work spread over processes and machines by dask.distributed (https://distributed.dask.org).

Dask has the queue, the protocol and the repetition of what was lost with a worker. A worker holds as many virtual
machines at once as its resource `vm` says.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from r4l import home
from r4l.errors import EnvironmentFault

if TYPE_CHECKING:
    from distributed import Client

MACHINES = "vm"
"""Name of the resource (https://distributed.dask.org/en/stable/resources.html): virtual machines at once."""
CONNECT = 30
"""Seconds within which a scheduler must answer."""
Item = TypeVar("Item")
Shared = TypeVar("Shared")


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
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            resources={MACHINES: 1},
            # A machine's memory is QEMU's, which Dask does not see.
            memory_limit=0,
            # A free port of this computer; Dask's own choice is the same for all.
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            local_directory=str(home.room("dask")),
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
    again (`distributed.scheduler.allowed-failures`) has the exception as its result, as one that raises.

    Args:
        client: the connection to the workers.
        function: a function of a module, which the workers have, too.
        shared: first argument of all calls; sent once to each worker.
        items: second arguments.

    Raises:
        EnvironmentFault: the scheduler is gone.
    """
    from distributed import as_completed
    from distributed.client import FutureCancelledError

    # A task, and not data scattered to the workers: those are lost with the worker.
    common = client.submit(_same, shared, pure=False)
    calls = client.map(function, [common] * len(items), items, resources={MACHINES: 1}, pure=False)
    by_key = {call.key: item for call, item in zip(calls, items, strict=True)}
    waiting = as_completed(calls)
    del calls
    for call in waiting:
        try:
            result = call.result()
        except FutureCancelledError as error:
            raise _gone() from error
        except Exception as error:  # noqa: BLE001 (handed to the caller, who knows what it means)
            result = error
        if call.status in ("cancelled", "lost"):
            raise _gone()
        yield by_key.pop(call.key), result
    if by_key:
        raise _gone()


def _same(value: Shared) -> Shared:
    return value


def _gone() -> EnvironmentFault:
    return EnvironmentFault("the scheduler is gone", "run the command again: results so far are kept")
