# SPDX-License-Identifier: MIT
"""Record of the drivers put into a tree, kept in the home, so that exactly these changes can be undone."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from r4l import home
from r4l.graft.changes import Changes, hash_of, read_exactly
from r4l.paths import followed


@dataclass
class GraftEntry:
    """A driver or the kit in a tree.

    Attributes:
        name: the module's name, or `kit`.
        source: the driver's folder on the host.
        folder: the driver's folder in the tree.
        symbol: the driver's option.
        kit: True if the driver needs the kit's files in the tree.
        hashes: hashes of the new files, by path.
        blocks: texts inserted into existing files, by path.
        committed: True if the driver was added by a commit.
        whole: False while files are being added or removed.
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
    def of(cls, changes: Changes, *, name: str, source: str, folder: str, symbol: str, kit: bool) -> GraftEntry:
        """Make the entry for a change set, to be recorded before the changes are applied."""
        hashes = {path: hash_of(text) for path, text in changes.files.items()}
        return cls(name, source, folder, symbol, kit, hashes, list(changes.blocks))

    @property
    def is_kit(self) -> bool:
        """True for the kit, which comes from no driver's folder; a driver may have its name."""
        return not self.source

    def is_in(self, tree: Path) -> bool:
        """True if any file or block of the entry is in the tree."""
        return any((tree / path).exists() for path in self.hashes) or any(
            (tree / path).is_file() and block in read_exactly(tree / path) for path, block in self.blocks
        )


@dataclass
class GraftRecord:
    """All drivers in a tree.

    Attributes:
        tree: top of the tree.
        entries: drivers in the tree now.
        elsewhere: drivers added earlier and not there now: on another branch, or undone with git.
        merged: files of further records of this tree, which `save` replaces.
    """

    tree: Path
    entries: list[GraftEntry] = field(default_factory=list)
    elsewhere: list[GraftEntry] = field(default_factory=list)
    merged: list[Path] = field(default_factory=list)

    @classmethod
    def load(cls, tree: Path) -> GraftRecord:
        """Read the record of a tree. The caller holds the tree's lock."""
        record = cls(tree, merged=_others(tree))
        known: set[tuple[str, bool]] = set()
        for file in [_file(tree), *record.merged]:
            for data in json.loads(file.read_text(encoding="utf-8"))["entries"] if file.exists() else []:
                entry = GraftEntry(**{**data, "blocks": list(map(tuple, data["blocks"]))})
                if (entry.name, entry.is_kit) not in known:
                    (record.entries if entry.is_in(tree) else record.elsewhere).append(entry)
            known = {(entry.name, entry.is_kit) for entry in record.entries}
        return record

    def save(self) -> None:
        """Write the record; delete its file if it is empty."""
        final = _file(self.tree)
        names = {(entry.name, entry.is_kit) for entry in self.entries}
        kept = [*self.entries, *(entry for entry in self.elsewhere if (entry.name, entry.is_kit) not in names)]
        if kept:
            partial = home.temporary(final)
            data = {"tree": str(self.tree), "entries": [asdict(entry) for entry in kept]}
            partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
            home.publish(partial, final)
        else:
            final.unlink(missing_ok=True)
        while self.merged:
            self.merged.pop().unlink(missing_ok=True)

    def mark(self, entries: list[GraftEntry], *, whole: bool) -> None:
        """Set `whole` of the entries and save the record."""
        for entry in entries:
            entry.whole = whole
        self.save()

    def find(self, wanted: str) -> GraftEntry | None:
        """Return a driver's entry by its name or its source folder, else the kit's by its name; or None."""
        folder = str(Path(wanted).absolute())
        found = [entry for entry in self.entries if entry.name == wanted or entry.source == folder]
        return min(found, key=lambda entry: entry.is_kit, default=None)


def lock_name(tree: Path) -> str:
    """Return the name of the lock for a tree's record."""
    return f"graft-{home.content_key(str(tree))}"


def _file(tree: Path) -> Path:
    return home.room("grafts") / f"{home.content_key(str(tree))}.json"


def _others(tree: Path) -> list[Path]:
    """Return the records that earlier versions made of a tree by another path to it: with a link, or with `..`."""
    found = []
    for file in sorted(home.room("grafts").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            named = json.loads(file.read_text(encoding="utf-8"))["tree"]
            if file != _file(tree) and followed(Path(named)) == tree:
                found.append(file)
    return found
