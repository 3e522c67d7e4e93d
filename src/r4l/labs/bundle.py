# SPDX-License-Identifier: MIT
"""What a student hands in: one zip file with sources, answers, verdict, logs, captures, and a hash of each.

The hashes find what was damaged or changed by hand. They prove nothing about who made it: whoever grades runs the
checks again and takes nothing from the verdict inside.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.labs.check import Verdict
from r4l.labs.lab import Lab
from r4l.labs.workspace import ANSWERS, Workspace, now, slug

MANIFEST = "manifest.json"
FORMAT = "r4l-lab-bundle-1"
SOURCES = "sources"
EVIDENCE = "evidence"
LARGEST = 256 << 20
"""Bytes that all files of a bundle may have, unpacked. Those of the labs have a hundredth."""
MOST = 1000
_UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError, UsageError),
)
"""What zipfile and json raise over bytes that somebody else chose; UsageError is an unknown lab."""
_STRANGER = "hand in what `r4l lab submit` makes, as it is"


class BadBundle(UsageError):
    """A file that is no bundle, or not as `submit` made it."""

    kind = "bundle"


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and is whole.

    Attributes:
        path: the file.
        lab: what it is of.
        student: who made it, as it says.
        manifest: `when`, `r4l`, `kernel`, `toolchain`, `verdict`.
        files: what it holds, by name.
    """

    path: Path
    lab: Lab
    student: str
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """Read a bundle.

        Raises:
            BadBundle: it is none, it is damaged, or it was changed.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                files = _members(path, archive)
            manifest = json.loads(files.pop(MANIFEST))
            if manifest["format"] != FORMAT:
                raise BadBundle(f"{path.name} is a bundle of another format: {manifest['format']!r}", _STRANGER)
            hashes, lab, student = manifest["files"], Lab.named(manifest["lab"]), str(manifest["student"])
            if manifest["hash"] != _own_hash(manifest):
                raise BadBundle(f"{path.name} was changed by hand: {MANIFEST}", _STRANGER)
        except BadBundle:
            raise
        except _UNREADABLE as error:
            if isinstance(error, OSError) and error.errno:
                raise BadBundle(f"cannot read {path}: {error.strerror}", "name the file that submit made") from None
            raise BadBundle(f"{path.name} is no bundle of a lab", _STRANGER) from None
        changed = sorted(
            name for name in {*files, *hashes} if name not in files or _hash(files[name]) != hashes.get(name)
        )
        if changed:
            raise BadBundle(f"{path.name} was changed by hand: {', '.join(changed[:5])}", _STRANGER)
        return cls(path, lab, student, manifest, files)

    def unpack(self, folder: Path) -> Workspace:
        """Make a fresh workspace with the student's files in it; nothing else of the bundle is taken."""
        workspace = Workspace.start(self.lab, folder)
        for path in workspace.sources():
            (folder / path).unlink()
        for name, data in self.files.items():
            first, _, rest = name.partition("/")
            path = Path(ANSWERS) if name == ANSWERS else Path(rest)
            if name == ANSWERS or (first == SOURCES and self.lab.is_students(path)):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
        return workspace


def write(target: Path, workspace: Workspace, student: str, kernel: Kernel, verdict: Verdict, evidence: Path) -> None:
    """Make a bundle of a workspace that has just been checked. It appears whole, or not at all."""
    files = {f"{SOURCES}/{name.as_posix()}": data for name, data in workspace.sources().items()}
    if (workspace.folder / ANSWERS).is_file():
        files[ANSWERS] = (workspace.folder / ANSWERS).read_bytes()
    for file in sorted(evidence.rglob("*")):
        if file.is_file():
            files[f"{EVIDENCE}/{file.relative_to(evidence).as_posix()}"] = file.read_bytes()
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "lab": workspace.lab.name,
        "student": student,
        "when": now(),
        "r4l": importlib.metadata.version("r4l"),
        "kernel": kernel.release,
        "toolchain": dict(kernel.toolchain.versions()),
        "attempts": workspace.state()["attempts"],
        "verdict": verdict.as_dict(),
        "files": {name: _hash(data) for name, data in files.items()},
    }
    manifest["hash"] = _own_hash(manifest)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
            for name, data in files.items():
                archive.writestr(name, data)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def file_name(lab: Lab, student: str) -> str:
    """What a bundle is called."""
    return f"{slug(student)}-{lab.name}.zip"


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, bytes]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MOST or sum(info.file_size for info in infos) > LARGEST:
        raise BadBundle(f"{path.name} is far larger than a bundle can be", _STRANGER)
    for info in infos:
        name = PurePosixPath(info.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename:
            raise BadBundle(f"{path.name} holds a file for another place: {info.filename}", _STRANGER)
    return {info.filename: archive.read(info) for info in infos}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _own_hash(manifest: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "hash"}
    return _hash(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode())
