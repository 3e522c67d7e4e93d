# SPDX-License-Identifier: MIT
"""A set of changes to a tree: made, taken back, or written as a patch."""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from r4l.errors import UsageError
from r4l.graft.texts import insertion


@dataclass
class Changes:
    """What a graft adds; paths are relative to the tree.

    Attributes:
        files: new ones, with their text.
        blocks: text that goes into files that are there.
    """

    files: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)

    def add_block(self, tree: Path, path: str, block: str) -> None:
        """Have a block put where such a block goes.

        Raises:
            UsageError: the file has it already.
        """
        text = (tree / path).read_text()
        _, stands = insertion(text, block)
        if block in text:
            raise UsageError(f"{path} has the line {block.strip()!r} already", "take it out first")
        self.blocks[path] = stands

    @property
    def paths(self) -> list[str]:
        """All that they touch."""
        return sorted([*self.files, *self.blocks])

    def after(self, tree: Path) -> dict[str, tuple[str | None, str]]:
        """Every path with its text before (None where it is new) and after."""
        texts: dict[str, tuple[str | None, str]] = {path: (None, text) for path, text in self.files.items()}
        for path, block in self.blocks.items():
            before = (tree / path).read_text()
            at, _ = insertion(before, block)
            texts[path] = (before, before[:at] + block + before[at:])
        return dict(sorted(texts.items()))

    def apply(self, tree: Path) -> None:
        """Make them: all, or none where it fails."""
        texts = self.after(tree)
        done: list[str] = []
        try:
            for path, (_, text) in texts.items():
                done.append(path)
                write(tree / path, text)
        except BaseException:
            for path in done:
                before = texts[path][0]
                if before is None:
                    _remove(tree, path)
                else:
                    write(tree / path, before)
            raise

    def take_back(self, tree: Path, hashes: dict[str, str]) -> None:
        """Undo them; what the user has added to shared files stays.

        Args:
            hashes: of the new files as they were made.

        Raises:
            UsageError: something of it was changed since; nothing is touched then.
        """
        changed = [
            path for path, known in hashes.items() if (tree / path).exists() and hash_of((tree / path).read_text()) != known
        ]
        strange = sorted(set(_files_beside(tree, list(hashes))) - set(hashes))
        if changed or strange:
            what = f"{', '.join(changed)} changed" if changed else f"{', '.join(strange)} came"
            raise UsageError(
                f"{what} since the driver was put there, and would be lost", "save that elsewhere, then delete it there"
            )
        texts: dict[str, str] = {}
        for path, block in self.blocks.items():
            text = (tree / path).read_text() if (tree / path).is_file() else ""
            if text.count(block) != 1:
                raise UsageError(f"{path} no longer has what was put there: {block.strip()!r}", "take it out by hand")
            texts[path] = text.replace(block, "", 1)
        for path, text in texts.items():
            write(tree / path, text)
        for path in hashes:
            _remove(tree, path)

    def diff(self, tree: Path) -> str:
        """As git writes it, for `git am` and `patch -p1`."""
        parts: list[str] = []
        for path, (before, after) in self.after(tree).items():
            parts.append(f"diff --git a/{path} b/{path}\n" + ("new file mode 100644\n" if before is None else ""))
            old = "/dev/null" if before is None else f"a/{path}"
            lines = difflib.unified_diff(
                (before or "").splitlines(keepends=True), after.splitlines(keepends=True), old, f"b/{path}"
            )
            parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
        return "".join(parts)


def hash_of(text: str) -> str:
    """Tells whether a text is still the same."""
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, text: str) -> None:
    """Write a file by renaming, so that a reader sees either the old one or the new one, and a hard link keeps the old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_text(text)
        if mode is not None:
            partial.chmod(mode)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _remove(tree: Path, path: str) -> None:
    (tree / path).unlink(missing_ok=True)
    folder = (tree / path).parent
    while folder != tree and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _files_beside(tree: Path, paths: list[str]) -> list[str]:
    """The files in folders that are all the graft's: those where it made the Makefile or the Kconfig."""
    own = {str(Path(path).parent) for path in paths if Path(path).name in ("Makefile", "Kconfig")}
    built = (".o", ".cmd", ".ko", ".mod", ".mod.c", ".a", ".rmeta", ".order", ".s", ".d")
    return [
        str(file.relative_to(tree))
        for folder in own
        for file in (tree / folder).rglob("*")
        if file.is_file() and not file.name.endswith(built) and "r4l" not in file.relative_to(tree / folder).parts
    ]
