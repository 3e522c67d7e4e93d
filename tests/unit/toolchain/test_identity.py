# SPDX-License-Identifier: MIT
"""A toolchain is identified by its versions: which tree is in force, and what is stale with another."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.toolchain.conftest import Debian

from r4l import home
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import manifest, own, stock
from r4l.toolchain import LockFile, Toolchain, extras_of, lock_of, recipe_key, table, tree

NEWER = {"rustc": "1.90.0-1"}


def legacy(home: Path, versions: dict[str, str]) -> Path:
    """A tree as made by old versions of r4l: named by its recipe only."""
    root = home / "toolchain" / recipe_key(table())
    root.mkdir(parents=True)
    (root / "r4l-packages.json").write_text(json.dumps(versions), encoding="utf-8")
    return root


def lock_file(path: Path, **changed: Any) -> Path:
    path.write_text(json.dumps({"packages": {"rustc": "1.84.0-1"}, **changed}), encoding="utf-8")
    return path


def test_other_versions_are_another_toolchain(debian: Debian) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    assert first.key != second.key
    assert first.root.is_dir(), "a process that uses it goes on"
    assert second.packages["rustc"] == "1.90.0-1"
    assert Toolchain.existing() == Toolchain.get() == second


def test_an_update_without_anything_new_changes_nothing(debian: Debian) -> None:
    first = Toolchain.get()
    assert Toolchain.get(update=True) == first
    assert debian.made == 1, "that there is nothing new is seen before anything is unpacked"
    assert [path.name for path in first.root.parent.iterdir() if path.is_dir()] == [first.key]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_when_the_tree_is_finished(
    debian: Debian, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def finish(folder: Path, *_: object) -> None:
        (folder / "etc").mkdir()
        raise OSError(number, os.strerror(number), str(folder / "etc/passwd"))

    with monkeypatch.context() as patched:
        patched.setattr(tree, "finish", finish)
        with pytest.raises(EnvironmentFault, match="the disk is full"):
            Toolchain.get()
    room = home.room("toolchain")
    assert [path for path in room.iterdir() if path.is_dir()] == [], "the half of a tree is removed"
    assert Toolchain.get().root.is_dir()


@pytest.mark.parametrize("fault", [EnvironmentFault("no network"), KeyboardInterrupt()])
def test_an_update_that_ends_early_leaves_the_old_one_in_force(debian: Debian, fault: BaseException) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    debian.fault = fault
    with pytest.raises(type(fault)):
        Toolchain.get(update=True)
    assert Toolchain.existing() == first
    assert [path.name for path in first.root.parent.iterdir() if path.is_dir()] == [first.key]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_killed_between_the_tree_and_its_coming_into_force(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Toolchain.get()
    debian.versions |= NEWER
    with monkeypatch.context() as patch:
        patch.setattr("r4l.toolchain.current.write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Toolchain.get(update=True)
    assert Toolchain.existing() == first
    assert Toolchain.get(update=True).packages["rustc"] == "1.90.0-1"


def test_a_lock_file_governs_until_the_next_setup(debian: Debian, tmp_path: Path) -> None:
    newest = Toolchain.get()
    locked = Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    assert locked.packages["rustc"] == "1.84.0-1"
    assert Toolchain.existing() == locked
    assert Toolchain.get() == locked
    lock = Toolchain.existing().lock
    assert lock
    assert lock.source == str(tmp_path / "lock.json")
    # In another process too.
    code = "from r4l.toolchain import Toolchain; print(Toolchain.existing().key)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert other.stdout.decode().strip() == locked.key
    assert Toolchain.get(update=True) == newest
    assert Toolchain.existing().lock is None


def test_versions_that_are_there_already_are_not_made_again(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(lock_of(first, "", "").as_data()), encoding="utf-8")
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    assert second != first
    assert Toolchain.get(lock_file=lock) == first
    assert debian.made == 2


def test_a_home_of_before_is_taken_as_it_is(debian: Debian, tmp_path: Path) -> None:
    root = legacy(tmp_path / "home", debian.versions)
    found = Toolchain.get()
    assert (found.root, found.key) == (root, root.name)
    assert debian.made == 0
    # An update that finds nothing newer keeps it, and all that was built with it.
    assert Toolchain.get(update=True).root == root
    debian.versions |= NEWER
    assert Toolchain.get(update=True).root != root
    assert root.is_dir()


def test_a_lock_file_governs_a_later_recipe_too(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    monkeypatch.setattr("r4l.toolchain.recipe_key", lambda _table: "0123456789abcdef")
    assert Toolchain.made() is None
    later = Toolchain.get()
    assert later.packages["rustc"] == "1.84.0-1"
    assert later.key.startswith("0123456789abcdef-")


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a lock file"),
        (b"\xff\xfe", "is not a lock file"),
        (b"[]", "the file lists no packages"),
        (b'{"packages": {}}', "the file lists no packages"),
        (b'{"packages": {"make": 4}}', "not a package with a version"),
        (b'{"packages": {"make,vim": "1"}}', "not a package with a version"),
        (b'{"packages": {"make": "1 --foo"}}', "not a package with a version"),
        (b'{"packages": {"make": "1"}, "kernel": "../../x"}', "kernel is"),
        (b'{"packages": {"make": "1"}, "kernel": ["a"]}', "kernel is"),
        (b"[" * 100_000, "is not a lock file"),
        (b'{"packages": {"make": "1"}, "suite": "bookworm"}', "for Debian's suite bookworm, .* from trixie"),
        (b'{"packages": {"make": "1"}, "architecture": "arm64"}', "for Debian's architecture arm64, .* from amd64"),
    ],
)
def test_a_lock_file_that_will_not_do(debian: Debian, tmp_path: Path, content: bytes, said: str) -> None:
    first = Toolchain.get()
    (tmp_path / "lock.json").write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        Toolchain.get(lock_file=tmp_path / "lock.json")
    assert caught.value.remedy
    assert Toolchain.existing() == first


def test_a_lock_file_that_cannot_be_read(debian: Debian, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lock file .* cannot be read: Is a directory"):
        Toolchain.get(lock_file=tmp_path)


def test_what_a_lock_file_says_is_read_as_it_was_written(debian: Debian, tmp_path: Path) -> None:
    lock = lock_of(Toolchain.get(), "7.3.4+deb13-amd64", "7.3.4-1~bpo13+1")
    (tmp_path / "lock.json").write_text(json.dumps(lock.as_data()), encoding="utf-8")
    assert LockFile.read(tmp_path / "lock.json", "trixie", "amd64") == lock


# -- what is stale ------------------------------------------------------------------------------------------------


def kernel_of(toolchain: Toolchain, tmp_path: Path, release: str = "7.3.4-amd64") -> Path:
    ready = tmp_path / f"home/kernels/{release}_1/{toolchain.key}"
    ready.mkdir(parents=True)
    data = {"release": release, "version": "1", "arch": "x86_64", "tools": toolchain.identity}
    manifest.write(ready, data)
    return ready


def test_a_kernels_metadata_is_of_one_toolchain(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    kernel_of(first, tmp_path)
    before = stock.ready()
    assert before
    debian.versions |= NEWER
    Toolchain.get(update=True)
    assert stock.ready() is None
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json", packages=first.packages))
    after = stock.ready()
    assert after
    assert after.key == before.key, "modules and snapshots of it are good again"


def test_a_kernel_of_before_whose_compiler_is_gone(debian: Debian, tmp_path: Path) -> None:
    """Old versions' `setup --update` replaced the tree in place, and kept its products."""
    root = legacy(tmp_path / "home", debian.versions)
    ready = tmp_path / f"home/kernels/7.3.4-amd64_1/{root.name}"
    ready.mkdir(parents=True)
    data = {"release": "7.3.4-amd64", "version": "1", "arch": "x86_64", "toolchain": {"rustc": "1.85.1"}}
    manifest.write(ready, data)
    assert stock.ready()
    manifest.write(ready, {**data, "toolchain": {"rustc": "1.84.0"}})
    assert stock.ready() is None


