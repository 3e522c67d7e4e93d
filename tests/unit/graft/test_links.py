# SPDX-License-Identifier: MIT
"""Links in a kernel's tree and to it, and names that no path can have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import home, resources
from r4l.errors import UsageError
from r4l.graft import graft, remove
from r4l.graft.record import GraftRecord, lock_name
from r4l.kernel.tree import folders_of

E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


def test_a_linked_kconfig_stays_a_link(repository: Path, git: Callable[..., str], tmp_path: Path) -> None:
    """Regression: a plain file was put into the link's place."""
    for name in ("Kconfig", "Kbuild"):
        (repository / "drivers/misc" / name).rename(repository / "drivers/misc" / f"{name}.real")
        (repository / "drivers/misc" / name).symlink_to(f"{name}.real")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "links")
    graft(HELLO, repository, wanted="drivers/misc", patch=tmp_path / "x.patch")
    done = graft(HELLO, repository, wanted="drivers/misc")
    assert done.changed == ("drivers/misc/Kbuild.real", "drivers/misc/Kconfig.real")
    assert "config HELLO" in (repository / "drivers/misc/Kconfig.real").read_text()
    assert git(repository, "status", "--porcelain") == ""
    remove("hello", repository)
    assert (repository / "drivers/misc/Kconfig").is_symlink()
    assert git(repository, "diff", "HEAD~2") == ""
    git(repository, "am", "-q", str(tmp_path / "x.patch"))


def test_a_linked_folder_of_the_tree(repository: Path, git: Callable[..., str]) -> None:
    (repository / "drivers/odd").symlink_to("misc")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "links")
    done = graft(HELLO, repository, wanted="drivers/odd")
    assert done.folder == "drivers/misc"
    remove("hello", repository)
    assert git(repository, "diff", "HEAD~2") == ""


@pytest.mark.parametrize("link", ["drivers/misc", "drivers", "drivers/misc/Kconfig", "drivers/misc/Kbuild"])
@pytest.mark.parametrize("after", [False, True])
def test_no_link_leads_out_of_the_tree(
    link: str, after: bool, tree: Path, tmp_path: Path, texts: Callable[[Path], dict[str, str]]
) -> None:
    """Regression: a linked folder had files of others changed."""
    if after:
        graft(HELLO, tree, wanted="drivers/misc")
    moved = tmp_path / "user"
    shutil.move(tree / link, moved)
    (tree / link).symlink_to(moved)
    before = texts(tree), moved.read_text() if moved.is_file() else texts(moved)
    with pytest.raises(UsageError, match="leads to"):
        remove("hello", tree) if after else graft(HELLO, tree, wanted="drivers/misc")
    assert (texts(tree), moved.read_text() if moved.is_file() else texts(moved)) == before


@pytest.mark.parametrize("link", ["rust/kit", "rust"])
def test_a_kit_is_put_nowhere_else(link: str, tree: Path, tmp_path: Path) -> None:
    moved = tmp_path / "user"
    if (tree / link).exists():
        shutil.move(tree / link, moved)
    (tree / link).symlink_to(moved)
    with pytest.raises(UsageError, match=r"leads to|has no Rust"):
        graft(E1000, tree)
    assert not list(moved.rglob("kit*"))


def test_a_link_in_a_drivers_place(tree: Path, tmp_path: Path) -> None:
    (tree / "samples/rust/hello.rs").symlink_to(tmp_path / "nothing")
    with pytest.raises(UsageError, match="is in the kernel's tree already"):
        graft(HELLO, tree)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    "wanted",
    [
        "drivers/misc/a#b",
        "a(b",
        "drivers/misc/a%b",
        "a;b",
        "x" * 300,
        "drivers/" * 600,
        ".git/hooks",
        "drivers/*",
        "a\x07",
    ],
)
def test_places_that_no_makefile_can_name(wanted: str, tree: Path) -> None:
    with pytest.raises(UsageError, match="is not a path inside a kernel's tree"):
        graft(HELLO, tree, wanted=wanted)


def spellings(tree: Path) -> dict[str, Path]:
    link = tree.parent / "link"
    link.symlink_to(tree)
    build = tree.parent / "build"
    build.mkdir()
    (build / "source").symlink_to(link)
    return {"link": link, "above": tree / "drivers" / "..", "build": build, "twice": link / "drivers/../../link"}


def test_a_tree_is_one_by_each_path_to_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: by a link or by `..`, a tree had a record and a lock of its own."""
    for path in spellings(tree).values():
        assert folders_of(path).source == tree
        graft(HELLO, path)
        remove("hello", tree)
    monkeypatch.chdir(tree)
    graft(HELLO, Path())
    assert lock_name(folders_of(Path("drivers/..")).source) == lock_name(tree)


def test_a_record_by_another_path_is_found(
    tree: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
    graft(HELLO, tree)
    graft(E1000, tree)
    (record,) = home.room("grafts").glob("*.json")
    data = json.loads(record.read_text())
    record.unlink()
    for number, path in enumerate([tree.parent / "link", tree / "drivers/.."]):
        part = data["entries"][number : number + 1] if number == 0 else data["entries"][1:]
        named = home.room("grafts") / f"{home.content_key(str(path))}.json"
        named.write_text(json.dumps({"tree": str(path), "entries": part}))
    (home.room("grafts") / "damaged.json").write_text("{")
    (tree.parent / "link").symlink_to(tree)
    assert {entry.name for entry in GraftRecord.load(tree).entries} == {"hello", "r4l_e1000", "kit"}
    remove("hello", tree)
    assert len(list(home.room("grafts").glob("*.json"))) == 2, "they are one now, beside the damaged one"
    remove("r4l_e1000", tree)
    assert texts(tree) == original


def test_a_tree_in_the_drivers_folder(tree: Path, own: Callable[..., Path]) -> None:
    """Regression: the whole kernel was taken for the driver's sources."""
    folder = own("mine", "obj-m := mine.o\n", mine_rs="\n")
    inner = Path(shutil.copytree(tree, folder / "linux"))
    (inner / "init/main.c").write_text("int main;\n")
    (folder / "build/include").mkdir(parents=True)
    (folder / "build/include/a.h").touch()
    (folder / "build/source").symlink_to(inner)
    assert graft(folder, folder / "build").new == ("samples/rust/mine.rs",)
    assert remove("mine", inner).new == ("samples/rust/mine.rs",)


def test_more_sources_than_a_driver_has(tree: Path, own: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own("mine", "obj-m := mine.o\n", mine_rs="\n")
    for number in range(30):
        (folder / f"{number}.h").write_text("x" * 100)
    for bound, value in (("MOST_SOURCES", 20), ("MOST_TEXT", 2000)):
        with monkeypatch.context() as patch:
            patch.setattr(f"r4l.graft.driver.{bound}", value)
            with pytest.raises(UsageError, match="move what is no part of the driver"):
                graft(folder, tree)


def test_a_name_that_no_folder_can_have(tree: Path, own: Callable[..., Path]) -> None:
    folder = own("mine", f"obj-m := {'x' * 300}.o\n{'x' * 300}-y := main.o\n", main_rs="\n")
    with pytest.raises(UsageError, match="has 300 characters"):
        graft(folder, tree)
