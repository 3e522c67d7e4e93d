# SPDX-License-Identifier: MIT
"""Programs of the kernel's build, taken from Debian's package."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from r4l.debian.archive import Archive
from r4l.kernel import kbuild

OBJTOOL = "tools/objtool/objtool"
BTF = "tools/bpf/resolve_btfids/resolve_btfids"


def packages(folder: Path, *names: str) -> Path:
    """Return a folder with the programs of a package, each with its name as content."""
    for name in names:
        file = folder / "usr/lib/linux-kbuild-7.3.4+deb13" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        file.chmod(0o755)
    return folder


def test_programs_that_are_there_are_not_made(tmp_path: Path) -> None:
    build = tmp_path / "build"
    there = packages(tmp_path / "packages", OBJTOOL, f"{OBJTOOL}.real-powerpc", f"{OBJTOOL}.real-x86", BTF)
    assert kbuild.place(there, build, "x86") == ["CONFIG_OBJTOOL=", "CONFIG_DEBUG_INFO_BTF="]
    assert (build / OBJTOOL).read_text() == f"{OBJTOOL}.real-x86"
    assert (build / BTF).read_text() == BTF
    assert (build / OBJTOOL).stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("names", "architecture", "arguments"),
    [
        ([], "x86", []),
        ([BTF], "x86", ["CONFIG_DEBUG_INFO_BTF="]),
        ([OBJTOOL], "x86", ["CONFIG_OBJTOOL="]),
        ([OBJTOOL, f"{OBJTOOL}.real-x86", BTF], "arm64", ["CONFIG_DEBUG_INFO_BTF="]),
    ],
    ids=["none", "one", "objtool of one architecture", "objtool of other architectures"],
)
def test_programs_that_are_missing_are_made(
    tmp_path: Path, names: list[str], architecture: str, arguments: list[str]
) -> None:
    assert kbuild.place(packages(tmp_path / "packages", *names), tmp_path / "build", architecture) == arguments
    assert len([file for file in tmp_path.glob("build/**/*") if file.is_file()]) == len(arguments)


class Packages:
    """The part of an archive's interface that is used."""

    def __init__(self, versions: dict[str, list[str]]) -> None:
        self.there = versions

    def names(self, beginning: str) -> list[str]:
        return [name for name in self.there if name.startswith(beginning)]

    def versions(self, name: str) -> list[str]:
        return self.there.get(name, [])


def test_the_package_of_a_version() -> None:
    archive = Packages({"linux-kbuild-7.3.4+deb13": ["7.3.4-1"], "linux-kbuild-7.2.9+deb13": ["7.2.9-2", "7.2.9-1"]})
    assert kbuild.package(cast("Archive", archive), "7.2.9-1") == {"linux-kbuild-7.2.9+deb13": "7.2.9-1"}
    assert kbuild.package(cast("Archive", archive), "7.1.1-1") == {}
