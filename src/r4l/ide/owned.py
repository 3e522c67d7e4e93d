# SPDX-License-Identifier: MIT
"""Files that r4l writes into the user's folders, and a record of them. Only r4l's own files are ever replaced.

The home records the content of every file written. A file made or changed by anybody else belongs to the user.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r4l import home
from r4l.errors import EnvironmentFault, UsageError

ROOM = "ide"


def digest(text: str) -> str:
    """Return a short hash of a text."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


@dataclass
class OwnedFiles:
    """Record of the files that r4l wrote into one folder.

    Attributes:
        folder: the folder opened in the editor.
        files: digests of the contents that r4l wrote, by path.
        settings: the editor's settings as last written.
        reads: folders that a language server must see for this folder.
    """

    folder: Path
    files: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> OwnedFiles:
        """Load the record of a folder; empty if nothing was written yet."""
        path = _path(folder)
        if not path.exists():
            return cls(folder)
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(folder, data["files"], data["settings"], data.get("reads", []))

    def save(self) -> None:
        """Save the record in the home."""
        path = _path(self.folder)
        partial = home.temporary(path)
        data = {"folder": str(self.folder), "files": self.files, "settings": self.settings, "reads": self.reads}
        partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
        home.publish(partial, path)

    def require_ours(self, path: Path, text: str) -> None:
        """Refuse to replace a file of the user's.

        Raises:
            UsageError: the file exists and r4l did not write it.
            EnvironmentFault: the file cannot be read.
        """
        present = read(path)
        if present is None or present == text or digest(present) in self.files.get(str(path), []):
            return
        raise UsageError(
            f"{path} exists and was not written by r4l, or was changed since",
            "move the file away, or replace it with --force",
        )

    def write(self, path: Path, text: str) -> bool:
        """Write a file completely or not at all; return False if its content is the same already.

        Raises:
            EnvironmentFault: the folder is not writable.
        """
        same = read(path) == text
        # The record comes first: after an interrupt in between, our file is not taken for the user's.
        self.files[str(path)] = [*self.files.get(str(path), [])[-1:], digest(text)]
        self.save()
        if same:
            return False
        # If the user made it a link, write the file behind the link.
        final = path.resolve()
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


def read(path: Path) -> str | None:
    """Read a file with its line ends unchanged; None if it does not exist.

    Raises:
        EnvironmentFault: the file exists and cannot be read.
    """
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror}", "make it readable, or move it away") from error


def readable() -> list[Path]:
    """Return the folders that the language servers must see: for all existing folders that have editor files."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(home.room(ROOM).glob("[0-9a-f]*.json"))]
    known = {Path(folder) for record in records for folder in (record["folder"], *record.get("reads", []))}
    return sorted(folder for folder in known if folder.is_dir())


def _path(folder: Path) -> Path:
    return home.room(ROOM) / f"{digest(str(folder))}.json"
