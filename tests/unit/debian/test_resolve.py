# SPDX-License-Identifier: MIT
"""Dependencies: the packages that some packages need."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.debian.conftest import SmallArchive

from r4l.debian import Archive
from r4l.errors import EnvironmentFault


def resolved(small: SmallArchive, view: Archive, *wanted: str, **versions: str) -> dict[str, str]:
    small.publish()
    view.update()
    found = view.resolve({**dict.fromkeys(wanted), **versions})
    return {name: package.version for name, package in found.items()}


def test_what_is_needed_and_that_in_turn(small: SmallArchive, view: Archive) -> None:
    small.add("gcc", Depends="binutils (>= 2), libc6 [amd64], cpp:any", Recommends="manpages")
    small.add("binutils", "2.44", Pre_Depends="libc6 (>> 1)")
    small.add("libc6", "2.41")
    small.add("cpp")
    small.add("manpages")
    assert resolved(small, view, "gcc") == {"gcc": "1", "binutils": "2.44", "libc6": "2.41", "cpp": "1"}


def test_a_circle(small: SmallArchive, view: Archive) -> None:
    small.add("a", Depends="b (= 1)")
    small.add("b", Depends="a (= 1)")
    assert resolved(small, view, "a") == {"a": "1", "b": "1"}


def test_alternatives(small: SmallArchive, view: Archive) -> None:
    small.add("a", Depends="gone | old (>= 2) | second | third")
    for name in ("old", "second", "third"):
        small.add(name)
    assert resolved(small, view, "a") == {"a": "1", "second": "1"}
    assert resolved(small, view, "a", "third") == {"a": "1", "third": "1"}


def test_names_that_others_stand_for(small: SmallArchive, view: Archive) -> None:
    small.add("base", Depends="awk, perlapi-5, virtual (>= 2)")
    small.add("gawk", Provides="awk")
    small.add("mawk", Provides="awk", Priority="required")
    small.add("perl-base", Provides="perlapi-5, other (= 1)")
    small.add("unversioned", Provides="virtual")
    small.add("versioned", Provides="virtual (= 2.1)")
    found = resolved(small, view, "base")
    assert found.keys() == {"base", "mawk", "perl-base", "versioned"}


def test_backports_are_for_what_is_pinned(small: SmallArchive, view: Archive) -> None:
    small.add("qemu", "1", Source="pinned")
    small.add("qemu", "2~bpo", "backports", Source="pinned (2~bpo)", Depends="libnew (>= 2)")
    small.add("rustc", "1.85")
    small.add("rustc", "1.90~bpo", "backports")
    small.add("libnew", "1")
    small.add("libnew", "2~bpo", "backports")
    small.publish()
    view.update()
    assert view.versions("qemu") == ["2~bpo", "1"]
    assert view.versions("rustc") == ["1.85", "1.90~bpo"]
    with pytest.raises(EnvironmentFault, match=r"libnew \(>= 2\)"):
        resolved(small, view, "qemu")
    small.packages["backports"] = [text.replace("2~bpo\nArch", "2\nArch") for text in small.packages["backports"]]
    assert resolved(small, view, "qemu", "rustc") == {"qemu": "2", "rustc": "1.85", "libnew": "2"}


def test_versions_that_are_asked_for(small: SmallArchive, view: Archive) -> None:
    small.add("make", "4.4")
    small.add("make", "4.3", Depends="guile")
    small.add("guile")
    assert resolved(small, view, make="4.3") == {"make": "4.3", "guile": "1"}
    with pytest.raises(EnvironmentFault, match=r"does not have make=4\.2") as caught:
        resolved(small, view, make="4.2")
    assert "moved on" in caught.value.remedy


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"Depends": "gone"}, "a 1 needs gone, which is not in the archive"),
        ({"Depends": "b (>= 2) | gone (= 1)"}, "a 1 needs b .>= 2. | gone .= 1., which"),
        ({"Conflicts": "b"}, "a 1 cannot be beside b"),
        ({"Breaks": "b (<< 2)"}, "a 1 cannot be beside b"),
        ({"Conflicts": "virtual", "Provides": "virtual"}, "a 1 cannot be beside b"),
    ],
)
def test_what_does_not_fit(fields: dict[str, str], said: str, small: SmallArchive, view: Archive) -> None:
    small.add("a", content=b"", **fields)
    small.add("b", Provides="virtual")
    with pytest.raises(EnvironmentFault, match=said):
        resolved(small, view, "a", "b")


def test_what_is_there_already_is_not_taken_again(small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    small.add("clangd", Depends="libllvm (= 19), libc6, editor")
    small.add("libllvm", "19")
    small.add("libc6", "3")
    small.publish()
    view.update()
    status = tmp_path / "status"
    there = [
        "Package: libc6\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\n",
        "Package: vim\nStatus: install ok installed\nVersion: 2\nProvides: editor\n",
        "Package: libllvm\nStatus: deinstall ok config-files\nVersion: 19\n",
    ]
    status.write_text("\n".join(there))
    assert view.needed_for({"clangd": None}, status) == {"clangd": "1", "libllvm": "19"}


def test_lists_that_were_never_fetched(small: SmallArchive, view: Archive) -> None:
    assert view.versions("make") == []
    with pytest.raises(EnvironmentFault, match="never fetched"):
        view.resolve({"make": None})
