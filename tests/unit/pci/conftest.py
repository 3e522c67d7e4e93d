# SPDX-License-Identifier: MIT
"""A device behind its server, and a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.unit.pci.client import Client

from r4l.pci import Device, Server

Serve = Callable[[Device], Client]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Puts a device behind a server; a client that has agreed on the version."""
    with ExitStack() as undo:

        def start(device: Device) -> Client:
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sock"
            server = Server(device, path)
            undo.callback(server.close)
            client = Client(path)
            undo.callback(client.close)
            client.agree()
            return client

        yield start


@pytest.fixture
def client(serve: Serve, device: Device) -> Client:
    """A client of the file's `device`."""
    return serve(device)
