# SPDX-License-Identifier: MIT
"""Downloads from a Debian mirror over HTTP, limited to the expected size, resumed and retried."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from r4l import home
from r4l.debian import apt
from r4l.errors import EnvironmentFault

if TYPE_CHECKING:
    import urllib3

T = TypeVar("T")
CHUNK = 1 << 18
"""Bytes per read."""
TRIES = 3
PAUSE = 1.0
"""Seconds before a second try; twice as many before a third."""
CONNECT, SILENCE = 20.0, 30.0
"""Seconds that a connection may take, and seconds without a byte after which a try is given up."""
SLOWEST, PATIENCE = 1024, 60.0
"""Bytes per second below which a file is given up, after so many seconds."""
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Status codes after which another try may succeed (RFC 9110, section 15)."""
REMEDY = f"check the network and the proxy (http_proxy, or apt's), or name another mirror in {apt.ENVIRONMENT}"
MOVED_ON = "the archive has moved on: run `r4l setup --update` to take the newest versions, or name another mirror"


class Absent(EnvironmentFault):
    """The mirror does not have the file."""


class _Again(Exception):
    """A failed try after which another may succeed.

    Args:
        fault: error to raise after the last try.
    """

    def __init__(self, fault: EnvironmentFault) -> None:
        super().__init__(fault.cause)
        self.fault = fault


@dataclass(frozen=True)
class ArchiveFile:
    """A file of the archive, as a signed index describes it.

    Attributes:
        path: path under the mirror's address.
        size: bytes.
        sha256: hash of its content.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror; several threads may use it at once.

    Args:
        address: URL without a slash at its end. It may have a user and a password.
        stop: event that ends running downloads once it is set.
        tries: how often a file is asked for.
    """

    address: str
    stop: threading.Event = field(default_factory=threading.Event, compare=False)
    tries: int = TRIES

    @cached_property
    def shown(self) -> str:
        """The address without user and password, for messages and files."""
        return apt.without_login(self.address)[0]

    def read(self, path: str, most: int) -> bytes:
        """Return the content of a small file.

        Args:
            path: path under the address.
            most: largest permitted size in bytes.

        Raises:
            Absent: the mirror does not have the file.
            EnvironmentFault: the mirror cannot be reached, or sends more bytes.
        """
        data = self._tried(lambda: b"".join(self._stream(path, 0, most + 1)))
        if len(data) > most:
            raise EnvironmentFault(f"{self.shown}/{path} does not end: it has more than {most} bytes", REMEDY)
        return data

    def fetch(self, file: ArchiveFile, target: Path) -> None:
        """Download a file, or the rest of a partial one, and check it against the index; one that is there and fits is
        left as it is.

        Args:
            file: description of the file.
            target: path of the complete file. The part received so far lies beside it, after an interruption too.

        Raises:
            Absent: the mirror does not have the file.
            EnvironmentFault: the mirror cannot be reached or sends another file, or the disk is full.
        """
        partial = target.with_name(f"{target.name}.part")
        with home.no_full_disk(), _alone(partial) as descriptor:
            # A machine that lost its power may have left the file without its content.
            if _is_intact(file, target):
                partial.unlink(missing_ok=True)
                return
            self._tried(lambda: self._complete(file, descriptor))
            partial.rename(target)

    def _complete(self, file: ArchiveFile, descriptor: int) -> None:
        """Hash the part that is there and append the missing bytes; truncate the part if the hash is wrong."""
        digest, size = hashlib.sha256(), 0
        os.lseek(descriptor, 0, os.SEEK_SET)
        while chunk := os.read(descriptor, CHUNK):
            digest.update(chunk)
            size += len(chunk)
        if size < file.size:
            for chunk in self._stream(file.path, size, file.size - size):
                digest.update(chunk)
                size += len(chunk)
                while chunk:
                    chunk = chunk[os.write(descriptor, chunk) :]
        if size == file.size and digest.hexdigest() == file.sha256:
            return
        begin = os.pread(descriptor, 512, 0)
        if is_html(begin):
            os.ftruncate(descriptor, 0)
            raise _Again(web_page(f"{self.shown}/{file.path}"))
        if size < file.size:
            raise _Again(self._unreachable(f"{file.path} is cut off, {size} of {file.size} bytes came"))
        os.ftruncate(descriptor, 0)
        raise _Again(
            EnvironmentFault(
                f"{self.shown}/{file.path} is not the file that Debian signed: its SHA-256 is {digest.hexdigest()}",
                f"a proxy on the way changes files, or the mirror is broken: {REMEDY}",
            )
        )

    def _stream(self, path: str, begin: int, most: int) -> Iterator[bytes]:
        """Yield a file's bytes from an offset on, up to a number of bytes."""
        # Imported here: most commands download nothing.
        import urllib3

        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
        if login := apt.without_login(self.address)[1]:
            headers |= urllib3.make_headers(basic_auth=login)
        url, started, got = f"{self.shown}/{path}", time.monotonic(), 0
        came = 0
        try:
            answer = self._pool.request(
                "GET", url, headers=headers, preload_content=False, enforce_content_length=False
            )
            try:
                self._require_content(answer.status, answer.reason or "", path)
                # A server without support for ranges sends the whole file.
                skip = begin if answer.status == 200 else 0
                while got < most and not self.stop.is_set():
                    # Whatever has come: to wait for more is to wait for as long as a server likes.
                    chunk = answer.read1(min(CHUNK, skip + most - got))
                    if not chunk:
                        if answer.length_remaining:
                            raise _Again(self._unreachable(f"{path} is cut off"))
                        return
                    came += len(chunk)
                    chunk, skip = chunk[skip:], max(0, skip - len(chunk))
                    got += len(chunk)
                    seconds = time.monotonic() - started
                    if seconds > PATIENCE and came < SLOWEST * seconds:
                        raise _Again(self._unreachable(f"{came} bytes of {path} came in {seconds:.0f} s"))
                    yield chunk
            finally:
                # A connection with unread bytes cannot take another request, and the others may never come. One whose
                # answer was read to its end is free already.
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise _Again(self._unreachable(_reason(error))) from error

    def _require_content(self, status: int, reason: str, path: str) -> None:
        if status in (404, 410):
            raise Absent(f"the Debian mirror {self.shown} has no {path}", MOVED_ON)
        if status not in (200, 206):
            fault = self._unreachable(f"it answers {status} {reason}".strip())
            raise _Again(fault) if status in PASSING else fault

    def _tried(self, attempt: Callable[[], T]) -> T:
        """Return the result of the first try that succeeds."""
        for number in range(1, self.tries + 1):
            try:
                return attempt()
            except _Again as again:
                if number == self.tries or self.stop.wait(PAUSE * number):
                    raise again.fault from again
        raise AssertionError

    def _unreachable(self, why: str) -> EnvironmentFault:
        return EnvironmentFault(f"the Debian mirror cannot be reached: {self.shown}: {why}", REMEDY)

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        import urllib3

        proxy, login = apt.without_login(apt.proxy(self.address) or "")
        headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
        options: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=CONNECT, read=SILENCE),
            "retries": urllib3.Retry(0, redirect=5),
            "maxsize": 8,
        }
        try:
            return (
                urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
                if proxy
                else urllib3.PoolManager(**options)
            )
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise EnvironmentFault(f"the proxy {proxy} cannot be used: {error}", "set http_proxy to one") from error


