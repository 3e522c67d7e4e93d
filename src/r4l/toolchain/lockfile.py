# SPDX-License-Identifier: MIT
"""Lock files: the versions of a toolchain and a kernel, for an identical setup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from r4l.errors import UsageError

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""A package's name (Debian Policy, section 5.6.7)."""
VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]*")
"""A package's version (Debian Policy, section 5.6.12)."""
RELEASE = re.compile(r"[0-9]+\.[0-9][A-Za-z0-9.+~_-]*")
"""A kernel's release, as printed by `uname -r`."""
LONGEST = 1 << 20
"""Maximum bytes read of a lock file; one of r4l's has about 8,000."""


@dataclass(frozen=True)
class LockFile:
    """Content of a lock file.

    Attributes:
        suite: Debian release of the packages, such as `trixie`; empty if not stated.
        architecture: Debian's name of the packages' architecture; empty if not stated.
        kernel: release of Debian's kernel; empty for none.
        kernel_version: version of its packages; empty for the archive's present one.
        packages: names to versions.
        extras: for each extra of the toolchain (`[extras.*]` in debian.toml), its packages beside `packages`, names to
            versions. Files of older versions of r4l have none, and an extra that is not named is as new as the archive.
        images: for each disk image (r4l.rootfs.disk), all its packages, names to versions. An image that is not named
            is as new as the archive, too.
        source: path of the file, for messages.
    """

    suite: str
    architecture: str
    kernel: str
    kernel_version: str
    packages: dict[str, str]
    extras: dict[str, dict[str, str]] = field(default_factory=dict)
    images: dict[str, dict[str, str]] = field(default_factory=dict)
    source: str = field(default="", compare=False)

    @classmethod
    def read(cls, path: Path, suite: str, architecture: str) -> LockFile:
        """Read a lock file for a suite and architecture.

        Raises:
            UsageError: the file cannot be read, is no lock file, or is for another suite or architecture.
        """
        try:
            with path.open("rb") as file:
                data = json.loads(file.read(LONGEST))
            found = cls.of_data(data, str(path.absolute()))
        except OSError as error:
            raise UsageError(
                f"the lock file {path} cannot be read: {error.strerror}", "name the lock.json that `r4l setup` wrote"
            ) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{path} is not a lock file: {error or 'the data are nested too deeply'}",
                "give the lock.json that `r4l setup` wrote",
            ) from error
        for what, theirs, ours in (("suite", found.suite, suite), ("architecture", found.architecture, architecture)):
            if theirs and theirs != ours:
                raise UsageError(
                    f"the lock file {path} is for Debian's {what} {theirs}, and this toolchain is made from {ours}",
                    f"use a lock file that was written for {ours}, or the r4l that wrote this one",
                )
        return found

    @classmethod
    def of_data(cls, data: object, source: str = "") -> LockFile:
        """Build a lock from plain data.

        Raises:
            ValueError: the data are no lock; the message says why.
        """
        if not isinstance(data, dict) or not isinstance(data.get("packages"), dict) or not data["packages"]:
            raise ValueError("the file lists no packages")
        groups = {name: data.get(name) or {} for name in ("extras", "images")}
        for what, group in groups.items():
            if not isinstance(group, dict) or not all(isinstance(packages, dict) for packages in group.values()):
                raise ValueError(f"{what} are not packages by their {what[:-1]}")
        lists = [data["packages"], *(packages for group in groups.values() for packages in group.values())]
        for name, version in (pair for packages in lists for pair in packages.items()):
            if not PACKAGE.fullmatch(name) or not isinstance(version, str) or not VERSION.fullmatch(version):
                raise ValueError(f"{name!r}: {version!r} is not a package with a version")
        rest = {name: data.get(name) or "" for name in ("suite", "architecture", "kernel", "kernel_version")}
        for name, value in rest.items():
            allowed = {"kernel": RELEASE, "kernel_version": VERSION}.get(name, PACKAGE)
            if value and not (isinstance(value, str) and allowed.fullmatch(value)):
                raise ValueError(f"{name} is {value!r}")
        packages, source = dict(data["packages"]), str(data.get("source", source))
        extras, images = ({name: dict(group[name]) for name in group} for group in groups.values())
        return cls(**rest, packages=packages, extras=extras, images=images, source=source)

    def as_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {name: value for name, value in asdict(self).items() if value}

    def kernel_for(self, architecture: str) -> str:
        """Return the release of the locked kernel for an architecture (Debian's name); empty if no kernel is locked.

        Debian builds one source for all architectures, whose releases differ in the last word.
        """
        series, dash, _ = self.kernel.rpartition("-")
        return f"{series}-{architecture}" if dash else ""

    def versions_of(self, extras: Iterable[str]) -> dict[str, str]:
        """Return the locked packages of some extras, names to versions."""
        return {name: version for extra in extras for name, version in self.extras.get(extra, {}).items()}
