# SPDX-License-Identifier: MIT
"""Report saves; many files written at once are one save."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import watch

from r4l.errors import EnvironmentFault
from r4l.threads import Failed, guarded

STEP = 50
"""Milliseconds without a change after which a save is complete; `git checkout` writes many files in a row."""


RETURN = 0.5
"""Seconds between two looks for a folder that is gone."""


class Saves:
    """Watcher of folders and everything below them, on a thread of its own; a context manager.

    Args:
        folders: existing folders.
        tell: called with the paths that came, went or changed in each save; with the folders themselves if a name is
            not UTF-8 and the paths are unknown, and if a folder is gone, or back.
        failed: called with the error that ends the watch.
    """

    def __init__(self, folders: Sequence[Path], tell: Callable[[frozenset[Path]], None], failed: Failed) -> None:
        self._folders = folders
        self._tell = tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=guarded(self._watch, failed), name="r4l-saves", daemon=True)

    def __enter__(self) -> Saves:
        self._thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        lenient = False
        while not self._stop.is_set():
            try:
                # The lenient watch does not fail for a folder that is gone.
                for folder in self._folders:
                    folder.stat()
                for changes in watch(
                    *self._folders,
                    watch_filter=None,
                    step=STEP,
                    stop_event=self._stop,
                    ignore_permission_denied=lenient,
                ):
                    paths = frozenset(Path(name) for _, name in changes)
                    self._tell(paths)
                    if not paths.isdisjoint(self._folders):
                        # The folder may have been replaced: the kernel still watches the old one.
                        break
            except FileNotFoundError:
                self._tell(frozenset(self._folders))
                # A checkout of a commit without the folder; inotify(7) cannot watch what is not there.
                while not (self._stop.is_set() or all(folder.exists() for folder in self._folders)):
                    self._stop.wait(RETURN)
                if not self._stop.is_set():
                    self._tell(frozenset(self._folders))
            except OSError as error:
                if isinstance(error, PermissionError) and not lenient:
                    # A folder below that is closed to this user: the others are watched.
                    lenient = True
                    continue
                names = " and ".join(map(str, self._folders))
                remedy = "let this user watch more: sysctl fs.inotify.max_user_watches and max_user_instances"
                raise EnvironmentFault(f"saves in {names} are not seen: {error}", remedy) from error
            except RuntimeError:
                # WatchfilesRustInternalError: "Unable to decode path … to string".
                self._tell(frozenset(self._folders))
