# SPDX-License-Identifier: MIT
"""Survey of the home's entries, and removal of those that nothing points to.

`rooms.toml` lists the folders of the home and the reason that keeps their entries. Only entries made by r4l are
removed; unknown names are reported and left alone. Nothing is removed from a folder that was there before r4l and holds
other people's files: their names may look like r4l's. An entry in use by another process stays: the locks of its maker
and of its users (`r4l.inuse`) are taken first. An entry is renamed before it is deleted, so an interrupt leaves no
partial entry under its name.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout

from r4l import home, inuse, resources
from r4l.clean import points as pointing
from r4l.clean.points import Points
from r4l.clean.vanishing import undisturbed
from r4l.errors import EnvironmentFault, UsageError
from r4l.module.places import FOLDER, NOTHING, VIEW

__all__ = ["Entry", "named_image", "named_kernel", "remove", "survey"]

WEEK = 7 * 24 * 3600.0
"""Seconds that an unused cache entry is kept."""
LEFTOVER = re.compile(r"\.(?P<name>.+)\.partial-(?P<pid>\d+)(?P<rest>.*)")
"""Name of an unfinished entry (`home.temporary`)."""
FILES = (home.TAG, "lock.json", "rows.json", "selftest.json")
"""Files in the home's top folder; records that are never removed."""
OLD_FILES = ("seconds.json",)
"""Records of earlier versions of r4l, which nothing reads any more."""
COMPANIONS = (".seal", ".packages", ".inputs", ".console")
"""Suffixes of files that belong to the entry beside them and are removed with it."""

State = Literal["kept", "unused", "in use", "removed", "unknown"]


@dataclass(frozen=True)
class Entry:
    """An entry of the home and whether it can be removed.

    Attributes:
        room: folder of the home that contains the entry; empty for the home's top folder.
        name: its name there.
        path: its path on the host.
        size: bytes on the disk, without files shared by hard links with kept entries.
        used: time of last use, in seconds since the epoch.
        state: `kept`; `unused` if nothing points to it; `in use` by a process; `removed`; `unknown` to r4l.
        why: reason for the state.
        all_too: True if `--all` removes it.
        lock: name of the lock that its maker holds; empty for none.
        guard: path that its users lock, if not the entry itself.
    """

    room: str
    name: str
    path: Path
    state: State
    why: str
    all_too: bool = True
    lock: str = ""
    guard: Path | None = None
    size: int = 0
    used: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "room": self.room,
            "name": self.name,
            "path": os.fsencode(self.path).decode(errors="replace"),
            "bytes": self.size,
            "last_used": int(self.used),
            "state": self.state,
            "why": self.why,
        }


ROOM = {"about": str, "names?": str, "keep": str, "lock?": str, "making?": str}
"""Keys of a room in rooms.toml."""


@cache
def rooms() -> dict[str, dict[str, str]]:
    """Read rooms.toml."""
    return resources.table(__package__, "rooms.toml", {"*": ROOM})


def survey() -> list[Entry]:
    """Return every entry of the home with its size, last use and state."""
    foreign = _foreign()
    points = pointing.collect()
    entries: list[Entry] = []
    for path in sorted(home.home().iterdir()):
        if path.name in rooms() and path.is_dir() and not path.is_symlink():
            entries += _entries(path, points)
        elif path.name in FILES:
            entries.append(Entry("", path.name, path, "kept", "a record", all_too=False))
        elif path.name in OLD_FILES:
            entries.append(Entry("", path.name, path, "unused", "a record of an earlier r4l"))
        elif not LEFTOVER.fullmatch(path.name):
            entries.append(Entry("", path.name, path, "unknown", "r4l did not make it", all_too=False))
        else:
            entries.append(_leftover(path, "", ""))
    if foreign:
        why = f"R4L_HOME is a folder of other files, too, such as {foreign}"
        entries = [
            replace(entry, state="unknown", why=why, all_too=False) if entry.state in ("kept", "unused") else entry
            for entry in entries
        ]
    return _measured(entries)


def _foreign() -> str:
    """Return the name of a file or folder that was in the home before r4l; empty if the home is r4l's own.

    A home that r4l did not make, or that an earlier version of it made, is its own if it was used and all names in it
    are r4l's.
    """
    top = home.home()
    if home.is_marked(top):
        return ""
    there = inuse.names(top)
    ours = {*rooms(), *FILES, *OLD_FILES, "lost+found"}
    found = next((name for name in there if name not in ours and not LEFTOVER.fullmatch(name)), "")
    if not found and there and "locks" not in there:
        found = there[0]
    if not found:
        home.mark(top)
    return found


def _entries(room: Path, points: Points) -> Iterator[Entry]:
    """Yield the entries of a room."""
    rule = rooms()[room.name]
    if rule["keep"] == "always":
        yield Entry(room.name, "", room, "kept", rule["about"], all_too=False)
        return
    try:
        paths = sorted(room.iterdir())
    except FileNotFoundError:
        return
    for path in paths:
        yield from undisturbed(functools.partial(_at, path, rule, points))


