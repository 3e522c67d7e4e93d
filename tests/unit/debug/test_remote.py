# SPDX-License-Identifier: MIT
"""The connection to QEMU's gdbstub."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from r4l.debug.remote import GdbRemote
from r4l.errors import EnvironmentFault
from r4l.paths import socket_address


@pytest.mark.parametrize("length", [1, 100, 200])
def test_a_socket_in_a_folder_of_any_length(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("x" * length) / "gdb.socket"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        with socket_address(path) as address:
            listener.bind(address)
        listener.listen()

        def stub() -> None:
            listener.settimeout(30)
            client, _ = listener.accept()
            client.settimeout(30)
            with client:
                asked = b""
                while not asked.endswith(b"$?#3f"):
                    asked += client.recv(100)
                client.sendall(b"+$S05#b8")
                while not asked.endswith(b"#74"):
                    asked += client.recv(100)
                client.sendall(b"+$E22#a9")
                while not asked.endswith(b"+"):
                    asked += client.recv(100)

        thread = threading.Thread(target=stub, daemon=True)
        thread.start()
        remote = GdbRemote(path)
        with pytest.raises(EnvironmentFault, match="does not stop at 0x10: E22"):
            remote.insert("Z0", 0x10)
        thread.join(30)
        assert not thread.is_alive()


def test_a_socket_whose_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        GdbRemote(tmp_path / "none" / "gdb.socket")
