# SPDX-License-Identifier: MIT
"""The kernel that a setup prepares, and the recipe from which a stale one is rebuilt."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.toolchain.conftest import Debian

from r4l import home
from r4l.kernel import debian as debians
from r4l.kernel import manifest, named, own, stock
from r4l.kernel import recipe as recipes
from r4l.setup import lock_file_of, note_extras, set_up
from r4l.stages import Stages
from r4l.terminal import Console
from r4l.toolchain import Toolchain

LOCKED = {"kernel": "7.3.4+deb13-amd64", "kernel_version": "7.3.4-1", "packages": {"rustc": "1.84.0-1"}}


class Kernels:
    """Debian's kernels, as fetched and prepared by `stock`.

    Attributes:
        asked: release and version of each fetch.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.asked: list[tuple[str | None, str | None]] = []

    def fetch(
        self, release: str | None, _arch: str, _say: object = None, *, update: bool = False, version: str | None = None
    ) -> tuple[Path, debians.PackagedKernel]:
        self.asked.append((release, version))
        found = debians.PackagedKernel(release or "7.3.9+deb13-amd64", version or "7.3.9-1", "")
        folder = self.home / "kernels" / found.folder
        (folder / "source").mkdir(parents=True, exist_ok=True)
        return folder, found

    def make_ready(
        self, folder: Path, release: debians.PackagedKernel, arch: str, toolchain: Toolchain, _say: Any
    ) -> Any:
        ready = folder / toolchain.key
        (ready / "build").mkdir(parents=True, exist_ok=True)
        data = {"release": release.name, "version": release.version, "arch": arch, "tools": toolchain.identity}
        manifest.write(ready, data)
        return data


@pytest.fixture
def kernels(debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernels:
    found = Kernels(tmp_path / "home")
    monkeypatch.setattr(stock, "fetch", found.fetch)
    monkeypatch.setattr(stock, "_make_ready", found.make_ready)
    return found


def stages() -> Stages:
    return Stages(Console(file=io.StringIO()))


def test_the_lock_file_names_the_kernel_until_an_update(debian: Debian, kernels: Kernels, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(LOCKED), encoding="utf-8")
    assert set_up(stages(), lock_file=lock).release == "7.3.4+deb13-amd64"
    assert kernels.asked == [("7.3.4+deb13-amd64", "7.3.4-1")]
    # Every later command.
    assert named.get().release == "7.3.4+deb13-amd64"
    assert set_up(stages()).release == "7.3.4+deb13-amd64"
    assert len(kernels.asked) == 1
    written = json.loads((tmp_path / "home/lock.json").read_text(encoding="utf-8"))
    assert (written["kernel"], written["packages"]["rustc"], written["suite"]) == (
        "7.3.4+deb13-amd64",
        "1.84.0-1",
        "trixie",
    )
    # Also where its metadata has to be made again.
    (tmp_path / f"home/kernels/7.3.4+deb13-amd64_7.3.4-1/{Toolchain.get().key}/kernel.json").unlink()
    assert named.get().release == "7.3.4+deb13-amd64"
    assert kernels.asked[-1] == ("7.3.4+deb13-amd64", "7.3.4-1")
    assert set_up(stages(), update=True).release == "7.3.9+deb13-amd64"
    assert named.get().release == "7.3.9+deb13-amd64"


def test_a_lock_file_of_another_architectures_kernel(debian: Debian, kernels: Kernels, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({**LOCKED, "kernel": "7.3.4+deb13-arm64"}), encoding="utf-8")
    assert set_up(stages(), lock_file=lock).release == "7.3.4+deb13-amd64", "of the same version"


@pytest.mark.parametrize(
    ("name", "arch", "release"),
    [
        ("stock", "arm64", "7.3.4+deb13-arm64"),
        ("rt", "x86_64", "7.3.4+deb13-rt-amd64"),
        ("cloud", "arm64", "7.3.4+deb13-cloud-arm64"),
        ("7.3.2+deb13-amd64", "x86_64", "7.3.2+deb13-amd64"),
    ],
)
def test_the_lock_file_governs_flavours_and_architectures(
    debian: Debian,
    kernels: Kernels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arch: str,
    release: str,
) -> None:
    """Regression: these kernels were the newest ones."""
    monkeypatch.setattr(Toolchain, "extended", lambda toolchain, *_, **__: toolchain)
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(LOCKED), encoding="utf-8")
    set_up(stages(), name, arch=arch, lock_file=lock)
    named.get(name, arch=arch)
    locked = "7.3.2" not in name
    assert {*kernels.asked} == {(release, "7.3.4-1" if locked else None)}


