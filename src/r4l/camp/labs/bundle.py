# SPDX-License-Identifier: MIT
"""The file that a student hands in: a zip with sources, answers, verdict, logs, captures, and a hash of each file.

The hashes detect damage and manual changes. They do not prove authorship: grading runs the checks again and does not
rely on the verdict inside.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from r4l.camp.labs import attempts
from r4l.camp.labs.check import Verdict
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.student import require_student, slug
from r4l.camp.labs.workspace import (
    ANSWERS,
    HANDOUTS,
    LONGEST,
    STATE,
    Workspace,
    now,
    parse_answers,
    plainly,
    require_source,
)
from r4l.camp.labs.workspace import MOST as MOST_SOURCES
from r4l.errors import UsageError
from r4l.kernel import Kernel

MANIFEST = "manifest.json"
FORMAT = "r4l-lab-bundle-1"
SOURCES = "sources"
EVIDENCE = "evidence"
LARGEST = 256 << 20
"""Maximum bytes of all files of a bundle, unpacked, and of the bundle itself.

The labs' own have a hundredth of that.
"""
LARGEST_MEMBER = 16 << 20
"""Maximum bytes of one file."""
MOST = 1000
"""Maximum number of files."""
LARGEST_DIRECTORY = 4 << 20
"""Maximum bytes of the list of files (APPNOTE.TXT 4.3.12), which zipfile reads completely."""
END = struct.Struct("<4s4H2LH")
"""End record of a zip file (APPNOTE.TXT 4.3.16): signature, disks, entries, size and offset of the list, comment."""
LOCATOR = 20
"""Bytes of the locator of ZIP64's end record (APPNOTE.TXT 4.3.15), which lies before `END`; zipfile believes the
numbers that it leads to, and not those of `END`."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Permitted compression methods. zlib unpacks only as much as requested; bzip2 and LZMA use as much memory as the
packed bytes demand."""
PIECE = 1 << 20
LONGEST_PATH = 1000
"""Maximum bytes of a file's path, far below the kernel's limit for any workspace."""
_UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError, UsageError),
)
"""Exceptions of zipfile and json for hostile bytes; UsageError is raised for an unknown lab."""
_STRANGER = "hand in the file made by `r4l lab submit`, unchanged"


class _Fault(Exception):
    """A fault of a bundle; the message continues a sentence that begins with the bundle's name."""


class BadBundle(UsageError):
    """The file is not a bundle, or was changed after `submit` made it."""

    category = "bundle"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and verified. Of its manifest it holds what has a bound.

    Attributes:
        path: the file.
        lab: the lab of the bundle.
        student: name of the student, as stated in the bundle.
        when: time when the bundle was made, as stated.
        claimed: number of checkpoints reached according to the verdict inside.
        attempts: the student's newest attempts, at most `attempts.MOST`, with `attempts.KEYS` only.
        attempts_made: number of attempts in all, as stated.
        files: contents by name.
    """

    path: Path
    lab: Lab
    student: str
    when: str
    claimed: int
    attempts: Sequence[Mapping[str, Any]]
    attempts_made: int
    files: Mapping[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """Read and verify a bundle.

        Raises:
            BadBundle: the file is no bundle, damaged or changed.
        """
        try:
            # A pipe would be waited for.
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                _require_size(file)
                with zipfile.ZipFile(file) as archive:
                    files = _members(archive)
            manifest = json.loads(files.pop(MANIFEST))
            if manifest["format"] != FORMAT:
                raise _Fault(f"is a bundle of another format: {manifest['format']!r}")
            lab = Lab.named(manifest["lab"])
            _require_hashes(manifest, files)
            newest = _require_manifest(manifest)
            _require_files(lab, files)
        except _Fault as fault:
            raise BadBundle(f"{plainly(path.name)} {plainly(str(fault))}", _STRANGER) from None
        except _UNREADABLE as error:
            if isinstance(error, OSError) and error.errno:
                cause = f"cannot read {plainly(str(path))}: {error.strerror}"
                raise BadBundle(cause, "name the file that `r4l lab submit` made") from None
            raise BadBundle(f"{plainly(path.name)} is not a lab's bundle", _STRANGER) from None
        number = max(len(manifest["attempts"]), manifest.get("attempts_made", 0))
        return cls(
            path, lab, manifest["student"], manifest["when"], manifest["verdict"]["reached"], newest, number, files
        )

    def needed(self) -> Bundle:
        """Return the bundle with only what grading needs: sources and answers, without evidence."""
        files = {name: data for name, data in self.files.items() if not name.startswith(f"{EVIDENCE}/")}
        return replace(self, files=files)

    def unpack(self, folder: Path) -> Workspace:
        """Make a new workspace that contains the student's files and no others from the bundle."""
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


