# SPDX-License-Identifier: MIT
"""A toolchain of a few files, from a stand-in for Debian's archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from r4l.debian import Archive
from r4l.debian.package import Package

STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: all\nMaintainer: a\nDescription: a\nVersion: {}\n"


class Debian:
    """The archive as seen by `make_tree`.

    Attributes:
        versions: present versions.
        made: number of trees made from it.
        fault: error of the next call.
    """

    def __init__(self) -> None:
        self.versions = {
            "make": "4.4-1",
            "rustc": "1.85.1-1",
            "bindgen": "0.71.1-1",
            "gcc": "4:14-1",
            "clang": "1:19-1",
        }
        self.made = 0
        self.fault: BaseException | None = None

    def resolve(self, wanted: Mapping[str, str | None], _there: Sequence[Package] = ()) -> dict[str, Package]:
        """As `Archive.resolve`: all that there is, in the versions that are wanted."""
        found = {name: wanted.get(name) or version for name, version in self.versions.items()}
        return {name: Package(name, STATUS.format(name, version)) for name, version in found.items()}

    def unpack(self, _packages: Sequence[Package], folder: Path, *_: object, **_options: Any) -> None:
        """As `Archive.unpack_found`."""
        (folder / "usr").mkdir(parents=True)
        if self.fault:
            raise self.fault
        self.made += 1


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    """The stand-in, with a home of its own."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R4L_MIRROR", "http://127.0.0.1:9/debian")
    found = Debian()
    monkeypatch.setattr(Archive, "update", lambda *_: None)
    monkeypatch.setattr(Archive, "essential", lambda _: [])
    monkeypatch.setattr(Archive, "resolve", lambda _, *arguments: found.resolve(*arguments))
    monkeypatch.setattr(Archive, "unpack_found", lambda _, *arguments, **options: found.unpack(*arguments, **options))
    return found
