# SPDX-License-Identifier: MIT
"""Synchronous QMP, with the `qemu.qmp` library on one event loop in one background thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

from r4l.errors import BootError, R4LError
from r4l.threads import Failed, guarded
from r4l.vm.errors import MonitorTimeout

T = TypeVar("T")
Event = Mapping[str, Any]
PATIENCE = 10.0


class QmpError(R4LError):
    """QEMU refused a command. `error_class` is QMP's (such as `DeviceNotFound`)."""

    category = "qmp"

    def __init__(self, command: str, description: str, error_class: str) -> None:
        super().__init__(f"QEMU refused {command}: {description}")
        self.error_class = error_class


class _Loop:
    """The event loop shared by all monitors of this process."""

    _guard = threading.Lock()
    _loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def run(cls, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        with cls._guard:
            if cls._loop is None:
                cls._loop = asyncio.new_event_loop()
                threading.Thread(target=cls._loop.run_forever, name="r4l-qmp", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(work, cls._loop)

    @classmethod
    def forget(cls) -> None:
        """Reset the loop in a forked child, where its thread does not exist."""
        cls._guard, cls._loop = threading.Lock(), None


os.register_at_fork(after_in_child=_Loop.forget)


class Monitor:
    """A connection to one QEMU's monitor, made in the background; commands wait for it.

    Args:
        sock: connected to QEMU's monitor; this object takes it over.
        log: file for every message, one JSON object a line, with the host's time.
        on_event: called on the loop's thread for each event; it must be quick.
        failed: called with an exception of `on_event` or of the log, after which events may be lost.
    """

    def __init__(self, sock: socket.socket, log: Path, on_event: Callable[[Event], None], failed: Failed) -> None:
        self._failed = failed
        self._log: TextIO = log.open("a", encoding="utf-8")
        self._on_event = on_event
        self._begun = time.monotonic()
        self._client: Any = None
        self._connected = _Loop.run(self._connect(sock))

    async def _connect(self, sock: socket.socket) -> None:
        # Imported while QEMU starts: the library takes a tenth of a second.
        from qemu.qmp import QMPClient

        # Everything that the library logs is also raised as an exception.
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
        monitor = self

        class Client(QMPClient):
            def _cb_inbound(self, msg: Any) -> Any:
                guarded(monitor._take, monitor._failed)(msg)
                return msg

            def _cb_outbound(self, msg: Any) -> Any:
                guarded(monitor._note, monitor._failed)(">", msg)
                return msg

        self._client = Client("r4l")
        await self._client.connect(sock)

    def _take(self, message: Any) -> None:
        self._note("<", message)
        if "event" in message:
            self._on_event(message)

    def _note(self, direction: str, message: Any) -> None:
        line = f"{time.monotonic() - self._begun:9.4f} {direction} {json.dumps(dict(message))}\n"
        if not self._log.closed:
            self._log.write(line)
            self._log.flush()

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None, timeout: float = PATIENCE) -> Any:
        """Run a QMP command and return its result.

        Raises:
            QmpError: QEMU refused the command.
            BootError: the monitor is gone.
            MonitorTimeout: it did not answer within `timeout` seconds.
        """
        from qemu.qmp import ExecuteError, QMPError

        until = time.monotonic() + timeout
        try:
            self._connected.result(timeout)
            work = self._client.execute(command, dict(arguments or {}))
            return _Loop.run(work).result(max(0.0, until - time.monotonic()))
        except ExecuteError as error:
            raise QmpError(command, str(error), error.error_class) from error
        except (TimeoutError, concurrent.futures.TimeoutError) as error:
            raise MonitorTimeout(f"QEMU did not answer {command} within {timeout:g} s") from error
        except (QMPError, OSError, EOFError) as error:
            raise BootError(f"QEMU's monitor is gone: {error}", "see qemu.log") from error

    def drain(self, timeout: float) -> None:
        """Wait after QEMU's end, at most `timeout` seconds, until its last events have been delivered."""
        # A connection that failed has no further events.
        concurrent.futures.wait([_Loop.run(self._end_of_stream())], timeout)

    async def _end_of_stream(self) -> None:
        from qemu.qmp import Runstate

        await asyncio.wrap_future(self._connected)
        while self._client.runstate is Runstate.RUNNING:
            await self._client.runstate_changed()

    def close(self) -> None:
        """Close the connection."""
        try:
            _Loop.run(self._disconnect()).result(5)
        except (TimeoutError, concurrent.futures.TimeoutError):
            # QEMU has ended; a clean disconnect is not needed.
            self._connected.cancel()
        self._log.close()

    async def _disconnect(self) -> None:
        from qemu.qmp import QMPError

        if not self._connected.done() or self._connected.exception() is not None:
            # QEMU never answered, so there is no connection to end.
            self._connected.cancel()
            return
        try:
            await self._client.disconnect()
        except (QMPError, OSError, EOFError):
            # QEMU ended first, which ends the connection as well.
            return
