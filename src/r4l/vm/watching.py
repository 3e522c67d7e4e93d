# SPDX-License-Identifier: MIT
"""Watch what a function uses of the host while it runs: files, folders, environment variables, programs.

A function's code does not show that. Python reports most of it by audit events (`sys.addaudithook`). For the rest, a
few functions of `os` are replaced for as long as the function runs. The threads that it starts are watched, too; others
are not.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r4l.errors import UsageError
from r4l.vm.fingerprint import is_library
from r4l.vm.host_files import look as state_of
from r4l.vm.host_files import names, stamp_or_none

_R4L = str(Path(__file__).resolve().parents[1])
_REFUSED = {
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty"),
        "it runs another program, whose inputs cannot be seen",
    ),
    **dict.fromkeys(
        ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"),
        "it uses a network, whose answers cannot be known before",
    ),
}
"""Audit events (docs.python.org/3/library/audit_events.html) of actions whose inputs cannot be determined."""
_WRITES: dict[str, tuple[tuple[int, int], ...]] = {
    **dict.fromkeys(("os.mkdir", "os.chmod"), ((0, 2),)),
    **dict.fromkeys(("os.remove", "os.rmdir"), ((0, 1),)),
    **dict.fromkeys(("os.rename", "os.link"), ((0, 2), (1, 3))),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, 0),),
    "os.utime": ((0, 3),),
}
"""Audit events of changes, with the places of each path and its folder's descriptor (0: none) in their arguments."""
_local = threading.local()
_guard = threading.Lock()
_hooked = False
_watches = 0


@dataclass
class Uses:
    """The host's files, folders and variables that a function has used.

    Attributes:
        opened: files opened for reading, by absolute path, with their stamps at that moment (`host_files.stamp`).
        missed: those of them that the function itself opened, and not r4l for it.
        seen: paths that it asked about, whether they exist, of what kind and size they are, with `host_files.look`.
        listed: folders that it listed, with `host_files.names`.
        written: files and folders that it changed itself.
        variables: environment variables that it read, with their values.
        put: environment variables that it set itself.
        whole_environment: True if it went through all variables.
        relative: True if it used the working directory, or a path relative to it.
        refused: what it did whose inputs cannot be determined; empty for nothing.
    """

    opened: dict[str, list[int] | None] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    seen: dict[str, list[int] | None] = field(default_factory=dict)
    listed: dict[str, list[list[Any]] | None] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    variables: dict[str, str | None] = field(default_factory=dict)
    put: set[str] = field(default_factory=set)
    whole_environment: bool = False
    relative: bool = False
    refused: str = ""

    def place(self, path: object, *, user: bool) -> str | None:
        """Return the absolute path of a path or descriptor; None for neither.

        Args:
            user: the user's code uses it; if it is relative, that is recorded.
        """
        if path is None:
            path = "."
        if isinstance(path, int):
            try:
                return os.readlink(f"/proc/self/fd/{path}")  # noqa: PTH115 (no look at the disk amid an event)
            except OSError:
                return None
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        name = os.fsdecode(path)
        self.relative = self.relative or (user and not os.path.isabs(name))  # noqa: PTH117 (as above)
        return os.path.abspath(name)  # noqa: PTH100 (as above)

    def wrote(self, path: object, folder: object = -1) -> None:
        """Record the change of a path, relative to an open folder if `folder` is its descriptor."""
        if isinstance(folder, int) and folder >= 0 and isinstance(path, str | bytes):
            path = os.path.join(self.place(folder, user=False) or "", os.fsdecode(path))  # noqa: PTH118 (as below)
        if name := self.place(path, user=False):
            # A folder has other names in it then.
            self.written |= {name, os.path.dirname(name)}  # noqa: PTH120 (as below)

    def refusal(self) -> UsageError:
        """Return the error for `refused`."""
        return UsageError(
            f"a preparation that is saved cannot do this: {self.refused}; a stale snapshot could not be detected",
            "do it before, and give the preparation the result, or start the machine with snapshot=False",
        )


@contextmanager
def watched(uses: Uses) -> Iterator[None]:
    """Watch this thread, and those that it starts, in the context.

    Raises:
        UsageError: at an action whose inputs cannot be determined; the record of uses names it, too.
    """
    global _hooked, _watches
    with _guard:
        if not _hooked:
            # Audit hooks cannot be removed; while nothing is watched, this one does nothing.
            sys.addaudithook(_note)
            _hooked = True
        if not _watches:
            _replace()
        _watches += 1
    _local.uses = uses
    try:
        yield
    finally:
        _local.uses = None
        with _guard:
            _watches -= 1
            if not _watches:
                _restore()


def _now() -> Uses | None:
    """Return the record of this thread, unless one of this file's own functions is at work."""
    return None if getattr(_local, "busy", False) else getattr(_local, "uses", None)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep this file's own uses out of the record."""
    before = getattr(_local, "busy", False)
    _local.busy = True
    try:
        yield
    finally:
        _local.busy = before


