# SPDX-License-Identifier: MIT
"""A capture of QEMU's that is not whole is not taken for one that is."""

from __future__ import annotations

import errno
import os
import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l.errors import EnvironmentFault
from r4l.threads import thread_failure
from r4l.vm import captures
from r4l.vm.captures import CaptureBound
from r4l.vm.qmp import Monitor

Failures = queue.SimpleQueue[BaseException]


def watched(folder: Path, failures: Failures) -> CaptureBound:
    """Return the bound of a capture in a folder, of a QEMU that is not asked."""
    (folder / "nic0.pcap").touch()
    return CaptureBound(cast(Monitor, None), {0: folder / "nic0.pcap"}, failures.put)


def test_a_full_disk_fails_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: QEMU ended the capture, and a check that found too few frames was the student's miss."""
    free = SimpleNamespace(f_bavail=0, f_bfree=captures.SPARE // 4096 - 1, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: free)
    failures = Failures()
    bound = watched(tmp_path, failures)
    error = failures.get(timeout=20)
    bound.close()
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert isinstance(thread_failure("x", error), EnvironmentFault)


def test_what_cannot_be_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the thread ended, and the capture grew without bound."""

    def fail(*_: Any) -> None:
        raise PermissionError("truncate")

    monkeypatch.setattr(captures, "LARGEST", -1)
    monkeypatch.setattr(os, "truncate", fail)
    (tmp_path / "nic0.pcap").touch()
    failures = Failures()
    monitor = cast(Monitor, SimpleNamespace(execute=lambda *_: None))
    bound = CaptureBound(monitor, {0: tmp_path / "nic0.pcap"}, failures.put)
    assert isinstance(failures.get(timeout=20), PermissionError)
    bound.close()


def test_a_disk_with_room_is_watched_on(tmp_path: Path) -> None:
    failures = Failures()
    bound = watched(tmp_path, failures)
    bound._over.wait(4 * captures.PERIOD)
    assert failures.empty()
    assert bound.full == set()
    bound.close()
