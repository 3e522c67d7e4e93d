# SPDX-License-Identifier: MIT
"""A kernel's own modules: their files, what each needs, and the tables made by depmod."""

from __future__ import annotations

import fnmatch
import gzip
import lzma
from collections.abc import Iterable
from pathlib import Path

from r4l.errors import UsageError
from r4l.toolchain import Grant, Toolchain

SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


def module_name(path: str) -> str:
    """Return a module's name from its file: `kernel/fs/9p/9p.ko.xz` is `9p`; dashes become underscores."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


class ModuleTree:
    """A folder `/lib/modules/RELEASE` with the tables made by depmod."""

    def __init__(self, folder: Path, toolchain: Toolchain) -> None:
        self.folder = folder
        self._toolchain = toolchain
        self.dependencies: dict[str, list[str]] = {}
        self._paths: dict[str, str] = {}
        for line in self.table("modules.dep"):
            path, _, needs = line.partition(":")
            self.dependencies[path] = needs.split()
            self._paths[module_name(path)] = path
        self.builtin = {module_name(line) for line in self.table("modules.builtin")}
        self._soft: dict[str, list[str]] = {}
        for line in self.table("modules.softdep"):
            self._read_softdep(line.split())

    def table(self, name: str) -> list[str]:
        """Return the lines of a file that depmod made, without comments; none if the file is missing."""
        path = self.folder / name
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines() if path.exists() else []
        return [line for line in lines if line and not line.startswith("#")]

    def _read_softdep(self, words: list[str]) -> None:
        if len(words) > 1 and words[0] == "softdep":
            names = [word for word in words[2:] if not word.endswith(":")]
            # A module with several softdep= has several lines.
            self._soft.setdefault(words[1].replace("-", "_"), []).extend(name.replace("-", "_") for name in names)

    def __contains__(self, name: str) -> bool:
        """True if the folder has a file of that module."""
        return name.replace("-", "_") in self._paths

    def resolve(self, names: Iterable[str]) -> list[str]:
        """Return the files (relative to the folder) of modules and their dependencies, in load order.

        Modules built into the kernel have no file and are left out.

        Raises:
            UsageError: the kernel has no such module.
        """
        order: dict[str, None] = {}
        for name in names:
            wanted = name.replace("-", "_")
            if wanted in self.builtin:
                continue
            if wanted not in self._paths:
                close = fnmatch.filter(self._paths, f"*{wanted}*")[:5]
                hint = f"did you mean {', '.join(close)}?" if close else f"see {self.folder}/modules.dep"
                raise UsageError(f"the kernel has no module {name}", hint)
            self._visit(self._paths[wanted], order)
        return list(order)

    def _visit(self, path: str, order: dict[str, None]) -> None:
        if path in order:
            return
        # modules.dep lists direct dependencies first; the deepest come last.
        for needed in reversed(self.dependencies.get(path, [])):
            self._visit(needed, order)
        for soft in self._soft.get(module_name(path), []):
            if soft in self._paths and self._paths[soft] not in order:
                order[path] = None  # breaks circles
                self._visit(self._paths[soft], order)
                del order[path]
        order[path] = None

    def content(self, path: str) -> bytes:
        """Return a module's ELF file, decompressed."""
        source = self.folder / path
        if path.endswith(".xz"):
            return lzma.decompress(source.read_bytes())
        if path.endswith(".gz"):
            return gzip.decompress(source.read_bytes())
        if path.endswith(".zst"):
            return self._toolchain.run(["zstd", "-dcq", source], Grant("initramfs: module", reads=(source,))).stdout
        return source.read_bytes()