def _at(path: Path, rule: dict[str, str], points: Points) -> list[Entry]:
    """Return the entries at a place in a room.

    Raises:
        FileNotFoundError, NotADirectoryError: something in it was removed meanwhile.
    """
    entry = Entry(path.parent.name, path.name, path, "unknown", "r4l did not make it", all_too=False)
    if not os.path.lexists(path):
        return [replace(entry, state="removed", why="it was gone already")]
    mode = path.lstat().st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        return [entry]
    if LEFTOVER.fullmatch(path.name):
        return [_leftover(path, entry.room, rule.get("making", rule.get("lock", "")))]
    if not re.fullmatch(rule["names"], path.name):
        return [entry]
    if _belongs_to_another(path):
        return []
    lock = rule.get("lock", "").format(name=path.name, stem=path.stem)
    entry = replace(entry, state="unused", why="", all_too=True, lock=lock)
    if entry.room in SPECIAL:
        return list(SPECIAL[entry.room](entry, points))
    return [_by_rule(entry, rule["keep"])]


def _belongs_to_another(path: Path) -> bool:
    return (path.suffix in (".seal", ".packages") and path.with_suffix("").exists()) or (
        path.suffix == ".inputs" and path.with_suffix(".state").exists()
    )


def _leftover(path: Path, room: str, lock: str) -> Entry:
    """Return the entry of an unfinished file or folder. If its maker is dead, the maker's lock is free."""
    match = LEFTOVER.fullmatch(path.name)
    assert match
    name = match["name"]
    if Path(f"/proc/{match['pid']}").exists():
        return Entry(room, path.name, path, "in use", f"process {match['pid']} makes it", all_too=False)
    held = lock.format(name=name, stem=Path(name).stem)
    return Entry(room, path.name, path, "unused", "an interrupt left it", lock=held)


def _by_rule(entry: Entry, keep: str) -> Entry:
    if keep == "named":
        return replace(entry, state="kept", why="it has a name")
    if keep == "owner":
        with inuse.exclusively(entry.path) as alone:
            ended = replace(entry, why="its process has ended")
            return ended if alone else replace(entry, state="in use", why=inuse.by_whom(entry.path), all_too=False)
    if time.time() - inuse.last_used(entry.path) < WEEK:
        return replace(entry, state="kept", why="used within a week")
    return replace(entry, why="not used for a week")


def _toolchain(entry: Entry, points: Points) -> Iterator[Entry]:
    if entry.path.suffix == ".json" and entry.path.is_file():
        # The record of the toolchain in force is needed always.
        return
    lock = "toolchain-" + (entry.name if "+" in entry.name else entry.name.split("-")[0])
    yield _pointed(replace(entry, lock=lock), points.trees.get(entry.name), "no setup points to it")


def _kernel(entry: Entry, points: Points) -> Iterator[Entry]:
    yield _pointed(entry, points.kernels.get(entry.name), "a newer one is there, and nothing is built with it")
    if entry.name in points.kernels:
        for path in (entry.path / name for name in inuse.names(entry.path)):
            if path.name in ("packages", "source") or not path.is_dir():
                continue
            name = f"{entry.name}/{path.name}"
            made = Entry("kernels", name, path, "unused", "", lock=entry.lock)
            yield _pointed(made, points.metadata.get(name), "it was made with a toolchain that is not in force")


def _copies(entry: Entry, _points: Points) -> Iterator[Entry]:
    builds = [path.name for path in home.room("builds").iterdir()]
    original = next((name for name in builds if entry.name.endswith(f"-{name}")), None)
    yield _pointed(entry, original and f"of the kernel {original}", "the kernel that it is a copy of is gone")


def _modules(entry: Entry, points: Points) -> Iterator[Entry]:
    note = entry.path / FOLDER
    if note.is_file():
        folder = note.read_text(encoding="utf-8", errors="surrogateescape")
        if not Path(folder).is_dir():
            yield replace(entry, why=f"{folder} is gone")
            return
    for path in (entry.path / name for name in inuse.names(entry.path) if name not in (NOTHING, VIEW)):
        if not path.is_dir():
            continue
        made = Entry("modules", f"{entry.name}/{path.name}", path, "unused", "", guard=entry.path)
        made = replace(made, lock=f"module-{entry.name}-{path.name}")
        ours = path.name in points.keys
        yield replace(made, state="kept", why="for a kernel that is ready") if ours else _by_rule(made, "week")


def _images(entry: Entry, _points: Points) -> Iterator[Entry]:
    if entry.name == "ssh":
        yield replace(entry, state="kept", why="the keys of all images", all_too=False)
    elif entry.name.startswith("modules-"):
        yield _by_rule(replace(entry, lock=f"modules-{entry.path.stem}"), "week")
    else:
        image = entry.name.rpartition("-")[0]
        newest = max(entry.path.parent.glob(f"{image}-*.qcow2"), key=lambda path: path.stat().st_mtime, default=None)
        entry = replace(entry, lock=f"image-{image}")
        yield _pointed(entry, f"--image {image}" if newest == entry.path else None, "there is a newer one")


