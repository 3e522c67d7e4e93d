# SPDX-License-Identifier: MIT
"""An HTTP proxy at a socket of the file system, and its door in a network namespace that has nothing else.

`python proxy.py inside SOCKET COMMAND…` listens on 127.0.0.1:3128, passes each connection to the socket, and runs the
command meanwhile. `Proxy` is what listens at the socket. Imports nothing of r4l.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

PORT = 3128
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # include/uapi/linux/sockios.h, if.h


def pump(one: socket.socket, other: socket.socket) -> None:
    """Pass on what comes, to the end."""
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)


def join(one: socket.socket, other: socket.socket) -> None:
    """Pass on in both directions until both have ended."""
    with one, other:
        back = threading.Thread(target=pump, args=(other, one), daemon=True)
        back.start()
        pump(one, other)
        back.join()


def answer(client: socket.socket, asked: list[str]) -> None:
    """Serve a client of the proxy: CONNECT, or a request with a whole address (RFC 9112, section 3.2)."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            client.close()
            return
        head += data
    line, _, rest = head.partition(b"\r\n")
    method, target, version = line.decode("latin-1").split(" ")
    asked.append(f"{method} {target}")
    parts = urlsplit(target if method != "CONNECT" else f"//{target}")
    try:
        server = socket.create_connection((parts.hostname or "", parts.port or 80), 30)
    except OSError:
        client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.close()
        return
    if method == "CONNECT":
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        server.sendall(rest.partition(b"\r\n\r\n")[2])
    else:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        # One request a connection: the next may be for another server.
        headers, _, body = rest.partition(b"\r\n\r\n")
        kept = [text for text in headers.split(b"\r\n") if not text.lower().startswith((b"connection:", b"proxy-"))]
        lines = [f"{method} {path} {version}".encode(), *kept, b"Connection: close", b"", body]
        server.sendall(b"\r\n".join(lines))
    join(client, server)


@contextlib.contextmanager
def proxy(path: Path) -> Iterator[list[str]]:
    """A proxy at a socket, as long as this lasts; gives the list of what it was asked for."""
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o666)
        server.listen(64)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0], asked), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield asked


def inside(path: str, argv: list[str]) -> int:
    """Run a command beside the door, and return its exit code."""
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    with socket.create_server(("127.0.0.1", PORT)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    out = socket.socket(socket.AF_UNIX)
                    out.connect(path)
                    threading.Thread(target=join, args=(client, out), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return subprocess.run(argv, check=False).returncode


if __name__ == "__main__":
    sys.exit(inside(sys.argv[2], sys.argv[3:]))
