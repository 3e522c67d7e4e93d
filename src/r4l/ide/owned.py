# SPDX-License-Identifier: MIT
"""Files that r4l writes into the user's folders, and a record of them. Only r4l's own files are ever replaced.

The home records the content of every file written. A file made or changed by anybody else belongs to the user. The
record of a folder that was moved, or copied, is found by the content of its files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r4l import home
from r4l.arch import DEFAULT
from r4l.errors import EnvironmentFault, UsageError
from r4l.module import visible
from r4l.paths import followed, require_bytes

ROOM = "ide"
DESCRIPTIONS = ("rust-project.json", "compile_commands.json")
"""Files that only `r4l ide` writes as they are, by whose content a moved folder is known."""


def digest(text: str) -> str:
    """Return a short hash of a text."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


@dataclass
class OwnedFiles:
    """Record of the files that r4l wrote into one folder.

    Attributes:
        folder: the folder opened in the editor.
        files: digests of the contents that r4l wrote, by path relative to the folder.
        settings: the editor's settings as last written.
        reads: folders that a language server must see for this folder.
        kernel: name of the kernel that the files are for, as for `--kernel`.
        arch: its architecture.
        config: options of Kconfig that the module was built with.
        home: r4l's home when the files were written; empty in the records of older versions.
        moved: True for the record of a folder that was moved here.
    """

    folder: Path
    files: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    kernel: str = "stock"
    arch: str = DEFAULT
    config: dict[str, str] = field(default_factory=dict)
    home: str = ""
    moved: bool = False

    @classmethod
    def of(cls, folder: Path) -> OwnedFiles:
        """Load the record of a folder; empty if nothing was written yet, in this place or before a move."""
        path = _path(folder)
        noted = home.record(path)
        own = cls._loaded(noted, folder) if noted else None
        present = {name: digest(text) for name in DESCRIPTIONS if (text := read(folder / name)) is not None}
        if not present or (own and _fits(present, own.files, latest=True)):
            return own or cls(folder)
        # Also with a record for this place: folders change places, or come back to where they were.
        others = [record for record in _records() if Path(record["folder"]) != folder]
        for latest in (True, False):
            if own and _fits(present, own.files, latest=latest):
                return own
            for record in others:
                if _fits(present, _by_name(record), latest=latest):
                    return cls._loaded(record, folder, moved=True)
        return own or cls(folder)

    @classmethod
    def _loaded(cls, data: Mapping[str, Any], folder: Path, *, moved: bool = False) -> OwnedFiles:
        return cls(
            folder,
            _by_name(data),
            data["settings"],
            data.get("reads", []),
            data.get("kernel", "stock"),
            data.get("arch", DEFAULT),
            data.get("config", {}),
            data.get("home", ""),
            moved,
        )

    def save(self) -> None:
        """Save the record in the home."""
        path = _path(self.folder)
        partial = home.temporary(path)
        names = ("files", "settings", "reads", "kernel", "arch", "config", "home")
        data = {"folder": str(self.folder), **{name: getattr(self, name) for name in names}}
        partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
        home.publish(partial, path)

    def require_ours(self, path: Path, text: str) -> None:
        """Refuse to replace a file of the user's.

        Raises:
            UsageError: the file exists and r4l did not write it.
            EnvironmentFault: the file cannot be read.
        """
        present = read(path)
        if present is None or present == text or digest(present) in self.files.get(self._name(path), []):
            return
        raise UsageError(
            f"{path} exists and was not written by r4l, or was changed since",
            "move the file away, or replace it with --force",
        )

    def require_inside(self, path: Path) -> None:
        """Refuse a link out of the folder, which a stranger may have made, unless it leads to a file that r4l wrote.

        Raises:
            UsageError: it is such a link.
        """
        final = followed(path)
        if final.is_relative_to(followed(self.folder)):
            return
        present = read(path)
        if present is None or digest(present) not in self.files.get(self._name(path), []):
            raise UsageError(f"{path} is a link to {final}, out of the folder", "put a file there, or remove the link")

    def write(self, path: Path, text: str) -> bool:
        """Write a file completely or not at all; return False if its content is the same already.

        Raises:
            EnvironmentFault: the folder is not writable.
            UsageError: the file is a link out of the folder.
        """
        self.require_inside(path)
        same = read(path) == text
        # The record comes first: after an interrupt in between, our file is not taken for the user's.
        name = self._name(path)
        self.files[name] = [*self.files.get(name, [])[-1:], digest(text)]
        self.save()
        if same:
            return False
        # If the user made it a link, write the file behind the link.
        final = followed(path)
        partial = final.with_name(f".{final.name}.r4l-{os.getpid()}")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            for leftover in final.parent.glob(f".{final.name}.r4l-*"):
                leftover.unlink()
            partial.write_bytes(text.encode(errors="surrogateescape"))
            if final.exists():
                shutil.copymode(final, partial)
            partial.rename(final)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write {path}: {error.strerror}", "make the folder writable, or give a copy of it"
            ) from error
        finally:
            if os.access(partial.parent, os.W_OK):
                partial.unlink(missing_ok=True)
        return True

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)


def read(path: Path) -> str | None:
    """Read a file with its line ends unchanged; None if it does not exist.

    Raises:
        EnvironmentFault: the file exists and cannot be read.
    """
    try:
        return require_bytes(path).decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except UsageError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.cause}", "move it away") from error
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror}", "make it readable, or move it away") from error


def readable() -> list[Path]:
    """Return the folders that the language servers must see: for all existing folders that have editor files."""
    known: set[Path] = set()
    for record in _records():
        folder = Path(record["folder"])
        reads = {folder, *map(Path, record.get("reads", []))}
        if folder.is_dir():
            # Older records name the parent folder, whatever that is.
            seen = (folder, *visible(folder))
            known |= {path for path in reads if path in seen or not folder.is_relative_to(path)}
    return sorted(folder for folder in known if folder.is_dir())


def folders() -> list[Path]:
    """Return the folders that have editor files, as far as they exist."""
    return sorted(folder for record in _records() if (folder := Path(record["folder"])).is_dir())


def moved(folder: Path) -> OwnedFiles | None:
    """Return the record of a folder's editor files if they are for another place of the folder, or of the home.

    Most folders have no editor files, which takes no time to see.
    """
    if not any((folder / name).exists() for name in DESCRIPTIONS):
        return None
    record = OwnedFiles.of(folder)
    elsewhere = record.moved or record.home not in ("", str(home.home()))
    return record if elsewhere else None


def _records() -> Iterator[dict[str, Any]]:
    """Yield the records of all folders, the latest first."""
    files = {path: path.stat().st_mtime_ns for path in home.room(ROOM).glob("[0-9a-f]*.json")}
    for path in sorted(files, key=lambda path: -files[path]):
        if noted := home.record(path):
            yield noted


def _by_name(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the digests of a record by paths relative to its folder; those of older versions have whole ones."""
    return {
        os.path.relpath(Path(record["folder"]) / name, record["folder"]): digests
        for name, digests in record["files"].items()
    }


def _fits(present: Mapping[str, str], written: Mapping[str, list[str]], *, latest: bool) -> bool:
    """True if r4l wrote these contents, a digest for each name.

    Args:
        present: digests of the files' contents.
        written: digests of what r4l wrote.
        latest: only what was written last counts, not what was there before, perhaps in another place.
    """
    return all(entry in written.get(name, [])[-1 if latest else 0 :] for name, entry in present.items())


def _path(folder: Path) -> Path:
    return home.room(ROOM) / f"{digest(str(folder))}.json"