def write(
    target: Path, workspace: Workspace, student: str, kernels: Sequence[Kernel], verdict: Verdict, evidence: Path
) -> None:
    """Make a bundle of a workspace that was just checked. It appears complete or not at all.

    Evidence that does not fit is left out and listed in the manifest (`left_out`).

    Raises:
        UsageError: `grade` would refuse the bundle; the message says why.
    """
    files = {f"{SOURCES}/{name.as_posix()}": data for name, data in workspace.sources().items()}
    if (workspace.folder / ANSWERS).is_file():
        files[ANSWERS] = (workspace.folder / ANSWERS).read_bytes()
    left_out = _add_evidence(files, evidence)
    made = workspace.attempts()
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "lab": workspace.lab.name,
        "student": student,
        "when": now(),
        "r4l": importlib.metadata.version("r4l"),
        "kernel": verdict.kernel,
        "toolchain": dict(kernels[0].toolchain.versions()),
        "attempts": made[-attempts.MOST :],
        "attempts_made": len(made),
        "verdict": verdict.as_dict(),
        "left_out": left_out,
        "files": {name: _hash(data) for name, data in files.items()},
    }
    manifest["hash"] = _own_hash(manifest)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
            for name, data in files.items():
                archive.writestr(name, data)
        try:
            Bundle.read(partial)
        except BadBundle as error:
            said = error.cause.removeprefix(plainly(partial.name)).strip()
            raise UsageError(f"cannot make a bundle of {workspace.folder}: it {said}", "correct that first") from None
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _add_evidence(files: dict[str, bytes], evidence: Path) -> list[str]:
    """Add the evidence that fits beside sources, answers and manifest; return the names left out."""
    left_out: list[str] = []
    room = LARGEST - LARGEST_MEMBER - sum(map(len, files.values()))
    for file in sorted(evidence.rglob("*")):
        name = f"{EVIDENCE}/{file.relative_to(evidence).as_posix()}"
        if file.is_symlink() or not file.is_file():
            continue
        size = file.stat().st_size
        if size > min(room, LARGEST_MEMBER) or len(files) >= MOST - 1 or not _is_path(name):
            left_out.append(plainly(name))
            continue
        files[name] = file.read_bytes()
        room -= size
    return left_out[:MOST]


def _is_path(name: str) -> bool:
    try:
        _require_path(name)
    except _Fault:
        return False
    return True


def file_name(lab: Lab, student: str) -> str:
    """Return the file name of a bundle."""
    return f"{slug(student)}-{lab.name}.zip"


def _require_size(file: BinaryIO) -> None:
    """Refuse a file whose list of members needs unbounded memory, or with a comment or records of ZIP64, which `submit`
    never writes.

    Raises:
        BadZipFile: the file is not a zip file.
    """
    size = file.seek(0, os.SEEK_END)
    if size > LARGEST:
        raise _Fault(f"has {size} bytes, and a bundle has at most {LARGEST}")
    file.seek(max(0, size - END.size - LOCATOR))
    before, end = file.read(min(LOCATOR, max(0, size - END.size))), file.read(END.size)
    if len(end) < END.size or not end.startswith(b"PK\5\6"):
        raise zipfile.BadZipFile
    if before.startswith(b"PK\6\7"):
        raise _Fault("is far larger than a bundle can be")
    *_, entries, length, _place, comment = END.unpack(end)
    if comment:
        raise zipfile.BadZipFile
    if entries > MOST or length > LARGEST_DIRECTORY:
        raise _Fault("is far larger than a bundle can be")


