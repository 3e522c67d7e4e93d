# SPDX-License-Identifier: MIT
"""Proxies and mirrors with a login, servers without ranges, and servers that hardly send."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.unit.debian import conftest as archives
from tests.unit.debian.conftest import SmallArchive

from r4l import home
from r4l.debian import Archive, apt, mirror
from r4l.debian.mirror import ArchiveFile, Mirror
from r4l.errors import EnvironmentFault

LOGIN = "user:p@ss word"


def with_login(address: str) -> str:
    return address.replace("//", "//user:p%40ss%20word@")


def guarded(small: SmallArchive, header: str, refusal: int) -> None:
    """Have the server refuse each request without the login."""
    wanted = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"

    def answer(request: BaseHTTPRequestHandler) -> None:
        fits = request.headers.get(header) == wanted
        archives.send(request, 200 if fits else refusal, b"content" if fits else b"no")

    small.answer = answer  # type: ignore[method-assign]


def test_a_proxy_with_a_password(small: SmallArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the proxy answered with 407."""
    guarded(small, "Proxy-Authorization", 407)
    proxy = small.address.removesuffix("/debian")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", with_login(proxy))
    assert Mirror("http://mirror.invalid/debian").read("InRelease", 100) == b"content"
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(EnvironmentFault, match="407"):
        Mirror("http://mirror.invalid/debian").read("InRelease", 100)


def test_a_mirror_with_a_password(small: SmallArchive) -> None:
    """Nobody is told the password, neither."""
    guarded(small, "Authorization", 401)
    own = Mirror(with_login(small.address))
    assert own.read("InRelease", 100) == b"content"
    assert own.shown == small.address
    for other, status in ((small.address, 401), (with_login(small.address).replace("word", "sesame"), 401)):
        with pytest.raises(EnvironmentFault, match=str(status)) as caught:
            Mirror(other).read("InRelease", 100)
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "plain", "login"),
    [
        ("http://deb.debian.org/debian", "http://deb.debian.org/debian", ""),
        ("http://a:b@host:3128", "http://host:3128", "a:b"),
        ("https://a%3A:b%40c@host/x@y", "https://host/x@y", "a::b@c"),
        ("http://a@host/", "http://host/", "a:"),
        ("", "", ""),
    ],
)
def test_the_login_in_an_address(address: str, plain: str, login: str) -> None:
    assert apt.without_login(address) == (plain, login)


def test_a_proxy_that_is_none_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "ftp://user:sesame@host")
    with pytest.raises(EnvironmentFault) as caught:
        Mirror("http://mirror.invalid/debian", tries=1).read("InRelease", 100)
    assert "sesame" not in str(caught.value)


def test_a_download_goes_on_from_a_server_without_ranges(
    small: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: bytes that were there already did not count, so that the try was given up."""
    content = os.urandom(600_000)

    def slowly(request: BaseHTTPRequestHandler, _content: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        for begin in range(0, len(content), 50_000):
            request.wfile.write(content[begin : begin + 50_000])
            time.sleep(0.1)

    monkeypatch.setattr(mirror, "PATIENCE", 0.5)
    small.faults = {"file": slowly}
    (tmp_path / "file.part").write_bytes(content[:590_000])
    file = ArchiveFile("file", len(content), hashlib.sha256(content).hexdigest())
    Mirror(small.address, tries=1).fetch(file, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize("length", ["1000000", ""])
def test_a_server_that_hardly_sends_is_given_up(
    small: SmallArchive, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    """Regression: after r4l had given it up, it read the rest first."""

    def drip(request: BaseHTTPRequestHandler, _content: bytes) -> None:
        request.send_response(200)
        if length:
            request.send_header("Content-Length", length)
        request.end_headers()
        request.close_connection = True
        until = time.monotonic() + 20
        try:
            while time.monotonic() < until:
                request.wfile.write(b"x")
                time.sleep(0.1)
        except OSError:
            pass

    monkeypatch.setattr(mirror, "PATIENCE", 1.0)
    small.faults = {"drip": drip}
    begun = time.monotonic()
    with pytest.raises(EnvironmentFault, match="bytes of drip came in"):
        Mirror(small.address, tries=1).read("drip", 1 << 20)
    assert time.monotonic() - begun < 8


def test_a_connection_is_used_again(small: SmallArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = set()
    answer = small.answer

    def noted(request: BaseHTTPRequestHandler) -> None:
        ports.add(request.client_address[1])
        answer(request)

    small.answer = noted  # type: ignore[method-assign]
    small.files |= {f"file{number}": bytes(100_000) for number in range(3)}
    own = Mirror(small.address)
    assert [len(own.read(f"file{number}", 1 << 20)) for number in range(3)] == [100_000] * 3
    assert len(ports) == 1


@pytest.mark.parametrize(
    "damage", [b"", archives.deb({"usr/share/make": b"another"}), b"x" * 100], ids=["empty", "another", "none"]
)
def test_a_damaged_package_is_fetched_again(damage: bytes, small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    """Regression: after a loss of power, each setup ended with an empty package."""
    small.add("make", content=archives.deb({"usr/share/make": b"1"}))
    small.publish()
    view.update()
    packages = view.candidates("make")
    kept = view.download(packages, home.room("downloads"))["make"]
    small.asked = []
    view.download(packages, home.room("downloads"))
    assert small.asked == [], "one that is whole is used"
    kept.write_bytes(damage)
    view.unpack({"make": "1"}, tmp_path / "tree")
    assert (tmp_path / "tree/usr/share/make").read_bytes() == b"1"
