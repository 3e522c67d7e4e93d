# SPDX-License-Identifier: MIT
"""Saves, as they come: many files at once are one save."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import watch

STEP = 50
"""Milliseconds of rest after which a save is taken to be whole; a `git checkout` writes file upon file."""


class Saves:
    """Watches folders and all below them, on a thread of its own; a context manager.

    Args:
        folders: they must exist.
        tell: gets the paths of each save: what came, went or changed. Where nobody can say which, because a name is no
            UTF-8, the folders themselves.
    """

    def __init__(self, folders: Sequence[Path], tell: Callable[[frozenset[Path]], None]) -> None:
        self._folders = folders
        self._tell = tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="r4l-saves", daemon=True)

    def __enter__(self) -> Saves:
        self._thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                for changes in watch(*self._folders, watch_filter=None, step=STEP, stop_event=self._stop):
                    paths = frozenset(Path(name) for _, name in changes)
                    self._tell(paths)
                    if not paths.isdisjoint(self._folders):
                        # Perhaps made anew meanwhile: the kernel watches the one that is gone.
                        break
            except FileNotFoundError:
                self._tell(frozenset(self._folders))
                return
            except RuntimeError:
                # WatchfilesRustInternalError: "Unable to decode path … to string".
                self._tell(frozenset(self._folders))
