# SPDX-License-Identifier: MIT
"""The connection to QEMU's gdbstub."""

from __future__ import annotations

import re
import socket
import struct
import threading
from pathlib import Path

import pytest

from r4l.arch import DEFAULT, Architecture, architecture, architectures
from r4l.debug.remote import GdbRemote, Stop
from r4l.errors import EnvironmentFault
from r4l.paths import socket_address

ARCH = architecture(DEFAULT)


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
        remote = GdbRemote(path, ARCH)
        with pytest.raises(EnvironmentFault, match="does not stop at 0x10: E22"):
            remote.insert("Z0", 0x10)
        thread.join(30)
        assert not thread.is_alive()


def test_a_socket_whose_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        GdbRemote(tmp_path / "none" / "gdb.socket", ARCH)


@pytest.mark.parametrize("arch", architectures().values(), ids=lambda arch: arch.name)
def test_a_stop_at_a_functions_begin(tmp_path: Path, arch: Architecture) -> None:
    values = {name: 0x1000 + number for number, name in enumerate(arch.registers)}
    answers = {
        "?": "S05",
        "c": "T05rwatch:fe00;thread:01;",
        # Registers of fewer bits follow.
        "g": struct.pack(f"<{len(values)}Q4x", *values.values()).hex(),
        f"m{values[arch.stack]:x},8": struct.pack("<Q", 0xBEEF).hex(),
    }
    path = tmp_path / "gdb.socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def stub() -> None:
            client, _ = listener.accept()
            asked = b""
            with client:
                while received := client.recv(100):
                    asked += received
                    while packet := re.search(rb"\$(.*?)#..", asked):
                        asked = asked[packet.end() :]
                        said = answers[packet[1].decode()]
                        client.sendall(b"+$%s#00" % said.encode())

        thread = threading.Thread(target=stub, daemon=True)
        thread.start()
        remote = GdbRemote(path, arch)
        remote.go_on()
        stop = remote.wait(10)
        assert stop == Stop(
            0xFE00,
            values[arch.instruction],
            values[arch.stack],
            values[arch.first_argument],
            values[arch.result],
            values.get(arch.back),
            tuple(values[name] for name in arch.arguments),
        )
        assert remote.return_address(stop) == values.get(arch.back, 0xBEEF)
        remote.close()
        thread.join(10)
        assert not thread.is_alive()
