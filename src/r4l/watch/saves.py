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
    """Watcher of folders, on a thread of its own; a context manager.

    Args:
        folders: existing folders.
        tell: called with the paths that came, went or changed in each save; with the folders themselves if a name is
            not UTF-8 and the paths are unknown, and if a folder is gone, or back.
        failed: called with the error that ends the watch.
        recursive: True to watch everything below the folders, False for what lies directly in them.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        tell: Callable[[frozenset[Path]], None],
        failed: Failed,
        *,
        recursive: bool = True,
    ) -> None:
        self._folders = frozenset(folders)
        self._recursive = recursive
        self._tell = tell
        self._missed: frozenset[Path] = frozenset()
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
                self._tell_changes(lenient=lenient)
            except FileNotFoundError:
                self._put_off(frozenset())
                if not self._all_there():
                    self._tell(self._folders)
                # A checkout of a commit without the folder; inotify(7) cannot watch what is not there.
                while not (self._stop.is_set() or self._all_there()):
                    self._stop.wait(RETURN)
            except OSError as error:
                if isinstance(error, PermissionError) and not lenient:
                    # A folder below that is closed to this user: the others are watched.
                    lenient = True
                    continue
                names = " and ".join(map(str, sorted(self._folders)))
                remedy = "let this user watch more: sysctl fs.inotify.max_user_watches and max_user_instances"
                raise EnvironmentFault(f"saves in {names} are not seen: {error}", remedy) from error
            except RuntimeError:
                # WatchfilesRustInternalError: "Unable to decode path … to string".
                self._put_off(frozenset())

    def _tell_changes(self, *, lenient: bool) -> None:
        """Watch the folders until one of them may have been replaced, or all is stopped.

        Raises:
            FileNotFoundError: a folder is gone.
            OSError: the folders cannot be watched.
            RuntimeError: a name is not UTF-8.
        """
        began = False
        # The first result, of changes or of none, comes when the kernel watches all folders.
        for changes in watch(
            *self._folders,
            watch_filter=None,
            step=STEP,
            stop_event=self._stop,
            rust_timeout=STEP,
            yield_on_timeout=True,
            recursive=self._recursive,
            ignore_permission_denied=lenient,
        ):
            if not began:
                began = True
                # The lenient watch does not fail for a folder that is gone.
                for folder in self._folders:
                    folder.stat()
            paths = frozenset(Path(name) for _, name in changes)
            if not paths.isdisjoint(self._folders):
                # The folder may have been replaced: the kernel still watches the old one.
                self._put_off(paths)
                return
            if paths or self._missed:
                self._tell(paths | self._missed)
                self._missed = frozenset()

    def _put_off(self, paths: frozenset[Path]) -> None:
        """Keep changes until the next watch has begun: what is saved until then is not seen, and whoever is told reads
        the folders before it."""
        if self._missed:
            # Interrupted again meanwhile, perhaps for ever.
            self._tell(self._missed)
        self._missed = paths | self._folders

    def _all_there(self) -> bool:
        return all(folder.exists() for folder in self._folders)
