# SPDX-License-Identifier: MIT
"""Extraction of a .deb into a folder, like dpkg but without running scripts of the package.

Run as a program it is a worker: it reads jobs from its standard input, a line of JSON each, and answers each with a
line. Decompressing keeps a processor busy, so several workers unpack in parallel. It imports no module of r4l.
"""

from __future__ import annotations

import contextlib
import fnmatch
import gzip
import io
import json
import lzma
import os
import re
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, TypeVar

T = TypeVar("T")
AR = b"!<arch>\n"
"""First bytes of a .deb (deb(5))."""
XZ = b"\xfd7zXZ\0"
"""First bytes of a file compressed with xz."""


class Broken(Exception):
    """The file is not a package, or not complete."""


@dataclass(frozen=True)
class Rules:
    """Rules for the files to leave out.

    Attributes:
        exclude: patterns of paths in the syntax of dpkg's path-exclude: `*` matches slashes too.
        include: patterns of files that are unpacked nevertheless.
        strip: number of folders to remove from the beginning of each path.
    """

    exclude: Sequence[str] = ()
    include: Sequence[str] = ()
    strip: int = 0

    def leave_out(self, path: str) -> bool:
        """Return True if a file is left out, given its path from the root without a leading slash."""
        if not self._excluded or not self._excluded.match(f"/{path}"):
            return False
        return not (self._included and self._included.match(f"/{path}"))

    @cached_property
    def _excluded(self) -> re.Pattern[str] | None:
        return _any_of(self.exclude)

    @cached_property
    def _included(self) -> re.Pattern[str] | None:
        return _any_of(self.include)