def _venv(entry: Entry, points: Points) -> Iterator[Entry]:
    if entry.path == Path(sys.prefix):
        yield replace(entry, state="in use", why="this program runs in it", all_too=False)
    elif entry.path.is_dir():
        # The launcher chooses an environment shortly before its program can lock it.
        entry = replace(entry, all_too=entry.name not in points.venvs)
        yield _pointed(entry, points.venvs.get(entry.name), "its checkout is gone or has another")


def _pointed(entry: Entry, why: str | None, why_not: str) -> Entry:
    return replace(entry, state="kept", why=why) if why else replace(entry, why=why_not)


SPECIAL = {
    "toolchain": _toolchain,
    "kernels": _kernel,
    "copies": _copies,
    "modules": _modules,
    "images": _images,
    "venv": _venv,
}
"""Rooms whose entries are kept by what points to them."""


def _measured(entries: list[Entry]) -> list[Entry]:
    """Return the entries with sizes and times. Files shared by hard links count for the first kept entry."""
    # Entries inside a folder come before the folder.
    order = sorted(entries, key=lambda entry: (entry.state != "kept", "/" not in entry.name))
    # What lies in a folder, and not the folder itself: du would read that, which is a use of it.
    of = {path: entry.path for entry in order for path in _content(entry.path)}
    names = b"\0".join(map(os.fsencode, of))
    done = subprocess.run(["du", "-sk0", "--files0-from=-"], input=names, capture_output=True, check=False)
    sizes: Counter[Path] = Counter()
    for line in done.stdout.split(b"\0"):
        size, _, name = line.partition(b"\t")
        if name:
            sizes[of[Path(os.fsdecode(name))]] += int(size) * 1024
    return [replace(entry, size=sizes[entry.path], used=_used(entry.path)) for entry in entries]


def _content(path: Path) -> list[Path]:
    if path.is_symlink() or not path.is_dir():
        return [path]
    with contextlib.suppress(OSError):
        return [path / name for name in inuse.names(path)]
    return []


def _used(path: Path) -> float:
    try:
        return inuse.last_used(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0.0


def named_kernel(entries: Sequence[Entry], name: str) -> list[Entry]:
    """Return the entries of the kernel of that name: a Debian kernel by its release, one from source by its name.

    Raises:
        UsageError: no such kernel exists, or another kernel was built from its source.
    """
    release = [entry for entry in entries if entry.room == "kernels" and entry.name.split("_")[0] == name]
    own = [entry for entry in entries if entry.room == "builds" and entry.name.rpartition("-")[0] == name]
    found = [entry for entry in release if "/" not in entry.name] or own
    if not found:
        known = {entry.name.split("_")[0] for entry in entries if entry.room == "kernels"}
        known |= {entry.name.rpartition("-")[0] for entry in entries if entry.room == "builds"}
        raise UsageError(f"there is no kernel {name} in the home", f"use one of {', '.join(sorted(known))}")
    for entry in found:
        if entry.why.startswith("the source of"):
            raise UsageError(f"{name} is {entry.why}", "remove that one first")
    return found


def named_image(entries: Sequence[Entry], name: str) -> list[Entry]:
    """Return the disk images of that name.

    Raises:
        UsageError: no such image exists.
    """
    images = [entry for entry in entries if entry.room == "images" and entry.name.endswith(".qcow2")]
    found = [entry for entry in images if entry.name.rpartition("-")[0] == name]
    if not found:
        known = ", ".join(sorted({entry.name.rpartition("-")[0] for entry in images}))
        raise UsageError(f"there is no image {name} in the home", f"use one of {known}" if known else "")
    return found


def remove(entry: Entry) -> Entry:
    """Remove an entry unless another process makes or uses it; return it with its new state.

    Raises:
        EnvironmentFault: a file system is mounted inside the entry.
    """
    with contextlib.ExitStack() as stack:
        if entry.lock:
            lock = home.lock(entry.lock)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return replace(entry, state="in use", why="another r4l works on it")
            stack.callback(lock.release)
        try:
            alone = stack.enter_context(inuse.exclusively(entry.guard or entry.path))
            if not alone:
                return replace(entry, state="in use", why=inuse.by_whom(entry.guard or entry.path))
            _require_unmounted(entry.path)
            gone = entry.path.with_name(f".{entry.name.rpartition('/')[2]}.partial-{os.getpid()}.removed")
            entry.path.rename(gone)
        except FileNotFoundError:
            return replace(entry, state="removed", why="it was gone already")
        for end in COMPANIONS:
            beside = (entry.path.with_name(entry.path.name + end), entry.path.with_suffix(end))
            for companion in {*beside} - {entry.path}:
                companion.unlink(missing_ok=True)
    # No lock is needed any more: the renamed entry cannot be found.
    home.remove(gone)
    return replace(entry, state="removed")


def _require_unmounted(path: Path) -> None:
    mounted = home.mounts_below(path)
    if mounted:
        raise EnvironmentFault(f"{mounted[-1]} is mounted inside {path}", f"umount {mounted[-1]}")
