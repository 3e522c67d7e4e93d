# SPDX-License-Identifier: MIT
"""Work spread over processes: each item is done once, whatever becomes of a worker."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import pytest

from r4l import cluster
from r4l.errors import EnvironmentFault


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


def test_a_killed_worker_loses_nothing_and_nothing_counts_twice(tmp_path: Path) -> None:
    with cluster.connected(jobs=2) as client:
        found = list(cluster.spread(client, square, str(tmp_path), list(range(8))))
    assert (tmp_path / "died").exists()
    results = dict(found)
    assert len(found) == len(results) == 8
    assert isinstance(results.pop(5), ValueError)
    assert results == {number: number * number for number in range(8) if number != 5}


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


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match="not installed") as refused:
        cluster.require()
    assert "r4l[sweep]" in refused.value.remedy
