# SPDX-License-Identifier: MIT
"""The page while the devices work: an HTTP server for this computer only, which sends events as they come.

The stream is that of server-sent events (HTML Standard, 9.2). A request with another Host than the server's own is
refused: a page of the Internet whose name leads to 127.0.0.1 must not read what the guest did.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from r4l.errors import EnvironmentFault
from r4l.pci.recording import Recorder
from r4l.scope.page import Heading, described, render
from r4l.threads import guarded

LOOPBACK = "127.0.0.1"
BATCH_SECONDS = 0.15
"""Time for which events are gathered before they are sent."""
MOST_IN_MESSAGE = 1000
"""Number of events in one message."""


class LiveScope:
    """Server of the page. As a context manager it serves from entry to exit.

    Args:
        recorders: one for each device.
        heading: head of the page.
        port: port on 127.0.0.1; 0 for a free one.

    Raises:
        EnvironmentFault: the port is taken.
    """

    def __init__(self, recorders: Sequence[Recorder], heading: Heading, port: int = 0) -> None:
        self.recorders, self.heading = list(recorders), heading
        self._over = threading.Event()
        self._ended = ""
        scope = self

        class Handler(_Handler):
            live = scope

        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        except OSError as error:
            raise EnvironmentFault(
                f"port {port} of {LOOPBACK} cannot be used: {error.strerror}", "leave out --port for a free one"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=guarded(self._server.serve_forever, lambda error: self.end(f"failed: {error}")),
            name="r4l-scope",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """Port of the server."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self.port}/"

    def __enter__(self) -> LiveScope:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end("ended")
        self._server.shutdown()
        self._server.server_close()

    def end(self, text: str) -> None:
        """Tell the pages that no more events come, and why; the server goes on serving the recording."""
        self._ended = self._ended or text
        self._over.set()

    # -- for requests -----------------------------------------------------------------------------------------------

    def page(self) -> str:
        """Return the page with all events up to now."""
        return render([one.as_data() for one in self.recorders], self.heading, live=not self._over.is_set())

    def messages(self, seen: Sequence[int]) -> Any:
        """Yield messages of the stream as they come: pairs of event name and data.

        Args:
            seen: for each device the number of the first event that the page lacks.
        """
        following = list(seen)
        while True:
            over = self._over.is_set()
            for number, recorder in enumerate(self.recorders):
                events = recorder.since(following[number])
                for begin in range(0, len(events), MOST_IN_MESSAGE):
                    part = events[begin : begin + MOST_IN_MESSAGE]
                    yield "more", {"device": number, "events": described(part)}
                    following[number] = part[-1]["number"] + 1
            if over:
                yield "over", self._ended
                return
            yield "beat", None
            self._over.wait(BATCH_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    live: LiveScope
    protocol_version = "HTTP/1.1"
    server_version = "r4l"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page, or with the stream of events."""
        if self.headers.get("Host") not in (f"{LOOPBACK}:{self.live.port}", f"localhost:{self.live.port}"):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            body = self.live.page().encode()
            self._head("text/html; charset=utf-8", {"Content-Length": str(len(body))})
            self.wfile.write(body)
        elif self.path == "/events":
            self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _stream(self) -> None:
        self._head("text/event-stream", {"Connection": "close"})
        self.close_connection = True
        try:
            for name, data in self.live.messages([0] * len(self.live.recorders)):
                text = f"event: {name}\ndata: {json.dumps(data)}\n\n" if data is not None else ": \n\n"
                self.wfile.write(text.encode())
        except (BrokenPipeError, ConnectionResetError):
            # The page was closed.
            return

    def _head(self, content: str, more: Mapping[str, str]) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in {"Content-Type": content, "Cache-Control": "no-store", **more}.items():
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is http.server's)
        """Say nothing: the terminal belongs to the guest's output."""
