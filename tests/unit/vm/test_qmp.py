# SPDX-License-Identifier: MIT
"""The monitor, with a one-threaded stand-in for QEMU at the other end of its socket."""

from __future__ import annotations

import errno
import io
import json
import queue
import socket
import threading
import time
from pathlib import Path

import pytest
from tests.unit.unhandled import unhandled

from r4l.errors import BootError
from r4l.vm.qmp import Event, Monitor

GREETING = {"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 0}, "package": ""}, "capabilities": []}}
SHUTDOWN = {
    "event": "SHUTDOWN",
    "data": {"guest": True, "reason": "guest-shutdown"},
    "timestamp": {"seconds": 1, "microseconds": 0},
}


def qemu(sock: socket.socket, *last: object) -> threading.Thread:
    """Greet, answer `qmp_capabilities` and one more command, print last words and end."""

    def say(message: object) -> None:
        sock.sendall(json.dumps(message).encode() + b"\r\n")

    def live() -> None:
        with sock:
            say(GREETING)
            for _ in range(2):
                # No end of line: a command is as long as its JSON, and comes in one piece.
                command = json.loads(sock.recv(4096))
                say({"return": {}} | {key: command[key] for key in command.keys() & {"id"}})
            time.sleep(0.1)  # by when the answer has been taken, without what follows
            for message in last:
                say(message)

    thread = threading.Thread(target=live)
    thread.start()
    return thread


def test_drain_waits_for_the_last_event(tmp_path: Path) -> None:
    events: list[str] = []

    def slow(event: Event) -> None:
        time.sleep(0.2)
        events.append(event["data"]["reason"])

    ours, theirs = socket.socketpair()
    monitor = Monitor(ours, tmp_path / "qmp.log", slow, unhandled)
    end = qemu(theirs, SHUTDOWN)
    monitor.execute("system_powerdown")
    end.join()
    monitor.drain(10)
    assert events == ["guest-shutdown"]
    monitor.close()
    assert '"guest-shutdown"' in (tmp_path / "qmp.log").read_text()


def test_drain_of_a_qemu_that_never_answered(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    monitor = Monitor(ours, tmp_path / "qmp.log", lambda event: None, unhandled)
    theirs.close()
    begun = time.monotonic()
    monitor.drain(60)
    assert time.monotonic() - begun < 30
    with pytest.raises(BootError):
        monitor.execute("query-status", timeout=1)
    monitor.close()


def test_a_log_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    """Regression: the connection to QEMU's monitor ended, and an event that came later was lost."""
    failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    ours, theirs = socket.socketpair()
    monitor = Monitor(ours, Path("/dev/full"), lambda event: None, failures.put)
    end = qemu(theirs)
    error = failures.get(timeout=10)
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    monitor.execute("query-status")
    end.join()
    monitor._log = io.StringIO()
    monitor.close()
