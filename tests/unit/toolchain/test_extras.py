# SPDX-License-Identifier: MIT
"""Extras of a toolchain: trees of their own, and the versions of a lock file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.toolchain.conftest import Debian
from tests.unit.toolchain.trees import NEWER, lock_file

from r4l.toolchain import LockFile, Toolchain, extras_of, lock_of, table


def test_extras_are_those_of_their_tree(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    second = Toolchain.get(update=True)

    def extend(final: Path, base: Path, *_: object) -> None:
        final.mkdir()
        (final / "r4l-packages.json").write_bytes((base / "r4l-packages.json").read_bytes())

    monkeypatch.setattr("r4l.toolchain.make_extended", extend)
    one, other = first.extended("arm64"), second.extended("arm64")
    assert one.root != other.root
    assert one.identity != other.identity
    assert one.packages["rustc"] == "1.85.1-1"
    assert first.there("arm64") == one
    assert first.there("editor") is None
    assert one.there("arm64") == one
    assert one.extended("editor").extras == ("arm64", "editor")


def extra_tree(final: Path, base: Path, **versions: str) -> None:
    """Make a tree with an extra of some packages."""
    final.mkdir()
    packages = json.loads((base / "r4l-packages.json").read_text(encoding="utf-8")) | versions
    (final / "r4l-packages.json").write_text(json.dumps(packages), encoding="utf-8")


def test_a_lock_file_governs_extras(debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: they were the newest ones of the archive."""
    asked: list[dict[str, str]] = []

    def extend(
        final: Path, base: Path, _extras: object, _archive: object, locked: dict[str, str], _say: object
    ) -> None:
        asked.append(locked)
        extra_tree(final, base, **{"gdb-multiarch": "16-1", **locked})

    monkeypatch.setattr("r4l.toolchain.make_extended", extend)
    toolchain = Toolchain.get()
    free = toolchain.extended("debugger")
    written = lock_of(toolchain, "", "").as_data()
    assert written["extras"] == {"debugger": {"gdb-multiarch": "16-1"}}
    assert "gdb-multiarch" not in written["packages"]

    def govern(**extras: dict[str, str]) -> Toolchain:
        return Toolchain.get(lock_file=lock_file(tmp_path / "lock.json", packages=written["packages"], extras=extras))

    assert govern(debugger={"gdb-multiarch": "16-1"}).there("debugger") == free, "it has these versions"
    older = govern(debugger={"gdb-multiarch": "15-1"})
    assert older.key == toolchain.key
    assert older.there("debugger") is None
    locked = older.extended("debugger")
    assert (locked.packages["gdb-multiarch"], locked.root != free.root) == ("15-1", True)
    assert Toolchain.existing().there("debugger") == locked
    assert lock_of(Toolchain.existing(), "", "").extras == {"debugger": {"gdb-multiarch": "15-1"}}
    assert govern().there("debugger") == free, "a lock file of an older version does not name them"
    assert asked == [{}, {"gdb-multiarch": "15-1"}]


def test_extras_of_trees_with_several(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain = Toolchain.get()
    for extras, versions in (
        (("arm64",), {"gcc-arm": "1"}),
        (("arm64", "debugger"), {"gcc-arm": "1", "gdb": "2"}),
        (("editor", "image"), {"clangd": "3", "e2fsprogs": "4"}),
    ):
        extra_tree(toolchain._extended_root(extras), toolchain.root, **versions)
    assert extras_of(toolchain) == {"arm64": {"gcc-arm": "1"}, "debugger": {"gdb": "2"}}


def test_a_lock_file_names_extras_that_were_never_used(debian: Debian) -> None:
    toolchain = Toolchain.get()
    (toolchain.root / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
    (toolchain.root / "var/lib/dpkg/status").touch()
    found = lock_of(toolchain, "", "", all_extras=True).extras
    assert found.keys() == table()["extras"].keys()


@pytest.mark.parametrize("extras", [["arm64"], {"arm64": ["gcc"]}, {"arm64": {"gcc": 14}}, {"arm64": {"$x": "14"}}])
def test_extras_of_a_lock_file_that_are_none(extras: object) -> None:
    with pytest.raises(ValueError, match=r"extras|is not a package"):
        LockFile.of_data({"packages": {"make": "4.4-1"}, "extras": extras})
