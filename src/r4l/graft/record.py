# SPDX-License-Identifier: MIT
"""What was put into which tree: kept under the home, so that exactly that can be taken out again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from r4l import home
from r4l.graft.changes import Changes, hash_of


@dataclass
class Entry:
    """One thing that was put there: a driver, or the kit.

    Attributes:
        name: the module's, or `kit`.
        source: the driver's folder.
        folder: where it is in the tree.
        symbol: its option.
        kit: whether it needs the kit's files there.
        hashes: of its files, by path.
        blocks: what it has in files of the tree's, by path.
        committed: whether it came there as a commit.
        whole: False while it is being put there.
    """

    name: str
    source: str
    folder: str
    symbol: str
    kit: bool
    hashes: dict[str, str]
    blocks: list[tuple[str, str]]
    committed: bool = False
    whole: bool = False

    @classmethod
    def of(cls, changes: Changes, *, name: str, source: str, folder: str, symbol: str, kit: bool) -> Entry:
        """What changes make, to be recorded before they are made."""
        hashes = {path: hash_of(text) for path, text in changes.files.items()}
        return cls(name, source, folder, symbol, kit, hashes, list(changes.blocks))

    def is_in(self, tree: Path) -> bool:
        """Whether anything of it is there."""
        return any((tree / path).exists() for path in self.hashes) or any(
            (tree / path).is_file() and block in (tree / path).read_text(encoding="utf-8")
            for path, block in self.blocks
        )


@dataclass
class Record:
    """All that is in a tree.

    Attributes:
        tree: its top.
        entries: what is in it now.
        elsewhere: what was put there and is not there now: on another branch, or undone with git.
    """

    tree: Path
    entries: list[Entry] = field(default_factory=list)
    elsewhere: list[Entry] = field(default_factory=list)

    @classmethod
    def load(cls, tree: Path) -> Record:
        """What is known of a tree; to be called with its lock held."""
        record = cls(tree)
        file = _file(tree)
        if file.exists():
            for data in json.loads(file.read_text(encoding="utf-8"))["entries"]:
                entry = Entry(**{**data, "blocks": list(map(tuple, data["blocks"]))})
                (record.entries if entry.is_in(tree) else record.elsewhere).append(entry)
        return record

    def save(self) -> None:
        """Keep it."""
        final = _file(self.tree)
        names = {entry.name for entry in self.entries}
        kept = [*self.entries, *(entry for entry in self.elsewhere if entry.name not in names)]
        if not kept:
            final.unlink(missing_ok=True)
            return
        partial = home.temporary(final)
        data = {"tree": str(self.tree), "entries": [asdict(entry) for entry in kept]}
        partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
        home.publish(partial, final)

    def mark(self, entries: list[Entry], *, whole: bool) -> None:
        """Keep whether these are whole."""
        for entry in entries:
            entry.whole = whole
        self.save()

    def find(self, wanted: str) -> Entry | None:
        """A driver by its name or by the folder that it came from."""
        folder = str(Path(wanted).absolute())
        return next((entry for entry in self.entries if entry.name == wanted or entry.source == folder), None)


def lock_name(tree: Path) -> str:
    """The lock that guards a tree's record."""
    return f"graft-{home.content_key(str(tree))}"


def _file(tree: Path) -> Path:
    return home.room("grafts") / f"{home.content_key(str(tree))}.json"
