# SPDX-License-Identifier: MIT
"""Files that r4l writes into folders of the user's: only its own are ever replaced.

The home remembers what was written, by content: a file that somebody else made, or changed since, is the user's.
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
    """Names a content."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


@dataclass
class Record:
    """What r4l wrote for one folder.

    Attributes:
        folder: the folder that is edited.
        files: by path, the digests of the contents that are ours.
        settings: the editor's settings as they were last written.
        reads: the folders that a language server must see for it.
    """

    folder: Path
    files: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Record:
        """The record of a folder; an empty one where nothing was written yet."""
        path = _path(folder)
        if not path.exists():
            return cls(folder)
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(folder, data["files"], data["settings"], data.get("reads", []))

    def save(self) -> None:
        """Keep it in the home."""
        path = _path(self.folder)
        partial = home.temporary(path)
        data = {"folder": str(self.folder), "files": self.files, "settings": self.settings, "reads": self.reads}
        partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
        home.publish(partial, path)

    def require_ours(self, path: Path, text: str) -> None:
        """Refuse to replace what is not ours.

        Raises:
            UsageError: the file is there and r4l did not write it.
            EnvironmentFault: it cannot be read.
        """
        present = read(path)
        if present is None or present == text or digest(present) in self.files.get(str(path), []):
            return
        raise UsageError(
            f"{path} is there, and r4l did not write it (or it was changed since)",
            "move it away, or have it replaced with --force",
        )

    def write(self, path: Path, text: str) -> bool:
        """Write a file, whole or not at all; False where its content is so already.

        Raises:
            EnvironmentFault: the folder cannot be written to.
        """
        same = read(path) == text
        # Known before it is written: an interrupt in between leaves no file of ours that passes for the user's.
        self.files[str(path)] = [*self.files.get(str(path), [])[-1:], digest(text)]
        self.save()
        if same:
            return False
        # Where it is a link of the user's, the file that it leads to.
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
    """The text of a file with its line ends as they are, None where there is no file.

    Raises:
        EnvironmentFault: it is there and cannot be read.
    """
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror}", "make it readable, or move it away") from error


def readable() -> list[Path]:
    """What the language servers must see: for all folders that have editor files and are still there."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(home.room(ROOM).glob("[0-9a-f]*.json"))]
    known = {Path(folder) for record in records for folder in (record["folder"], *record.get("reads", []))}
    return sorted(folder for folder in known if folder.is_dir())


def _path(folder: Path) -> Path:
    return home.room(ROOM) / f"{digest(str(folder))}.json"
