# SPDX-License-Identifier: MIT
"""A capture of QEMU's that is not whole is not taken for one that is, and its log is bounded."""

from __future__ import annotations

import errno
import os
import queue
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l.errors import EnvironmentFault
from r4l.threads import thread_failure
from r4l.vm import written
from r4l.vm.qmp import Monitor
from r4l.vm.written import WrittenBound

Failures = queue.SimpleQueue[BaseException]


def watched(folder: Path, failures: Failures) -> WrittenBound:
    """Return the bound of a capture in a folder, of a QEMU that is not asked."""
    (folder / "nic0.pcap").touch()
    return WrittenBound(cast(Monitor, None), {0: folder / "nic0.pcap"}, folder / "qemu.log", failures.put)


def test_a_full_disk_fails_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: QEMU ended the capture, and a check that found too few frames was the student's miss."""
    free = SimpleNamespace(f_bavail=0, f_bfree=written.SPARE // 4096 - 1, f_frsize=4096)
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

    monkeypatch.setattr(written, "LARGEST", -1)
    monkeypatch.setattr(os, "truncate", fail)
    (tmp_path / "nic0.pcap").touch()
    failures = Failures()
    monitor = cast(Monitor, SimpleNamespace(execute=lambda *_: None))
    bound = WrittenBound(monitor, {0: tmp_path / "nic0.pcap"}, tmp_path / "qemu.log", failures.put)
    assert isinstance(failures.get(timeout=20), PermissionError)
    bound.close()


def test_a_disk_with_room_is_watched_on(tmp_path: Path) -> None:
    failures = Failures()
    bound = watched(tmp_path, failures)
    bound._over.wait(4 * written.PERIOD)
    assert failures.empty()
    assert bound.full == set()
    bound.close()


APPENDS = """
i=0
while [ $i -lt 300 ]; do i=$((i + 1)); printf '%099d\\n' $i; done
read -r _
echo last
"""


def test_a_log_of_qemus_keeps_its_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a guest that QEMU complains about without end filled the disk."""
    monkeypatch.setattr(written, "LOG_PERIOD", 0.01)
    monkeypatch.setattr(written, "QEMU_LOG_LIMIT", 10_000)
    log, failures = tmp_path / "qemu.log", Failures()
    bound = WrittenBound(cast(Monitor, None), {}, log, failures.put)
    with log.open("ab") as out, subprocess.Popen(["sh", "-c", APPENDS], stdout=out, stdin=subprocess.PIPE) as process:
        while not bound.log_cut:
            time.sleep(0.01)
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.close()
        process.wait()
    bound.close()
    assert failures.empty()
    text = log.read_bytes()
    assert len(text) == 10_000
    assert text.startswith(b"%099d\n" % 1)
    assert text.endswith(b"%099d\n" % 100)
    assert b"last" not in text


def test_a_short_log_of_qemus_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "qemu.log"
    bound = WrittenBound(cast(Monitor, None), {}, log, Failures().put)
    log.write_bytes(bytes(written.QEMU_LOG_LIMIT))
    bound.close()
    assert not bound.log_cut
    assert log.stat().st_size == written.QEMU_LOG_LIMIT
