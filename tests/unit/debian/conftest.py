# SPDX-License-Identifier: MIT
"""A small Debian archive on loopback, signed by a key of its own, whose server can be told to misbehave."""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import io
import lzma
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pysequoia import SignatureMode, Tsk, sign

from r4l.debian import Archive, release

HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@cache
def key(name: str) -> Tsk:
    """A key to sign with: `debian` is the one that is believed."""
    return Tsk.generate(f"{name} <{name}@example.org>")


def deb(files: Mapping[str, bytes | str], compression: str = "xz") -> bytes:
    """A package: paths to contents, where a text that begins with `->` is a link, with `=>` a hard link."""
    data = io.BytesIO()
    mode: Any = f"w:{compression}" if compression != "none" else "w"
    with tarfile.open(fileobj=data, mode=mode) as tar:
        folders = {str(parent) for path in files for parent in Path(path).parents} - {"."}
        for folder in sorted(folders):
            member = tarfile.TarInfo(f"./{folder}")
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.mode, member.mtime = 0o4755 if path.endswith("suid") else 0o644, 1_700_000_000
            if isinstance(content, str):
                member.type = tarfile.SYMTYPE if content.startswith("->") else tarfile.LNKTYPE
                member.linkname = content[2:]
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    suffix = "" if compression == "none" else f".{compression}"
    return ar({"debian-binary": b"2.0\n", "control.tar.xz": lzma.compress(b""), f"data.tar{suffix}": data.getvalue()})


def ar(members: Mapping[str, bytes]) -> bytes:
    """An ar archive (deb(5))."""
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


class SmallArchive:
    """The archive and its server.

    Attributes:
        address: the mirror's.
        files: what it serves, paths to contents.
        faults: what is served else: a path's end, and what answers for it.
        asked: the paths that were asked for, with the byte from which on.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, Callable[[BaseHTTPRequestHandler, bytes], None]] = {}
        self.asked: list[tuple[str, int]] = []
        self.packages: dict[str, list[str]] = {"small": [], "backports": []}
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                archive.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}/debian"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, name: str, version: str = "1", suite: str = "small", *, content: bytes = b"", **fields: str) -> None:
        """Add a package; without content it has one file, /usr/share/NAME."""
        content = content or deb({f"usr/share/{name}": version.encode()})
        path = f"pool/{name}_{version.replace(':', '%3a')}_amd64.deb"
        self.files[path] = content
        text = {"Package": name, "Version": version, "Architecture": "amd64", "Priority": "optional"}
        text |= {field.replace("_", "-"): value for field, value in fields.items()}
        text |= {"Filename": path, "Size": str(len(content)), "SHA256": hashlib.sha256(content).hexdigest()}
        self.packages[suite].append("".join(f"{field}: {value}\n" for field, value in text.items()))

    def publish(
        self,
        *,
        signer: str = "debian",
        made: float = 0,
        lasts: float | None = 7,
        change: Callable[[bytes], bytes] = lambda text: text,
        codename: str = "",
    ) -> None:
        """Write and sign the suites' lists.

        Args:
            made: days from now.
            lasts: days from then; None for ever.
            change: what is done with a list after it was signed.
        """
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=made)
        for suite, packages in self.packages.items():
            text = "\n".join(packages).encode()
            packed = lzma.compress(text)
            lines = [f"Suite: {suite}", f"Codename: {codename or suite}", f"Date: {email.utils.format_datetime(now)}"]
            if lasts is not None:
                until = now + datetime.timedelta(days=lasts)
                lines.append(f"Valid-Until: {email.utils.format_datetime(until)}")
            lines += ["Acquire-By-Hash: yes", "SHA256:"]
            for name, content in (("Packages", text), ("Packages.xz", packed)):
                digest = hashlib.sha256(content).hexdigest()
                lines.append(f" {digest} {len(content):>8} main/binary-amd64/{name}")
                self.files[f"dists/{suite}/main/binary-amd64/{name}"] = content
                self.files[f"dists/{suite}/main/binary-amd64/by-hash/SHA256/{digest}"] = content
            signed = sign(key(signer).signer(), ("\n".join(lines) + "\n").encode(), mode=SignatureMode.CLEAR)
            self.files[f"dists/{suite}/InRelease"] = change(signed)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Serve a file, or what a fault says."""
        path = request.path.removeprefix("/debian/")
        begin = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.asked.append((path, begin))
        content = self.files.get(path)
        fault = next((fault for end, fault in self.faults.items() if path.endswith(end)), None)
        if fault:
            fault(request, content or b"")
        elif content is None:
            send(request, 404, b"not found")
        else:
            send(request, 206 if begin else 200, content[begin:])


def send(request: BaseHTTPRequestHandler, status: int, content: bytes, length: int | None = None) -> None:
    """Answer with a content, whose length can be a lie."""
    request.send_response(status)
    request.send_header("Content-Length", str(len(content) if length is None else length))
    request.end_headers()
    request.wfile.write(content)
    if length is not None:
        request.close_connection = True


def cut_off(request: BaseHTTPRequestHandler, content: bytes) -> None:
    """Half of a file, and the connection ends."""
    send(request, 200, content[: len(content) // 2], length=len(content))


def endless(request: BaseHTTPRequestHandler, _content: bytes) -> None:
    """More and more, until nobody listens."""
    request.send_response(200)
    request.end_headers()
    until = time.monotonic() + 20
    try:
        while time.monotonic() < until:
            request.wfile.write(b"0" * 65536)
    except OSError:
        request.close_connection = True


def status(code: int, content: bytes = b"no") -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """A status with some words."""
    return lambda request, _content: send(request, code, content)


def another(request: BaseHTTPRequestHandler, content: bytes) -> None:
    """As many bytes as it should have, but others."""
    send(request, 200, bytes(byte ^ 1 for byte in content))


def web_page(request: BaseHTTPRequestHandler, _content: bytes) -> None:
    """Send the page with which a network with a log-in answers every request."""
    send(request, 200, HTML)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallArchive]:
    """The archive, with a home of its own, in which its key is Debian's."""
    archive = SmallArchive()
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R4L_MIRROR", archive.address)
    monkeypatch.setenv("R4L_CHECK_VALID_UNTIL", "true")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(release, "keys", lambda: [key("debian").extract_certificate()])
    monkeypatch.setattr("r4l.debian.mirror.PAUSE", 0.0)
    yield archive
    archive.server.shutdown()
    archive.server.server_close()


@pytest.fixture
def view() -> Archive:
    """The view of it."""
    return Archive("small", "backports", ("main",), "amd64", ("pinned",))
