# SPDX-License-Identifier: MIT
"""Packages as described by an index (`Packages`) or dpkg's status file, found by name."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from r4l.debian.mirror import ArchiveFile

NAME = re.compile(rb"^Package: (\S+)$", re.MULTILINE)
PROVIDES = re.compile(rb"^Provides: (.+)$", re.MULTILINE)
ESSENTIAL = re.compile(rb"^Essential: yes$", re.MULTILINE)
OF_THE_FILE = ("Filename", "Size", "MD5sum", "SHA1", "SHA256", "Description-md5")
"""Fields that an index adds to those of a package (Debian's wiki, RepositoryFormat)."""
PRIORITIES = ("required", "important", "standard", "optional", "extra")
"""Priorities, the highest first (Debian Policy, section 2.5)."""

Relation = Mapping[str, Any]
"""One alternative of a relation, as python-debian parses it: `name`, `version` (operator and version) and more."""


@dataclass(frozen=True)
class Package:
    """One version of a package.

    Attributes:
        name: name of the package.
        text: its paragraph in the index.
    """

    name: str
    text: str

    @cached_property
    def _fields(self) -> Any:
        # Imported where they are used: commands that look at no package would wait for them.
        from debian.deb822 import Packages

        return Packages(self.text)

    def field(self, name: str) -> str | None:
        """Return a field of its control data, such as `Depends`."""
        value = self._fields.get(name)
        return None if value is None else str(value)

    @cached_property
    def version(self) -> str:
        """Debian's version of the package."""
        return str(self._fields["Version"])

    @property
    def source(self) -> str:
        """Source package that it was built from."""
        return (self.field("Source") or self.name).split(" ")[0]

    @property
    def file(self) -> ArchiveFile:
        """The .deb file in the archive."""
        of = self._fields
        return ArchiveFile(of["Filename"], int(of["Size"]), of["SHA256"])

    @property
    def rank(self) -> int:
        """Rank of its priority, 0 for the highest."""
        priority = self.field("Priority")
        return PRIORITIES.index(priority) if priority in PRIORITIES else len(PRIORITIES)

    def relations(self, *names: str) -> list[list[Relation]]:
        """Return the relations in fields such as `Depends`: a list of alternatives for each need."""
        from debian.deb822 import PkgRelation

        found: list[list[Relation]] = []
        for name in names:
            if value := self.field(name):
                found += [list(clause) for clause in PkgRelation.parse_relations(value)]
        return found

    @cached_property
    def provides(self) -> dict[str, str | None]:
        """Other names that the package provides, each with the version it provides for it."""
        found = [alternative for clause in self.relations("Provides") for alternative in clause]
        return {entry["name"]: entry["version"][1] if entry.get("version") else None for entry in found}

    def satisfies(self, relation: Relation) -> bool:
        """Return True if the package satisfies a relation."""
        wanted = relation.get("version")
        if relation["name"] == self.name:
            return wanted is None or matches(self.version, *wanted)
        if relation["name"] not in self.provides:
            return False
        # A name provided without a version satisfies no relation with one (Debian Policy, section 7.5).
        version = self.provides[relation["name"]]
        return wanted is None or (version is not None and matches(version, *wanted))

    def status(self) -> str:
        """Return its paragraph for dpkg's status file, as if it were installed."""
        left_out = tuple(f"{name}:" for name in OF_THE_FILE)
        lines = [line for line in self.text.strip().split("\n") if not line.startswith(left_out)]
        return "\n".join([lines[0], "Status: install ok installed", *lines[1:]]) + "\n"


def matches(version: str, operator: str, wanted: str) -> bool:
    """Return True if a version satisfies a relation (Debian Policy, section 7.1)."""
    from debian.debian_support import Version

    ours, theirs = Version(version), Version(wanted)
    verdicts = {
        "<<": ours < theirs,
        "<=": ours <= theirs,
        "=": ours == theirs,
        ">=": ours >= theirs,
        ">>": ours > theirs,
    }
    return bool(verdicts[operator])


class Index:
    """The packages of a suite.

    Args:
        text: content of `Packages`.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        found = [(match[1].decode("ascii", "replace"), match.start()) for match in NAME.finditer(text)]
        self._names = [name for name, _ in found]
        self._starts = [start for _, start in found]
        self._places: dict[str, list[int]] = {}
        for place, name in enumerate(self._names):
            self._places.setdefault(name, []).append(place)

    def named(self, name: str) -> list[Package]:
        """Return the packages of a name, newest first."""
        from debian.debian_support import Version

        found = [self._at(place) for place in self._places.get(name, ())]
        return sorted(found, key=lambda package: Version(package.version), reverse=True)

    def providing(self, name: str) -> list[Package]:
        """Return the packages that provide a name."""
        return [self._at(place) for place in self._provided.get(name, ())]

    def essential(self) -> Iterator[str]:
        """Yield the names of the packages that every Debian has."""
        for match in ESSENTIAL.finditer(self._text):
            yield self._names[self._place(match.start())]

    def names(self, prefix: str = "") -> list[str]:
        """Return the names with a prefix."""
        return [name for name in self._places if name.startswith(prefix)]

    @cached_property
    def _provided(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for match in PROVIDES.finditer(self._text):
            place = self._place(match.start())
            for entry in match[1].decode("utf-8", "replace").split(","):
                found.setdefault(re.split(r"[\s(:]", entry.strip(), maxsplit=1)[0], []).append(place)
        return found

    def _place(self, offset: int) -> int:
        return bisect.bisect_right(self._starts, offset) - 1

    def _at(self, place: int) -> Package:
        start = self._starts[place]
        end = self._starts[place + 1] if place + 1 < len(self._starts) else len(self._text)
        return Package(self._names[place], self._text[start:end].decode("utf-8", "replace").strip() + "\n")


def read_status(text: bytes) -> list[Package]:
    """Return the packages that are installed according to dpkg's status file."""
    index = Index(text)
    packages: Sequence[Package] = [package for name in index.names() for package in index.named(name)]
    return [package for package in packages if (package.field("Status") or "").endswith(" installed")]