def extract(deb: str, folder: str, rules: Rules) -> None:
    """Lay the files of a package, or of a tar compressed with xz, over a folder.

    The files belong to the calling user, and none is set-user-ID. An existing file is replaced and never written into,
    since it may be a hard link to another tree's. A link in the folder cannot lead outside it.

    Args:
        deb: path of the package.
        folder: target.
        rules: files to leave out.

    Raises:
        Broken: the file is not a package.
        OSError: the disk is full, or the folder cannot be written.
    """
    places = _Places(folder)
    try:
        with open(deb, "rb") as file, _data(file) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                name = member.name.removeprefix("./").strip("/")
                if rules.strip:
                    name = "/".join(name.split("/")[rules.strip :])
                if name and name != "." and not rules.leave_out(name):
                    _lay(tar, member, name, places, rules)
    except (tarfile.TarError, lzma.LZMAError, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise Broken(f"{os.path.basename(deb)} cannot be unpacked: {error}") from error
    places.finish()


class _Places:
    """Places of a package's paths in a folder, following the links that are in the folder."""

    def __init__(self, folder: str) -> None:
        self._root = folder
        self._known: dict[str, str] = {"": folder}
        self._dirs: list[tuple[str, tarfile.TarInfo]] = []

    def folder(self, name: str, hops: int = 0) -> str:
        """Return the real folder of a path, made if missing."""
        known = self._known.get(name)
        if known is not None:
            return known
        if hops > 40:
            raise Broken(f"{name}: too many links")
        parent, _, last = name.rpartition("/")
        if last in ("..", "."):
            raise Broken(f"{name} leads out of its folder")
        real = f"{self.folder(parent, hops)}/{last}"
        if os.path.islink(real):
            target = os.readlink(real)
            whole = target if target.startswith("/") else f"{real[len(self._root) :].rpartition('/')[0]}/{target}"
            real = self.folder(os.path.normpath(f"/{whole}").strip("/"), hops + 1)
        elif not os.path.isdir(real):
            with contextlib.suppress(FileExistsError):
                os.mkdir(real, 0o755)
        self._known[name] = real
        return real

    def of(self, name: str) -> str:
        """Return the real path of a file."""
        parent, _, last = name.rpartition("/")
        if last in ("..", "."):
            raise Broken(f"{name} leads out of its folder")
        return f"{self.folder(parent)}/{last}"

    def later(self, real: str, member: tarfile.TarInfo) -> None:
        """Schedule a folder's mode and time, to be set when all its files are there."""
        self._dirs.append((real, member))

    def finish(self) -> None:
        """Set the scheduled modes and times of folders."""
        for real, member in reversed(self._dirs):
            # The owner must be able to remove the folder's files.
            os.chmod(real, member.mode & 0o777 | 0o700)
            os.utime(real, (member.mtime, member.mtime))


def _lay(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str, places: _Places, rules: Rules) -> None:
    if member.isdir():
        places.later(places.folder(name), member)
        return
    real = places.of(name)
    if member.issym() and os.path.isdir(real) and not os.path.islink(real):
        # A link does not replace a folder (dpkg(1)).
        return
    if member.isreg():
        source = tar.extractfile(member)
        assert source is not None
        descriptor = _anew(real, lambda: os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with open(descriptor, "wb", buffering=0) as file:
            while chunk := source.read(1 << 20):
                while chunk:
                    chunk = chunk[file.write(chunk) :]
            os.fchmod(descriptor, member.mode & 0o777 | 0o600)
            # By the descriptor: another worker, whose package has the file too, may have replaced it.
            os.utime(descriptor, (member.mtime, member.mtime))
    elif member.issym():
        _anew(real, lambda: os.symlink(member.linkname, real))
        # Another worker may have removed it, and sets the time of its own.
        with contextlib.suppress(FileNotFoundError):
            os.utime(real, (member.mtime, member.mtime), follow_symlinks=False)
    elif member.islnk():
        target = places.of("/".join(member.linkname.removeprefix("./").strip("/").split("/")[rules.strip :]))
        if not os.path.lexists(target):
            raise Broken(f"{name} is a link to {member.linkname}, which is left out")
        _anew(real, lambda: os.link(target, real, follow_symlinks=False))


def _anew(real: str, make: Callable[[], T]) -> T:
    """Make a file, removing an existing one first."""
    while True:
        try:
            return make()
        except FileExistsError:
            # Another worker may remove it at the same time.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(real)


@contextlib.contextmanager
def _data(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the tar with a package's files, decompressed (deb(5))."""
    begin = file.read(len(AR))
    if begin.startswith(XZ):
        file.seek(0)
        with lzma.open(file) as stream:
            yield stream
        return
    if begin != AR:
        raise Broken(f"{os.path.basename(file.name)} is not a Debian package")
    while header := file.read(60):
        try:
            name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
        except ValueError as error:
            raise Broken(f"{os.path.basename(file.name)} is a broken Debian package") from error
        if name.startswith("data.tar"):
            with _decompressed(file, name.removeprefix("data.tar")) as stream:
                yield stream
            return
        file.seek(size + size % 2, io.SEEK_CUR)
    raise Broken(f"{os.path.basename(file.name)} holds no files")


def _decompressed(file: IO[bytes], suffix: str) -> contextlib.AbstractContextManager[Any]:
    """Return the rest of a file decompressed, by the suffix of its compression: the data is a package's last member."""
    if suffix == ".xz":
        return lzma.open(file)
    if suffix == ".zst":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
    if suffix == ".gz":
        return gzip.open(file)
    if suffix == "":
        return contextlib.nullcontext(file)
    raise Broken(f"{os.path.basename(file.name)} is compressed as {suffix}, which r4l does not know")


def _any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)) if patterns else None


def work() -> None:
    """Do the jobs from the standard input, until it ends."""
    os.umask(0o022)
    for line in sys.stdin:
        job = json.loads(line)
        answer: dict[str, object] = {}
        try:
            extract(job["deb"], job["folder"], Rules(job["exclude"], job["include"], job["strip"]))
        except OSError as error:
            answer = {"errno": error.errno, "error": str(error)}
        except Broken as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    work()