def test_the_locked_kernel_is_the_stock_one(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    for release in ("7.3.4-amd64", "7.3.9-amd64"):
        kernel_of(first, tmp_path, release)
    found = stock.ready()
    assert found
    assert found.release == "7.3.9-amd64"
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json", packages=first.packages, kernel="7.3.4-amd64"))
    found = stock.ready()
    assert found
    assert found.release == "7.3.4-amd64"
    assert stock.ready("7.3.9-amd64")


def own_kernel(toolchain: Toolchain, tmp_path: Path, **changed: Any) -> Path:
    recipe = own.recipe("minimal", tmp_path, "7.3.4-1")
    data = {
        "name": "minimal", "release": "7.3.4-minimal", "version": "7.3.4-1", "arch": "x86_64", "profile": "minimal",
        "source": str(tmp_path), "recipe": recipe.key(toolchain), "fragments": [], "steps": 10, "toolchain": {},
        "tools": toolchain.identity, **changed,
    }  # fmt: skip
    folder = recipe.folder
    (folder / "build").mkdir(parents=True, exist_ok=True)
    manifest.write(folder, data)
    return folder


def test_a_kernel_from_source_is_of_one_toolchain(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    own_kernel(first, tmp_path)
    assert own.ready("minimal", "x86_64", first)
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    assert own.ready("minimal", "x86_64", second) is None
    assert own.all_ready(second) == []
    [(name, arch, why)] = own.all_stale(second)
    assert (name, arch) == ("minimal", "x86_64")
    assert "other compilers" in why


@pytest.mark.parametrize(
    "changed", [{"recipe": "0123456789abcdef"}, {"fragments": [["mine.config", "CONFIG_IPV6=n\n"]]}]
)
def test_a_kernel_from_source_whose_recipe_has_changed(debian: Debian, tmp_path: Path, changed: dict[str, Any]) -> None:
    toolchain = Toolchain.get()
    own_kernel(toolchain, tmp_path, **changed)
    assert own.ready("minimal", "x86_64", toolchain) is None
    assert "has changed" in own.all_stale(toolchain)[0][2]


def test_a_kernel_that_was_built_on_is_another_to_modules(debian: Debian, tmp_path: Path) -> None:
    """After `r4l kernel build --kdir` with a changed source the recipe is the same and the exports differ."""
    toolchain = Toolchain.get()
    keys = set()
    for exported in ("one", "one\ttwo"):
        folder = own_kernel(toolchain, tmp_path)
        (folder / "build/Module.symvers").write_text(exported, encoding="utf-8")
        own_kernel(toolchain, tmp_path, built=own._interface(folder / "build"))
        kernel = own.ready("minimal", "x86_64", toolchain)
        assert kernel
        keys.add(kernel.key)
    assert len(keys) == 2


def test_a_kernel_of_before_with_fragments_that_nobody_wrote_down(debian: Debian, tmp_path: Path) -> None:
    toolchain = Toolchain.get()
    folder = own_kernel(toolchain, tmp_path, recipe="unknown", name="mine")
    data = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    del data["fragments"]
    manifest.write(folder, data)
    assert own.ready("minimal", "x86_64", toolchain)


HOLDER = "import sys, pathlib; from r4l import inuse; print(inuse.hold(pathlib.Path(sys.argv[1])), flush=True); input()"


@contextmanager
def used(entry: Path) -> Iterator[None]:
    """Have another process use an entry of the home in the context."""
    argv = [sys.executable, "-c", HOLDER, str(entry)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"True\n"
        try:
            yield
        finally:
            process.communicate(b"\n")


def test_a_kernel_that_another_process_uses_is_not_replaced(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: make ran in the folder of a kernel on which tests of another process ran, or removed it."""
    toolchain = Toolchain.get()
    folder = own_kernel(toolchain, tmp_path)
    (folder / "build/vmlinux").touch()
    (tmp_path / "x.config").write_text("CONFIG_IPV6=n\n", encoding="utf-8")
    wanted = own.recipe("minimal", tmp_path, "7.3.4-1", fragments=[tmp_path / "x.config"])
    monkeypatch.setattr("r4l.kernel.kconfig.require_known", lambda *_: None)
    kernel = own.ready("minimal", "x86_64", toolchain)
    assert kernel, "this process uses it, too"
    with (
        used(folder),
        pytest.raises(EnvironmentFault, match="the kernel minimal cannot be replaced: used by") as caught,
    ):
        own.build(wanted, toolchain)
    assert "--name" in caught.value.remedy
    assert manifest.read(folder)
    assert (folder / "build/vmlinux").exists()

    def begins(*_: object) -> None:
        raise RuntimeError("it begins")

    monkeypatch.setattr(own, "_seed", begins)
    with pytest.raises(RuntimeError, match="it begins"):
        own.build(wanted, toolchain)


def test_a_kernel_that_another_process_uses_and_that_has_not_changed_is_left_as_it_is(
    debian: Debian, tmp_path: Path
) -> None:
    toolchain = Toolchain.get()
    source = tmp_path / "home/kernels/7.3.4_1/source"
    source.mkdir(parents=True)
    wanted = own.recipe("minimal", source, "7.3.4-1")
    folder = own_kernel(toolchain, tmp_path, source=str(source), recipe=wanted.key(toolchain))
    (folder / "build/include/config").mkdir(parents=True)
    (folder / "build/.config").touch()
    (folder / "build/include/config/auto.conf").touch()
    said: list[str] = []
    with used(folder):
        assert own.build(wanted, toolchain, said.append, again=True).build == folder / "build"
        assert said[0].startswith("left as it is: used by process ")
        os.utime(folder / "build/.config", ns=(2**62, 2**62))
        with pytest.raises(EnvironmentFault, match="cannot be replaced"):
            own.build(wanted, toolchain, again=True)


def test_other_compilers_build_all_anew_and_keep_what_menuconfig_changed(debian: Debian, tmp_path: Path) -> None:
    first = Toolchain.get()
    folder = own_kernel(first, tmp_path)
    (folder / "tools").write_text(first.identity, encoding="utf-8")
    (folder / "build/.config").write_text("CONFIG_MINE=y\n", encoding="utf-8")
    (folder / "build/vmlinux.o").touch()
    known = manifest.read(folder)
    own._renew(folder, known, first, print)
    assert (folder / "build/vmlinux.o").exists()
    debian.versions |= NEWER
    second = Toolchain.get(update=True)
    own._renew(folder, known, second, print)
    assert [path.name for path in (folder / "build").iterdir()] == [".config"]
    assert not (folder / "kernel.json").exists()
    # Interrupted now, what the second build left is not taken for the first toolchain's.
    (folder / "build/vmlinux.o").touch()
    own._renew(folder, None, second, print)
    assert (folder / "build/vmlinux.o").exists()
    own._renew(folder, None, first, print)
    assert not (folder / "build/vmlinux.o").exists()


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


def test_another_suite_has_its_tree_beside_the_default_one(debian: Debian, tmp_path: Path) -> None:
    locked = Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    sid = Toolchain.get(suite="sid")
    assert (sid.suite, sid.lock) == ("sid", None), "the lock file is for the default suite"
    assert sid.key != locked.key
    assert Toolchain.all_made() == [locked, sid]
    assert Toolchain.made("testing") is None
    debian.versions |= NEWER
    newer = Toolchain.get(suite="sid", update=True)
    assert newer.packages["rustc"] == "1.90.0-1"
    assert (Toolchain.made("sid"), Toolchain.made()) == (newer, locked), "an update is of one suite"


def test_a_later_recipe_has_the_lock_of_the_default_suite(
    debian: Debian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Toolchain.get(lock_file=lock_file(tmp_path / "lock.json"))
    Toolchain.get(suite="sid")
    monkeypatch.setattr("r4l.toolchain.recipe_key", lambda _table: "0123456789abcdef")
    assert Toolchain.get().packages["rustc"] == "1.84.0-1"