def is_html(begin: bytes) -> bool:
    """Return True if a text with this beginning is a web page: the answer of a proxy, or of a network that requires a
    log-in."""
    return begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def web_page(url: str) -> EnvironmentFault:
    """Return the error for a web page received in the place of a file."""
    return EnvironmentFault(
        f"a web page came instead of {url}",
        f"a proxy answers for the mirror, or this network wants a log-in: open the address in a browser; {REMEDY}",
    )


def _is_intact(file: ArchiveFile, path: Path) -> bool:
    """True if a file is there and is the one that an index describes."""
    try:
        with path.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            return size == file.size and hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    except FileNotFoundError:
        return False


@contextmanager
def _alone(partial: Path) -> Iterator[int]:
    """Yield the descriptor of a partial file, locked against all other processes."""
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with contextlib.closing(os.fdopen(descriptor, "r+b", buffering=0)):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The partial file may have been renamed or removed during the wait for the lock.
            if partial.exists() and os.path.samestat(os.fstat(descriptor), partial.stat()):
                yield descriptor
                return


def _reason(error: Exception) -> str:
    """Return the cause of a failed request, without the names of Python's objects."""
    inner: BaseException = error
    while (further := getattr(inner, "reason", None) or inner.__cause__) and isinstance(further, BaseException):
        inner = further
    text = str(inner)
    # urllib3 writes `<HTTPConnection object at …>: Failed to …`.
    return text.rpartition(">: ")[2] or type(inner).__name__
