# SPDX-License-Identifier: MIT
"""A device behind a socket: takes QEMU's connections on a thread of its own, and ends with the machine.

Another thread looks for methods of the model that do not return.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

from r4l.errors import UsageError
from r4l.paths import socket_address
from r4l.pci.channel import MessageSocket
from r4l.pci.connection import Connection, where_held
from r4l.pci.device import Device
from r4l.threads import guarded

LOOKS = 0.05, 5.0
"""Least and most seconds between two looks for a model's method that still runs."""


class Server:
    """A device behind a socket, for one QEMU after the other.

    Args:
        device: device to serve.
        path: path of the socket to make.

    Raises:
        UsageError: the device is behind a socket already.
    """

    def __init__(self, device: Device, path: Path) -> None:
        self.device, self.path = device, path
        if not device.served.acquire(blocking=False):
            raise UsageError(f"{device!r} is in another machine", "make one for each: give the class, not a device")
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            with socket_address(path) as address:
                self._socket.bind(address)
            self._socket.listen(1)
        except BaseException:
            self._socket.close()
            device.served.release()
            raise
        self._over = threading.Event()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=guarded(self._accept, self._failed), name="r4l-pci", daemon=True)
        self._watch = threading.Thread(
            target=guarded(self._check_patience, self._failed), name="r4l-pci-watch", daemon=True
        )
        self._thread.start()
        self._watch.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._socket.accept()
            except OSError:
                # The socket was shut down by `close`.
                return
            self._connection = Connection(self.device, MessageSocket(sock))
            if self._over.is_set():
                self._connection.shut()
            self.device.plugged()
            self._connection.serve()
            self.device.unplugged()

    def _failed(self, error: BaseException) -> None:
        """Keep the exception for the test, and have QEMU see the device's end instead of waiting for it."""
        self.device.failed(error)
        self._socket.close()
        if self._connection:
            self._connection.shut()

    def _check_patience(self) -> None:
        while not self._over.wait(self._until_look()):
            if connection := self._connection:
                running = connection.running()
                self.device.waits.look(running[0] if running else None)
                connection.check_patience()
            if self.device.dead:
                # Refuse every other QEMU, also one that has just connected: the model has the lock and the accepting
                # thread, and would keep it waiting.
                self._socket.close()
                return

    def _until_look(self) -> float:
        """Return the seconds until a method can have run for too long: the one that runs, or one that begins now."""
        device, connection = self.device, self._connection
        least, most = LOOKS
        if device.patience is None:
            return most
        running = connection.running() if connection else device.running
        ran = time.monotonic() - running[0] if running else 0.0
        return min(most, max(least, device.patience - ran))

    def _await_method(self) -> None:
        """Wait for a method of the model that still runs, and declare the model dead if it does not return."""
        device, connection = self.device, self._connection
        patience = device.patience
        running = connection.running() if connection else device.running
        if device.dead or running is None or patience is None:
            return
        if device.lock.acquire(timeout=max(0.0, running[0] + patience - time.monotonic())):
            device.lock.release()
        elif not device.dead:
            device.give_up(patience, where_held(device, running[1]))

    def close(self) -> None:
        """End the server. A model whose method does not return is left to its thread, which ends with the process."""
        if self._over.is_set():
            return
        self._over.set()
        self._await_method()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._connection:
            self._connection.shut()
        self._thread.join(1.0)
        self._watch.join(1.0)
        self._socket.close()
        self.path.unlink(missing_ok=True)
        self.device.served.release()
