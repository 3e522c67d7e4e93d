# SPDX-License-Identifier: MIT
"""A set of changes to a tree: applied, undone, or written as a patch."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from r4l.errors import UsageError
from r4l.graft.inside import inside
from r4l.graft.texts import insertion
from r4l.paths import followed, require_bytes


@dataclass
class Changes:
    """Files and blocks of text that a graft adds; paths are relative to the tree.

    Attributes:
        files: new files with their text.
        blocks: existing files, each with a text to insert.
    """

    files: dict[str, str] = field(default_factory=dict)
    blocks: list[tuple[str, str]] = field(default_factory=list)

    def __add__(self, other: Changes) -> Changes:
        return Changes({**self.files, **other.files}, [*self.blocks, *other.blocks])

    def add_block(self, tree: Path, path: str, block: str) -> None:
        """Add a block of text to an existing file, at the place that `insertion` determines.

        If the path is a link, the block is for the file that it leads to, which git and patches can change.

        Raises:
            UsageError: the file contains the block already, or the link leads out of the tree.
        """
        path = inside(tree, path).relative_to(followed(tree)).as_posix()
        text = read_exactly(tree / path)
        newline = "\r\n" if text.count("\r\n") > text.count("\n") / 2 else "\n"
        if block.replace("\n", newline) in text:
            raise UsageError(f"{path} has {block.strip()!r} already", "take it out first")
        self.blocks.append((path, insertion(text, block, path)[1].replace("\n", newline)))

    @property
    def changed(self) -> list[str]:
        """Existing files that get a block."""
        return sorted({path for path, _ in self.blocks})

    @property
    def paths(self) -> list[str]:
        """All files of the change set."""
        return sorted([*self.files, *self.changed])

    def after(self, tree: Path) -> dict[str, tuple[str | None, str]]:
        """Return every path with its text before (None for a new file) and after."""
        texts: dict[str, tuple[str | None, str]] = {path: (None, text) for path, text in self.files.items()}
        for path in self.changed:
            before = after = read_exactly(tree / path)
            for block in (text for other, text in self.blocks if other == path):
                at, _ = insertion(after, block, path)
                after = after[:at] + block + after[at:]
            texts[path] = (before, after)
        return dict(sorted(texts.items()))

    def apply(self, tree: Path) -> None:
        """Write all changes to the tree. If one fails, all are undone and the exception is raised again."""
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

    def diff(self, tree: Path) -> str:
        """Return the changes as a patch in git's format, for `git am` and `patch -p1`."""
        parts: list[str] = []
        for path, (before, after) in self.after(tree).items():
            parts.append(f"diff --git a/{path} b/{path}\n" + ("new file mode 100644\n" if before is None else ""))
            old = "/dev/null" if before is None else f"a/{path}"
            lines = difflib.unified_diff(lines_of(before or ""), lines_of(after), old, f"b/{path}")
            parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
        return "".join(parts)


def take_back(tree: Path, hashes: dict[str, str], blocks: list[tuple[str, str]], *, whole: bool) -> None:
    """Undo changes. Additions by the user to shared files stay.

    Args:
        hashes: the new files, each with the hash of its text when written.
        blocks: as in `Changes`.
        whole: True if all changes were made; False if an interrupt may have left a part of them.

    Raises:
        UsageError: a file or block was changed since, or a link leads out of the tree; the tree is then left as it is.
    """
    for path in [*hashes, *(path for path, _ in blocks)]:
        inside(tree, path)
    changed = [path for path, known in hashes.items() if (tree / path).exists() and _hash_at(tree / path) != known]
    if changed:
        raise UsageError(
            f"{', '.join(changed)} changed since the driver was put there, and the changes would be lost",
            "save the changed files elsewhere and delete them in the tree, then try again",
        )
    texts: dict[str, str] = {}
    for path, block in blocks:
        text = texts.get(path) or (read_exactly(tree / path) if (tree / path).is_file() else "")
        if text.count(block) == 1:
            texts[path] = text.replace(block, "", 1)
        elif whole or text.count(block) > 1:
            raise UsageError(f"{path} no longer contains the driver's lines {block.strip()!r}", "restore them first")
    for path, text in texts.items():
        write(tree / path, text)
    for path in [*hashes, *texts]:
        for partial in (tree / path).parent.glob(f".{Path(path).name}.partial-*"):
            partial.unlink()
    for path in hashes:
        _remove(tree, path)


def read_exactly(path: Path) -> str:
    """Return the text of a file of the tree, whose line ends, and bytes that are not UTF-8, `write` writes again.

    Raises:
        OSError, UsageError: as for `require_bytes`.
    """
    return require_bytes(path).decode("utf-8", "surrogateescape")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text with their ends, as patch(1) counts them: a form feed ends none."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text, to detect changes."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _hash_at(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path: Path, text: str) -> None:
    """Write a file by renaming: readers see the old or the new text, and hard links keep the old one. A link stays."""
    path = followed(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_bytes(text.encode("utf-8", "surrogateescape"))
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
