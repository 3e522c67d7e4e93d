# SPDX-License-Identifier: MIT
"""The Debian archive as a library: available versions, their dependencies, and their files.

Trust is a chain: Debian's keys, which r4l contains, have signed the suite's `InRelease`, which has the hash of
`Packages`, which has the hash of each .deb. The host's apt is neither needed nor changed.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import lzma
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from r4l import home
from r4l.debian import apt, choice
from r4l.debian.extract import Rules
from r4l.debian.mirror import REMEDY, Absent, ArchiveFile, Mirror
from r4l.debian.package import Index, Package, read_status
from r4l.debian.release import LONGEST, Release, verified
from r4l.debian.resolve import resolve
from r4l.debian.unpack import a_worker, download, unpack
from r4l.errors import EnvironmentFault
from r4l.process import Say, quiet

LARGEST_INDEX = 512 << 20
"""Largest uncompressed `Packages`, in bytes; Debian's largest has about 60 million."""

_indexes: dict[Path, Index] = {}
_loading = threading.Lock()
"""Lock of `_indexes`, the lists that this process has read. A list's file name contains the hash of its content."""


@dataclass(frozen=True)
class Archive:
    """One view of the archive: some suites, an architecture, and some packages from backports.

    Args:
        suite: Debian's release, by its code name.
        backports: name of its suite of backports; empty for none.
        components: components of the archive, such as `main`.
        architecture: Debian's name for it (`amd64`, `arm64`).
        pinned_sources: source packages that come from backports.
    """

    suite: str
    backports: str
    components: tuple[str, ...]
    architecture: str
    pinned_sources: tuple[str, ...]

    @cached_property
    def mirror(self) -> Mirror:
        """The mirror in use.

        Raises:
            UsageError: `$R4L_MIRROR` is not an address.
        """
        return Mirror(choice.mirror())

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """One-line sources with which an apt sees the same archive."""
        signed_by = Path(__file__).with_name("archive-keys.gpg")
        parts = " ".join(self.components)
        return tuple(f"deb [signed-by={signed_by}] {self.mirror.address} {name} {parts}" for name in self._suites)

    @property
    def preferences(self) -> str:
        """The pins, as a preferences file of apt."""
        names = " ".join(f"src:{name}" for name in self.pinned_sources)
        return f"Package: {names}\nPin: release n={self.backports}\nPin-Priority: 900\n"

    def update(self, say: Say = quiet) -> None:
        """Fetch the package lists whose newest version is not here.

        Args:
            say: receives each step.

        Raises:
            Absent: the mirror does not have a suite, or not for this architecture.
            EnvironmentFault: the mirror cannot be reached, or its lists are not signed by Debian, or are old.
        """
        with self._lock(), home.no_full_disk():
            for suite in self._suites:
                say(f"fetching the list of {suite}")
                self._update(suite)
            self._sweep()

    def versions(self, package: str) -> list[str]:
        """Return all versions of a package in the archive, the pins' candidate first; empty if there is none."""
        return list(dict.fromkeys(found.version for found in self.candidates(package)))

    def names(self, prefix: str) -> list[str]:
        """Return the names of all packages with a prefix."""
        return list(dict.fromkeys(name for _, index in self._lists() for name in index.names(prefix)))

    def field(self, package: str, name: str, version: str | None = None) -> str | None:
        """Return a field of a package's control data (`Depends`, `Size` …) for a version or for the candidate."""
        found = [candidate for candidate in self.candidates(package) if version in (None, candidate.version)]
        return found[0].field(name) if found else None

    def candidates(self, name: str) -> list[Package]:
        """Return the packages of a name, the one that the pins prefer first."""
        found = [(suite, package) for suite, index in self._lists() for package in index.named(name)]
        return [package for _, package in sorted(found, key=lambda item: not self._prefers(*item))]

    def essential(self) -> list[str]:
        """Return the names of the packages that every Debian of this suite has."""
        return [name for suite, index in self._lists() if suite == self.suite for name in index.essential()]

    def resolve(self, wanted: Mapping[str, str | None], there: Sequence[Package] = ()) -> dict[str, Package]:
        """Return the packages to unpack for some packages and their dependencies, by name.

        Args:
            wanted: names, each with the wanted version or None for the candidate.
            there: packages that are unpacked already.

        Raises:
            EnvironmentFault: a package is not in the archive, or does not fit the others.
        """
        lists = self._lists()
        if not lists:
            raise EnvironmentFault("Debian's package lists were never fetched", "run `r4l setup`")

        def providers(name: str) -> list[Package]:
            found = [(suite, package) for suite, index in lists for package in index.providing(name)]
            preferred = [package for suite, package in found if self._prefers(suite, package)]
            return [found for found in preferred if wanted.get(found.name) in (None, found.version)]

        return resolve(wanted, self.candidates, providers, there)

    def needed_for(self, packages: Mapping[str, str | None], status: Path) -> dict[str, str]:
        """Return the packages to unpack for some packages in a tree, names to versions.

        Args:
            packages: names, each with the wanted version or None for the candidate.
            status: dpkg's status file of the tree.

        Raises:
            EnvironmentFault: a package is not in the archive, or conflicts with the others.
        """
        there = read_status(status.read_bytes())
        return {name: found.version for name, found in self.resolve(packages, there).items()}

    def unpack(
        self, packages: Mapping[str, str], folder: Path, say: Say = quiet, *, rules: Rules | None = None
    ) -> None:
        """Download packages and lay their files over a folder.

        Args:
            packages: names to versions.
            folder: target.
            say: receives each step.
            rules: files to leave out.

        Raises:
            EnvironmentFault: a version is not, or no longer, in the archive, the network failed, or the disk is full.
        """
        found = {name: self._exactly(name, version) for name, version in packages.items()}
        missing = [f"{name}={packages[name]}" for name, package in found.items() if package is None]
        if missing:
            raise EnvironmentFault(
                f"the Debian mirror does not have {', '.join(missing)}",
                "the archive has moved on: run `r4l setup --update` to take the newest versions",
            )
        self.unpack_found([package for package in found.values() if package], folder, say, rules=rules)

    def unpack_found(
        self, packages: Sequence[Package], folder: Path, say: Say = quiet, *, rules: Rules | None = None
    ) -> None:
        """Download packages that were found already, and lay their files over a folder.

        Args:
            packages: the packages.
            folder: target.
            say: receives each step.
            rules: files to leave out.

        Raises:
            EnvironmentFault: the network failed, or the disk is full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if packages:
            # A separate mirror object, so that the end of one unpacking does not stop others.
            unpack(Mirror(self.mirror.address), packages, home.room("downloads"), folder, rules or Rules(), say)

    def download(self, packages: Sequence[Package], folder: Path) -> dict[str, Path]:
        """Download packages into a folder, and return the paths of their .deb files by the packages' names.

        Raises:
            EnvironmentFault: the network failed, or the disk is full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # As for unpacking, a separate mirror object.
        return download(Mirror(self.mirror.address), packages, folder)

    def extract(self, debs: Sequence[Path], folder: Path, rules: Rules) -> None:
        """Lay the files of downloaded packages over a folder, one package after the other.

        Raises:
            EnvironmentFault: a file is not a package, or the disk is full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with a_worker() as worker:
            for deb in debs:
                worker.unpack(deb, folder, rules)

    def _exactly(self, name: str, version: str) -> Package | None:
        return next((found for found in self.candidates(name) if found.version == version), None)

    @property
    def _suites(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.suite, self.backports)))

    def _prefers(self, suite: str, package: Package) -> bool:
        """Return True if a package is taken from this suite."""
        return not self.backports or (suite == self.backports) == (package.source in self.pinned_sources)

    @cached_property
    def _room(self) -> Path:
        return home.room("lists", f"{self.suite}-{self.architecture}")

    def _lock(self) -> home.Lock:
        """Return the lock for replacing or reading the lists."""
        return home.lock(f"lists-{self.suite}-{self.architecture}")

    def _update(self, suite: str) -> None:
        source = f"{self.mirror.shown}/dists/{suite}/InRelease"
        try:
            release = verified(self.mirror.read(f"dists/{suite}/InRelease", LONGEST), suite, source)
        except Absent as absent:
            raise self._without(suite) from absent
        before = self._known(suite)
        if before and before["mirror"] == self.mirror.shown:
            _require_no_older(release, datetime.datetime.fromisoformat(before["date"]), source)
        lists = [self._fetch_index(suite, release, component) for component in self.components]
        known = {"mirror": self.mirror.shown, "date": release.date.isoformat(), "lists": lists}
        home.replace_text(self._room / f"{suite}.json", json.dumps(known))

    def _known(self, suite: str) -> dict[str, Any] | None:
        """Return the note about a suite's lists from their last download; None if they were never fetched."""
        try:
            found: dict[str, Any] = json.loads((self._room / f"{suite}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return found

    def _fetch_index(self, suite: str, release: Release, component: str) -> str:
        """Fetch the list of a component if it is missing, and return the name of its file, made from its hash."""
        folder = f"{component}/binary-{self.architecture}"
        content, compressed = (release.files.get(f"{folder}/{name}") for name in ("Packages", "Packages.xz"))
        if content is None or compressed is None:
            raise self._without(suite, self.architecture)
        final = self._room / f"{suite}-{component}-{content[0]}.packages"
        if not final.exists():
            digest, size = compressed
            by_hash, plain = (f"dists/{suite}/{folder}/{name}" for name in (f"by-hash/SHA256/{digest}", "Packages.xz"))
            packed = self._room / f"{digest}.xz"
            try:
                self.mirror.fetch(ArchiveFile(by_hash if release.by_hash else plain, size, digest), packed)
            except Absent:
                self._fetch_plain(ArchiveFile(plain, size, digest), packed, suite)
            partial = home.temporary(final)
            partial.write_bytes(_decompressed(packed, *content))
            home.publish(partial, final)
            packed.unlink()
        return final.name

    def _fetch_plain(self, file: ArchiveFile, packed: Path, suite: str) -> None:
        """Fetch a list from a mirror that does not have it by its hash."""
        try:
            self.mirror.fetch(file, packed)
        except Absent as absent:
            # The signed table has all architectures, also on a mirror of only some.
            raise self._without(suite, self.architecture) from absent

    def _without(self, suite: str, architecture: str = "") -> Absent:
        which = f"{suite} for {architecture}" if architecture else suite
        return Absent(f"the Debian mirror {self.mirror.shown} does not have {which}", REMEDY)

    def _sweep(self) -> None:
        """Remove lists that no note names any more, and partial downloads.

        Another view may share the folder: one with backports, one without.
        """
        suites = [note.stem for note in self._room.glob("*.json")]
        kept = {name for suite in suites for name in (self._known(suite) or {"lists": []})["lists"]}
        for path in self._room.iterdir():
            if path.suffix in (".packages", ".xz", ".part") and path.name not in kept:
                path.unlink(missing_ok=True)

    def _lists(self) -> list[tuple[str, Index]]:
        """Return the lists that were fetched, each with its suite. Lost or damaged ones are fetched again.

        Raises:
            EnvironmentFault: a list is lost, and the mirror cannot be reached.
        """
        found = self._loaded()
        if found is None:
            self.update()
            found = self._loaded()
        if found is None:
            raise EnvironmentFault(f"files in {self._room} vanish or change", "check the disk, and run `r4l setup`")
        return found

    def _loaded(self) -> list[tuple[str, Index]] | None:
        """Return the lists that the notes name; None if one of them is lost or damaged."""
        with self._lock(), _loading:
            found = []
            for suite in self._suites:
                for name in (self._known(suite) or {"lists": []})["lists"]:
                    index = _load(self._room / name)
                    if index is None:
                        return None
                    found.append((suite, index))
            return found


def _load(path: Path) -> Index | None:
    """Return a list, read at most once in a process; None if its file is lost. A damaged file is removed."""
    if path not in _indexes:
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(text).hexdigest() != path.stem.rpartition("-")[2]:
            path.unlink()
            return None
        _indexes[path] = Index(text)
    return _indexes[path]


def _require_no_older(release: Release, before: datetime.datetime, source: str) -> None:
    """Refuse a list older than the last one: its signature is valid, but its packages have old vulnerabilities."""
    if release.date < before and apt.checks_dates():
        raise EnvironmentFault(
            f"{source} was made at {release.date:%Y-%m-%d %H:%M}, and the one that came before it at "
            f"{before:%Y-%m-%d %H:%M}",
            f"the mirror, or an attacker, offers an old archive: name another in {apt.ENVIRONMENT} "
            f"(or set {apt.DATES}=false for an archive of old days)",
        )


def _decompressed(packed: Path, digest: str, size: int) -> bytes:
    """Return the content of a list, reading no more bytes than it should have.

    Raises:
        EnvironmentFault: the content does not match the signed hash.
    """
    try:
        with lzma.open(packed) as file:
            text = file.read(min(size, LARGEST_INDEX) + 1)
    except (lzma.LZMAError, EOFError):
        text = b""
    if len(text) != size or hashlib.sha256(text).hexdigest() != digest:
        packed.unlink()
        raise EnvironmentFault(f"{packed.name} does not hold the list that Debian signed", REMEDY)
    return text
