# SPDX-License-Identifier: MIT
"""The page while a device works: served on loopback, to this computer's own pages only."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest
from tests.unit.scope.conftest import Lamp

from r4l.errors import EnvironmentFault
from r4l.pci.recording import Recorder
from r4l.scope import Heading, LiveScope


def ask(live: LiveScope, path: str, **headers: str) -> http.client.HTTPResponse:
    """An answer of the server."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def message(stream: http.client.HTTPResponse) -> tuple[str, Any]:
    """The next message of a stream that has a name."""
    while True:
        line = stream.readline().decode().strip()
        if line.startswith("event: "):
            return line.removeprefix("event: "), json.loads(stream.readline().decode().removeprefix("data: "))


def test_events_come_as_they_happen(lamp: Lamp, recorder: Recorder) -> None:
    with LiveScope([recorder], Heading("lamp")) as live:
        page = ask(live, "/")
        assert page.status == 200
        assert "connect-src 'self'" in page.read().decode()
        stream = ask(live, "/events")
        name, data = message(stream)
        assert (name, [one["register"] for one in data["events"]]) == ("more", ["LIGHT", "TAIL"])
        lamp.bar_write(0, 0x10, 4, 2)
        name, data = message(stream)
        assert [one["register"] for one in data["events"]] == ["HEAD"]
        live.end("the machine has ended")
        assert message(stream) == ("over", "the machine has ended")
        assert stream.read() == b"\n"
        # The page can be loaded again, and does not wait for events.
        assert '"live":false' in ask(live, "/").read().decode()


def test_a_page_of_another_site_gets_nothing(recorder: Recorder) -> None:
    with LiveScope([recorder], Heading()) as live:
        for host in ("evil.example", f"evil.example:{live.port}", "127.0.0.1", ""):
            for path in ("/", "/events"):
                assert ask(live, path, Host=host).status == 403
        assert ask(live, "/", Host=f"localhost:{live.port}").status == 200
        assert ask(live, "/../etc/passwd").status == 404
        assert live.url.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_an_error(recorder: Recorder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(EnvironmentFault, match="cannot be used"):
            LiveScope([recorder], Heading(), taken.getsockname()[1])


def test_the_server_ends_while_a_page_is_open(recorder: Recorder) -> None:
    with LiveScope([recorder], Heading()) as live:
        stream = ask(live, "/events")
        assert message(stream)[0] == "more"
    assert message(stream) == ("over", "ended")
    with pytest.raises(ConnectionRefusedError):
        ask(live, "/")