def _members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MOST:
        raise _Fault("is far larger than a bundle can be")
    for info in infos:
        _require_path(info.filename)
        if info.compress_type not in METHODS:
            raise _Fault(f"holds a file that is packed in a way that submit does not use: {info.filename}")
    files: dict[str, bytes] = {}
    left = LARGEST
    for info in infos:
        if info.filename in files:
            raise _Fault(f"holds two files of one name: {info.filename}")
        files[info.filename] = _unpacked(archive, info, min(left, LARGEST_MEMBER))
        left -= len(files[info.filename])
    return files


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int) -> bytes:
    """Unpack a member without trusting its stated size."""
    data = bytearray()
    with archive.open(info) as member:
        while piece := member.read(PIECE):
            data += piece
            if len(data) > room:
                raise _Fault("is far larger than a bundle can be")
    return bytes(data)


def _require_path(text: str) -> None:
    """Refuse a member whose path leads out of the folder or is not normal.

    Programs treat two slashes in a row as one, but after removal of the leading folder the rest would be absolute.
    """
    name = PurePosixPath(text)
    if name.is_absolute() or ".." in name.parts or "\\" in text or str(name) != text:
        raise _Fault(f"holds a file for another place: {text}")
    # Unprintable names may not even be UTF-8.
    printable = text.isprintable()
    if not printable or len(text.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST for part in name.parts):
        raise _Fault(f"holds a file with a name that submit never writes: {text}")


def _require_hashes(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    hashes = manifest["files"]
    if manifest["hash"] != _own_hash(manifest):
        raise _Fault(f"was changed by hand: {MANIFEST}")
    changed = sorted(name for name in {*files, *hashes} if name not in files or _hash(files[name]) != hashes.get(name))
    if changed:
        raise _Fault(f"was changed by hand: {', '.join(changed[:5])}")


def _require_manifest(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Refuse a manifest that lacks values for grading and the pages. Hashes do not help: anybody can compute them.

    Returns:
        The newest attempts, with the known keys only.
    """
    verdict, made = manifest.get("verdict"), manifest.get("attempts")
    fine = {
        "student": _is_student(manifest.get("student")),
        "when": attempts.is_text(manifest.get("when")),
        "verdict": isinstance(verdict, dict) and attempts.is_count(verdict.get("reached")),
        # Older bundles have all attempts, and no number.
        "attempts_made": attempts.is_count(manifest.get("attempts_made", 0), attempts.MOST_MADE),
    }
    wrong = [key for key, good in fine.items() if not good]
    if wrong:
        raise _Fault(f"has a {MANIFEST} that submit does not write: {', '.join(wrong)}")
    try:
        return attempts.known_attempts(made[-attempts.MOST :] if isinstance(made, list) else made)
    except ValueError as error:
        raise _Fault(f"has a {MANIFEST} that submit does not write: {error}") from None


def _require_files(lab: Lab, files: Mapping[str, bytes]) -> None:
    """Refuse sources and answers that no workspace could contain."""
    sources = {name: PurePosixPath(name).relative_to(SOURCES) for name in files if name.startswith(f"{SOURCES}/")}
    if len(sources) > MOST_SOURCES:
        raise _Fault(f"holds more than {MOST_SOURCES} sources")
    own = (*map(str, lab.files()), *HANDOUTS, ANSWERS, STATE)
    taken = {*sources.values(), *(PurePosixPath(name) for name in own)}
    try:
        for name, source in sources.items():
            require_source(source, len(files[name]))
            if any(part.startswith(".") for part in source.parts) or taken & {*source.parents}:
                raise _Fault(f"holds a source where none can be: {name}")
        if ANSWERS in files:
            parse_answers(files[ANSWERS])
    except UsageError as error:
        raise _Fault(f"holds what cannot be graded: {error.cause}") from None


def _is_student(value: object) -> bool:
    try:
        return isinstance(value, str) and require_student(value) == value
    except UsageError:
        return False


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _own_hash(manifest: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "hash"}
    return _hash(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
