# SPDX-License-Identifier: MIT
"""The git repository that a module's build sees if it calls git: the parts that git needs to read it, read-only.

Makefiles of strangers may run in the build. So it sees the commits, the references and the index, and neither git's
configuration, which may hold credentials, nor its logs and hooks.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.module.view import GIT, top_of, visible

APART = Path("/run/r4l/git")
"""Place of the repository in the sandbox where the user's is outside of the work tree (a worktree, a submodule)."""
FOLDERS = ("objects", "refs", "reftable")
OF_ALL = ("packed-refs", "shallow")
"""Files that all worktrees of a repository share."""
OWN = ("HEAD", "index")
"""Files of one worktree (gitrepository-layout(5))."""
CONFIG = "config"
SECTION = re.compile(r"\[(\w+)\]\s*(?:[#;].*)?")
VALUE = re.compile(r"(\w+)\s*=\s*\"?([\w./-]+)\"?\s*(?:[#;].*)?")
SUBMODULE = re.compile(r"^[ \t]*\[submodule \"([\w./+@ -]+)\"\][ \t]*$", re.MULTILINE)
"""A submodule's section in .gitmodules (gitmodules(5))."""
KEPT = {
    "core": ("repositoryformatversion", "filemode", "ignorecase", "symlinks", "autocrlf", "eol", "precomposeunicode"),
    "extensions": ("objectformat", "compatobjectformat", "refstorage"),
}
"""Settings that git needs to read a repository and to compare files. None of them runs a program."""
COPIES = {"checkstat": "minimal", "trustctime": "false"}
"""Settings for files that are copies, with other inodes."""
LARGEST = 1 << 20
"""Number of characters of a configuration that are read."""
ENVIRONMENT = {
    # The user's files may belong to another user in the sandbox.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_OPTIONAL_LOCKS": "0",
}


@dataclass(frozen=True)
class Repository:
    """The parts of a user's repository.

    Attributes:
        top: top of the work tree.
        own: git's folder for this work tree.
        common: git's folder for all work trees of the repository; mostly `own`.
    """

    top: Path
    own: Path
    common: Path

    def mounts(self, place: Path) -> dict[Path, Path]:
        """Return the sandbox's paths with the host's files and folders to mount there, read-only.

        Args:
            place: folder on the host that this function fills with what is not the user's.
        """
        parts = {name: self.common / name for name in (*FOLDERS, *OF_ALL)} | {name: self.own / name for name in OWN}
        parts = {name: part for name, part in parts.items() if _is_part(part, is_folder=name in FOLDERS)}
        skeleton = place / "repository"
        skeleton.mkdir(parents=True, exist_ok=True)
        for name in parts:
            # Points for the mounts.
            if name in FOLDERS:
                (skeleton / name).mkdir(exist_ok=True)
            else:
                (skeleton / name).touch()
        home.replace_text(skeleton / CONFIG, self._config())
        link = place / "link"
        home.replace_text(link, f"gitdir: {APART}\n")
        inside = self.top / GIT == self.own
        point = self.own if inside else APART
        pointed = {} if inside else {self.top / GIT: link}
        return {point: skeleton, **{point / name: part for name, part in parts.items()}, **pointed}

    def _config(self) -> str:
        found: dict[str, dict[str, str]] = {"core": {}, "extensions": {}}
        for section, key, value in _settings(self.common / CONFIG):
            if key in KEPT.get(section, ()):
                found[section][key] = value
        found["core"] |= {"bare": "false", **COPIES}
        # Their repositories are not seen, without which git cannot compare them.
        names = SUBMODULE.findall(_text(self.top / ".gitmodules"))
        ignored = "".join(f'[submodule "{name}"]\n\tignore = all\n' for name in names)
        return ignored + "".join(
            f"[{section}]\n" + "".join(f"\t{key} = {value}\n" for key, value in settings.items())
            for section, settings in found.items()
        )


def repository_of(folder: Path) -> Repository | None:
    """Return the git repository of the work tree that a folder lies in; None if its build may not see one.

    The work tree is the folder or one that the build sees. A `.git` that leads elsewhere has to be one that git itself
    made: that place leads back.
    """
    top = top_of(folder)
    if top is None or not any(top.is_relative_to(root) for root in (folder, *visible(folder))):
        return None
    git = top / GIT
    if _is_part(git, is_folder=True):
        own = common = git
    elif _is_part(git, is_folder=False):
        own = _led(git, "gitdir: ")
        common = _led(own / "commondir") if (own / "commondir").is_file() else own
        if not _leads_back(own, common, top):
            return None
    else:
        return None
    is_whole = _is_part(own / "HEAD", is_folder=False) and _is_part(common / "objects", is_folder=True)
    return Repository(top, own, common) if is_whole else None


def _leads_back(own: Path, common: Path, top: Path) -> bool:
    """Return True if a git folder names a work tree as its own: one of git-worktree(1), or a submodule."""
    with suppress(OSError):
        if own.stat().st_uid != top.stat().st_uid:
            return False
        if own.parent == common / "worktrees":
            return _led(own / "gitdir") == top / GIT
        named = next(
            (value for section, key, value in _settings(own / CONFIG) if (section, key) == ("core", "worktree")), ""
        )
        return bool(named) and own == common and (own / named).resolve() == top
    return False


def _led(file: Path, before: str = "") -> Path:
    """Return the path that a file of git's leads to; the file itself if there is none."""
    with suppress(OSError), file.open(encoding="utf-8", errors="surrogateescape") as text:
        line = text.read(LARGEST).strip()
        if line.startswith(before) and "\n" not in line and "\0" not in line:
            return (file.parent / line.removeprefix(before)).resolve()
    return file


def _settings(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of the simple settings of a git configuration, names in lower case."""
    section = ""
    for line in map(str.strip, _text(file).splitlines()):
        if line.startswith("["):
            match = SECTION.fullmatch(line)
            section = match[1].lower() if match else ""
        elif match := VALUE.fullmatch(line):
            yield section, match[1].lower(), match[2]


def _text(file: Path) -> str:
    """Return the text of a file of git's; empty if there is none."""
    if not _is_part(file, is_folder=False):
        return ""
    with suppress(OSError), file.open(encoding="utf-8", errors="replace") as text:
        return text.read(LARGEST)
    return ""


def _is_part(path: Path, *, is_folder: bool) -> bool:
    """Return True for a folder, or a file, that is not a link."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        return stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode)
    return False
