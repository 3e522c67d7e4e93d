# SPDX-License-Identifier: MIT
"""Files that r4l writes into folders of the user's: only its own are ever replaced.

The home remembers what was written, by content: a file that somebody else made, or changed since, is the user's.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r4l import home
from r4l.errors import EnvironmentFault, UsageError

ROOM = "ide"


def digest(text: str) -> str:
    """Names a content."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass
class Record:
    """What r4l wrote for one folder.

    Attributes:
        folder: the folder that is edited.
        files: by path, the digests of the contents that are ours.
        settings: the editor's settings as they were last written.
    """

    folder: Path
    files: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Record:
        """The record of a folder; an empty one where nothing was written yet."""
        path = _path(folder)
        if not path.exists():
            return cls(folder)
        data = json.loads(path.read_text())
        return cls(folder, data["files"], data["settings"])

    def save(self) -> None:
        """Keep it in the home."""
        path = _path(self.folder)
        partial = home.temporary(path)
        data = {"folder": str(self.folder), "files": self.files, "settings": self.settings}
        partial.write_text(json.dumps(data, indent=1))
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
        partial = path.with_name(f".{path.name}.r4l-{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text)
            partial.rename(path)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write {path}: {error.strerror}", "make the folder writable, or give a copy of it"
            ) from error
        finally:
            if os.access(partial.parent, os.W_OK):
                partial.unlink(missing_ok=True)
        return True


def read(path: Path) -> str | None:
    """The text of a file, None where there is none.

    Raises:
        EnvironmentFault: it is there and cannot be read.
    """
    try:
        return path.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror}", "make it readable, or move it away") from error


def folders() -> list[Path]:
    """The folders that editor files were ever written for, and that are still there."""
    known = [Path(json.loads(path.read_text())["folder"]) for path in sorted(home.room(ROOM).glob("[0-9a-f]*.json"))]
    return [folder for folder in known if folder.is_dir()]


def _path(folder: Path) -> Path:
    return home.room(ROOM) / f"{digest(str(folder))}.json"