def _by_user() -> bool:
    """True if the user's code asked for an event, by itself or through a library, and not r4l or an import."""
    frame = sys._getframe(2)
    while frame is not None:
        kind = _kind(frame.f_code.co_filename)
        if kind != "library":
            return kind == "user"
        frame = frame.f_back  # type: ignore[assignment]
    # A thread that the user's code has started with a library's function.
    return bool(getattr(_local, "child", False))


@functools.cache
def _kind(file: str) -> str:
    if file == __file__:
        return "library"
    if file.startswith("<frozen importlib"):
        return "import"
    if not is_library(file):
        return "user"
    return "r4l" if file.startswith(_R4L + os.sep) else "library"


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """Record an audit event."""
    if not _watches or (uses := _now()) is None:
        return
    if event in _REFUSED:
        with _alone():
            if not _by_user():
                return
            which = arguments[1:2] if event in ("socket.connect", "socket.sendto") else arguments[:1]
            what = " ".join((event, *(repr(word) for word in which)))
            uses.refused = uses.refused or f"{_REFUSED[event]} ({what})"
        raise uses.refusal()
    if event in _WRITES:
        with _alone():
            for path, folder in _WRITES[event]:
                uses.wrote(arguments[path], arguments[folder] if folder else -1)
        return
    if event in ("os.putenv", "os.unsetenv"):
        uses.put.add(os.fsdecode(arguments[0]))
        return
    if event == "open":
        path, _mode, flags = arguments
        # Mode is None for os.open; the flags tell in both cases.
        if not isinstance(flags, int) or isinstance(path, int):
            return
        if flags & os.O_ACCMODE != os.O_RDONLY:
            with _alone():
                uses.wrote(path)
        if flags & os.O_ACCMODE == os.O_WRONLY:
            return
    elif event not in ("os.listdir", "os.scandir", "sqlite3.connect"):
        return
    with _alone():
        user = _by_user()
        if (name := uses.place(arguments[0], user=user)) is None:
            return
        if event == "os.scandir" and _kind(sys._getframe(1).f_code.co_filename) == "user":
            # Its entries tell size and time without an event (os.DirEntry.stat).
            for entry in (os.path.join(name, each) for each, _ in names(name) or ()):  # noqa: PTH118 (as above)
                uses.seen.setdefault(entry, state_of(entry))
        if event in ("os.listdir", "os.scandir"):
            if user and name not in uses.listed:
                uses.listed[name] = names(name)
            return
        if name not in uses.opened:
            uses.opened[name] = stamp_or_none(name)
        if user:
            uses.missed.add(name)


# -- functions without an audit event -----------------------------------------------------------------------------

_LOOKS = ("stat", "lstat", "access", "readlink", "statvfs")
_ENVIRONMENT: Any = type(os.environ)
_originals: dict[str, Any] = {}


def _looks(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of `os` that records its path."""

    @functools.wraps(original)
    def look(path: Any, *arguments: Any, **named: Any) -> Any:
        if not isinstance(path, int) and named.get("dir_fd") is None and (uses := _now()) is not None:
            with _alone():
                if _by_user() and (place := uses.place(path, user=True)) and place not in uses.seen:
                    uses.seen[place] = state_of(place)
        return original(path, *arguments, **named)

    return look


def _replace() -> None:
    for name in _LOOKS:
        original = _originals[name] = getattr(os, name)
        look = _looks(name, original)
        setattr(os, name, look)
        # Libraries ask these sets whether a function takes an argument.
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if original in able:
                able.add(look)
    value_of, names_of, start = _ENVIRONMENT.__getitem__, _ENVIRONMENT.__iter__, threading.Thread.start
    directory = os.getcwd
    _originals.update(__getitem__=value_of, __iter__=names_of, start=start, getcwd=directory)

    def where() -> str:
        if (uses := _now()) is not None:
            with _alone():
                uses.relative = uses.relative or _by_user()
        return directory()

    def read(environment: Any, key: Any) -> Any:
        if (uses := _now()) is not None:
            with _alone():
                if _by_user() and (name := os.fsdecode(key)) not in uses.variables:
                    uses.variables[name] = os.environ.get(name)
        return value_of(environment, key)

    def go_through(environment: Any) -> Iterator[Any]:
        if (uses := _now()) is not None:
            with _alone():
                uses.whole_environment = uses.whole_environment or _by_user()
        return iter(names_of(environment))

    def begin(thread: threading.Thread) -> None:
        with _alone():
            user = _by_user()
        if user and (uses := getattr(_local, "uses", None)) is not None:
            run = thread.run

            def run_watched() -> None:
                _local.uses, _local.child = uses, True
                run()

            thread.run = run_watched  # type: ignore[method-assign]
        start(thread)

    _ENVIRONMENT.__getitem__, _ENVIRONMENT.__iter__ = read, go_through
    os.getcwd = where
    threading.Thread.start = begin  # type: ignore[method-assign,assignment]


def _restore() -> None:
    for name in _LOOKS:
        look = getattr(os, name)
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            able.discard(look)
        setattr(os, name, _originals[name])
    _ENVIRONMENT.__getitem__, _ENVIRONMENT.__iter__ = _originals["__getitem__"], _originals["__iter__"]
    os.getcwd = _originals["getcwd"]
    threading.Thread.start = _originals["start"]  # type: ignore[method-assign]
