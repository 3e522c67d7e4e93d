# SPDX-License-Identifier: MIT
"""A toolchain of a few files, made by a stand-in for mmdebstrap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from r4l.toolchain import tree


class Debian:
    """The archive as seen by `bootstrap`.

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

    def bootstrap(self, target: Path, _archive: object, packages: Mapping[str, str | None], **_options: Any) -> None:
        """Stand in for `r4l.toolchain.bootstrap.bootstrap`: make a tree with dpkg's status in it."""
        status = target / "var/lib/dpkg/status"
        status.parent.mkdir(parents=True)
        (target / "usr").mkdir()
        if self.fault:
            raise self.fault
        found = {name: packages.get(name) or version for name, version in self.versions.items()}
        entry = (
            "Package: {}\nStatus: install ok installed\nArchitecture: all\nMaintainer: a\nDescription: a\nVersion: {}\n"
        )
        status.write_text("\n".join(entry.format(*item) for item in found.items()), encoding="utf-8")
        self.made += 1


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    """The stand-in, with a home of its own."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R4L_MIRROR", "http://127.0.0.1:9/debian")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = Debian()
    monkeypatch.setattr(tree, "bootstrap", found.bootstrap)
    return found