def test_the_lock_file_governs_kernels_from_source(
    debian: Debian, kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: they were built from the newest source."""
    built: list[recipes.Recipe] = []
    monkeypatch.setattr(own, "build", lambda recipe, *_, **__: built.append(recipe))
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(LOCKED), encoding="utf-8")
    set_up(stages(), "minimal", lock_file=lock)
    named.get("minimal")
    named.debian_recipe("usb", "x86_64", base="minimal")
    assert kernels.asked == [("7.3.4+deb13-amd64", "7.3.4-1")] * 3
    assert {(recipe.source.parent.name, recipe.origin) for recipe in built} == {
        ("7.3.4+deb13-amd64_7.3.4-1", "7.3.4-1")
    }


@pytest.mark.parametrize(("version", "fresh"), [("7.3.4-1", True), ("7.3.9-1", False)])
def test_a_kernel_of_another_source_than_the_locked_one_is_stale(
    debian: Debian, kernels: Kernels, tmp_path: Path, version: str, fresh: bool
) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(LOCKED), encoding="utf-8")
    toolchain = Toolchain.get(lock_file=lock)
    source = tmp_path / f"home/kernels/7.3_{version}/source"
    source.mkdir(parents=True)
    recipe = recipes.recipe("minimal", source, version)
    data = {
        "name": "minimal", "release": "7.3", "version": version, "arch": "x86_64", "profile": "minimal",
        "fragments": [], "source": str(source), "recipe": recipe.key(toolchain), "steps": 10, "toolchain": {},
        "tools": toolchain.identity,
    }  # fmt: skip
    assert (own.why_stale(data, toolchain) == "") == fresh


def test_a_stale_kernel_is_built_anew_by_its_own_recipe(
    debian: Debian, kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Toolchain.get()
    fragment = ("mine.config", "CONFIG_IPV6=n\n")
    tree = tmp_path / "linux"
    tree.mkdir()
    for name, source in (("mine", tmp_path / "home/kernels/7.3.4+deb13-amd64_7.3.4-1/source"), ("theirs", tree)):
        recipe = recipes.recipe(name, source, "7.3.4-1", base="minimal")
        recipe = recipes.Recipe(name, recipe.profile, source, "7.3.4-1", "x86_64", (fragment,))
        source.mkdir(parents=True, exist_ok=True)
        (recipe.folder / "build").mkdir(parents=True)
        data = {
            "name": name, "release": "7.3.4", "version": "7.3.4-1", "arch": "x86_64", "profile": "minimal",
            "fragments": [list(fragment)], "source": str(source), "recipe": recipe.key(first), "steps": 10,
            "toolchain": {}, "tools": first.identity,
        }  # fmt: skip
        manifest.write(recipe.folder, data)
        assert named.ready(name)
    debian.versions |= {"rustc": "1.90.0-1"}
    Toolchain.get(update=True)
    built: list[recipes.Recipe] = []
    monkeypatch.setattr(own, "build", lambda recipe, _toolchain, _say: built.append(recipe))
    for name in ("mine", "theirs"):
        assert named.ready(name) is None
        named.get(name)
    assert [recipe.fragments for recipe in built] == [(fragment,), (fragment,)]
    assert [recipe.source for recipe in built] == [
        tmp_path / "home/kernels/7.3.9+deb13-amd64_7.3.9-1/source",
        tree,
    ]


def test_the_lock_file_gets_the_versions_of_extras_made_since(debian: Debian, kernels: Kernels) -> None:
    ready = set_up(stages())
    file = home.home() / "lock.json"
    before = json.loads(file.read_text(encoding="utf-8"))
    note_extras(ready)
    assert json.loads(file.read_text(encoding="utf-8")) == before
    tree = ready.toolchain._extended_root(("debugger",))
    tree.mkdir()
    packages = {**ready.toolchain.packages, "gdb-multiarch": "16-1"}
    (tree / "r4l-packages.json").write_text(json.dumps(packages), encoding="utf-8")
    note_extras(ready)
    after = json.loads(file.read_text(encoding="utf-8"))
    assert after["extras"]["debugger"] == {"gdb-multiarch": "16-1"}
    assert {**after, "extras": {}} == {**before, "extras": {}}


def test_the_lock_file_has_the_packages_of_disk_images(debian: Debian, kernels: Kernels) -> None:
    ready = set_up(stages())
    file = home.home() / "lock.json"
    assert json.loads(file.read_text(encoding="utf-8"))["images"]["debian"]["rustc"] == debian.versions["rustc"]
    image = home.room("images") / "debian-0123456789abcdef.qcow2"
    image.touch()
    note = {"toolchain": ready.toolchain.key, "packages": {"libc6": "2.41-12"}}
    image.with_name(f"{image.name}.packages").write_text(json.dumps(note), encoding="utf-8")
    note_extras(ready)
    assert json.loads(file.read_text(encoding="utf-8"))["images"] == {"debian": {"libc6": "2.41-12"}}


def test_the_lock_file_is_told_where_it_holds_the_kernels_versions(debian: Debian, kernels: Kernels) -> None:
    ready = set_up(stages())
    lock = home.home() / "lock.json"
    assert lock_file_of(ready) == lock
    foreign = replace(ready, toolchain=replace(ready.toolchain, suite="sid"))
    assert lock_file_of(foreign) is None, "a suite's newest packages are not in the lock file"
    lock.unlink()
    assert lock_file_of(ready) is None, "a kernel that is not locked, as arm64's, was the first"
