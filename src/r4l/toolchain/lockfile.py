# SPDX-License-Identifier: MIT
"""Lock files: the versions of a toolchain and of a kernel, to have the very same again."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from r4l.errors import UsageError

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""A package's name (Debian Policy, section 5.6.7)."""
VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]*")
"""A package's version (Debian Policy, section 5.6.12)."""
RELEASE = re.compile(r"[0-9]+\.[0-9][A-Za-z0-9.+~_-]*")
"""A kernel's release, as `uname -r` says it."""
LONGEST = 1 << 20
"""Bytes of a lock file that are read; one of r4l's has about 8,000."""


@dataclass(frozen=True)
class LockFile:
    """What a lock file says.

    Attributes:
        suite: the Debian release of the packages, such as `trixie`; empty where the file does not say.
        architecture: Debian's name of that of the packages; empty where the file does not say.
        kernel: the release of Debian's kernel; empty for none.
        kernel_version: the version of its packages; empty for whichever the archive has.
        packages: names to versions.
        source: the path of the file, for messages.
    """

    suite: str
    architecture: str
    kernel: str
    kernel_version: str
    packages: dict[str, str]
    source: str = field(default="", compare=False)

    @classmethod
    def read(cls, path: Path, suite: str, architecture: str) -> LockFile:
        """Read a lock file for this suite and architecture.

        Raises:
            UsageError: it cannot be read, is no lock file, or was made for another suite or architecture.
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
                f"{path} is no lock file: {error or 'it is nested too deep'}",
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
        """The lock in plain data.

        Raises:
            ValueError: the data is none; the words say why.
        """
        if not isinstance(data, dict) or not isinstance(data.get("packages"), dict) or not data["packages"]:
            raise ValueError("it has no packages")
        for name, version in data["packages"].items():
            if not PACKAGE.fullmatch(name) or not isinstance(version, str) or not VERSION.fullmatch(version):
                raise ValueError(f"{name!r}: {version!r} is no package with a version")
        rest = {name: data.get(name) or "" for name in ("suite", "architecture", "kernel", "kernel_version")}
        for name, value in rest.items():
            allowed = {"kernel": RELEASE, "kernel_version": VERSION}.get(name, PACKAGE)
            if value and not (isinstance(value, str) and allowed.fullmatch(value)):
                raise ValueError(f"{name} is {value!r}")
        return cls(**rest, packages=dict(data["packages"]), source=str(data.get("source", source)))

    def as_data(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {name: value for name, value in asdict(self).items() if value}

    def kernel_for(self, architecture: str) -> str:
        """The release of the locked kernel where it is one of this architecture (Debian's name); else empty."""
        return self.kernel if self.kernel.endswith(f"-{architecture}") else ""
