# SPDX-License-Identifier: MIT
"""The copy of a user's folder that a build has in its place."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import home
from r4l.errors import UsageError
from r4l.module import mirror as room
from r4l.module.mirror import FolderMirror

RECORD = "savedcmd_a.o := gcc -c -o a.o a.c\n"
"""Text that Kbuild writes beside an object (fixdep)."""
OLD, NEW = 1_000_000_000, 2_000_000_000
"""Seconds since the epoch, long before and long after this test."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder."""
    folder = tmp_path / "user/driver"
    (folder / "sub").mkdir(parents=True)
    (folder / "Kbuild").write_text("obj-m := a.o\n")
    (folder / "a.c").write_text("int a;\n")
    (folder / "sub/b.h").write_text("int b;\n")
    return folder


@pytest.fixture
def mirror(folder: Path, tmp_path: Path) -> FolderMirror:
    """Its mirror, up to date."""
    place = tmp_path / "home/modules/driver-1/kernel"
    place.parent.mkdir(parents=True)
    view = place.with_name("source")
    made = FolderMirror(
        folder, place, place.with_name("record"), view, (folder.parent,), frozenset({tmp_path / "home"})
    )
    made.update()
    return made


def tree(folder: Path) -> dict[str, str | None]:
    """All below a folder: the text of a file, the target of a link, None for a folder."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else None
        if path.is_dir()
        else path.read_text()
        for path in folder.rglob("*")
    }


def make(mirror: FolderMirror, name: str, text: str = "made") -> Path:
    """Do as Kbuild does: write a file and the record of it."""
    made = mirror.place / name
    made.parent.mkdir(exist_ok=True)
    made.write_text(text)
    made.with_name(f".{made.name}.cmd").write_text(RECORD)
    return made


def test_the_copy_is_like_the_folder_with_the_times_of_its_files(mirror: FolderMirror, folder: Path) -> None:
    assert tree(mirror.place) == tree(folder)
    assert (mirror.place / "a.c").stat().st_mtime_ns == (folder / "a.c").stat().st_mtime_ns


def test_another_build_that_waits_for_the_lock_makes_the_folder_meanwhile(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: of two first builds of a module at once, one ended with FileExistsError."""
    place, view = tmp_path / "place", tmp_path / "view"
    mirror = FolderMirror(
        folder, place, place.with_name("record"), view, (folder.parent,), frozenset({tmp_path / "home"})
    )
    place.mkdir()
    remove = home.remove

    def removed_and_made(path: Path) -> None:
        remove(path)
        place.mkdir(exist_ok=True)

    monkeypatch.setattr(home, "remove", removed_and_made)
    mirror.update()
    assert tree(place) == tree(folder)


def test_programs_stay_programs(mirror: FolderMirror, folder: Path) -> None:
    (folder / "gen.sh").write_text("#!/bin/sh\n")
    (folder / "gen.sh").chmod(0o555)
    mirror.update()
    assert os.access(mirror.place / "gen.sh", os.X_OK)


def test_what_comes_goes_changes_and_moves_in_the_folder(mirror: FolderMirror, folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new/c.c").write_text("int c;\n")
    (folder / "a.c").write_text("int more;\n")
    (folder / "sub").rename(folder / "moved")
    mirror.update()
    assert tree(mirror.place) == tree(folder)
    shutil.rmtree(folder / "new")
    (folder / "new").write_text("a file now\n")
    (folder / "a.c").unlink()
    (folder / "a.c").mkdir()
    mirror.update()
    assert tree(mirror.place) == tree(folder)


def test_an_unchanged_folder_is_not_touched(mirror: FolderMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(mirror, "a.o")
    before = {path: path.lstat() for path in (mirror.record, *mirror.place.rglob("*"))}
    mirror.update()
    assert {path: path.lstat() for path in (mirror.record, *mirror.place.rglob("*"))} == before
    assert made.read_text() == "made"


def test_a_changed_file_is_newer_than_all_that_was_made(mirror: FolderMirror, folder: Path) -> None:
    """Also one that was put back from a copy, with its old time."""
    made = make(mirror, "a.o")
    other = folder / "other.c"
    other.write_text("int z;\n")
    os.utime(other, (OLD, OLD))
    other.replace(folder / "a.c")
    mirror.update()
    assert (mirror.place / "a.c").read_text() == "int z;\n"
    assert (mirror.place / "a.c").stat().st_mtime_ns >= made.stat().st_mtime_ns


def test_a_touched_file_is_newer_and_one_with_other_rights_is_not(mirror: FolderMirror, folder: Path) -> None:
    before = (mirror.place / "a.c").stat().st_mtime_ns
    (folder / "a.c").chmod(0o640)
    mirror.update()
    assert (mirror.place / "a.c").stat().st_mtime_ns == before
    os.utime(folder / "a.c", (NEW, NEW))
    mirror.update()
    assert (mirror.place / "a.c").stat().st_mtime_ns > before


def test_of_generated_files_the_later_stays_the_later(mirror: FolderMirror, folder: Path) -> None:
    """A parser that is committed with its grammar is not made anew."""
    for name, second in (("scan.c", OLD + 1), ("scan.l", OLD)):
        (folder / name).write_text(f"{name}\n")
        os.utime(folder / name, (second, second))
    mirror.update()
    assert (mirror.place / "scan.l").stat().st_mtime_ns <= (mirror.place / "scan.c").stat().st_mtime_ns


def test_what_make_changed_stays_until_the_user_changes_theirs(mirror: FolderMirror, folder: Path) -> None:
    (mirror.place / "sub/b.h").write_text("generated\n")
    mirror.update()
    assert (mirror.place / "sub/b.h").read_text() == "generated\n"
    (folder / "sub/b.h").write_text("the user's\n")
    mirror.update()
    assert (mirror.place / "sub/b.h").read_text() == "the user's\n"
    (mirror.place / "sub/b.h").unlink()
    mirror.update()
    assert (mirror.place / "sub/b.h").read_text() == "the user's\n"


LEFT = {
    "a.o": "of the source a.c",
    "a.ko": "a result",
    "a.mod": "",
    "a.mod.c": "",
    "a.mod.o": "",
    ".a.o.cmd": RECORD,
    ".a.o.d": "",
    "modules.order": "other.o\n",
    "Module.symvers": "0x1\tx\ty\tEXPORT_SYMBOL\n",
    "sub/modules.order": "sub/c.o\n",
    "gen.h": "by a rule",
    ".gen.h.cmd": "savedcmd_gen.h := ./gen > gen.h\n",
    "r4l/libkit.rmeta": "of another kernel",
    ".git/HEAD": "ref",
    "__pycache__/x.pyc": "",
}
"""Files that a plain make leaves in a folder, and files that no build reads."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_plain_make_left_is_not_copied(mirror: FolderMirror, folder: Path, when: str) -> None:
    if when == "before":
        mirror.record.unlink()
    for name, text in LEFT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    mirror.update()
    assert {name for name, text in tree(mirror.place).items() if text is not None} == {"Kbuild", "a.c", "sub/b.h"}


def test_objects_that_come_without_their_source_are_copied(mirror: FolderMirror, folder: Path) -> None:
    wanted = {"firmware.o_shipped": "x", "blob.o": "x", ".blob.o.cmd": "", "libhal.a": "x", "dep/Module.symvers": "x"}
    for name, text in wanted.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    mirror.update()
    assert wanted.items() <= tree(mirror.place).items()


def test_what_kbuild_makes_is_not_overwritten_by_what_the_users_make_has_made(
    mirror: FolderMirror, folder: Path
) -> None:
    """An object of several, which has no source of its name."""
    (folder / "all.o").write_text("of another kernel")
    mirror.update()
    make(mirror, "all.o")
    for text in ("of another kernel", "of a third"):
        (folder / "all.o").write_text(text)
        mirror.update()
        assert (mirror.place / "all.o").read_text() == "made"


def test_an_object_goes_with_its_source(mirror: FolderMirror, folder: Path) -> None:
    """make takes an object as it is whose source it does not find."""
    make(mirror, "a.o")
    make(mirror, "main.o")
    (folder / "a.c").unlink()
    mirror.update()
    assert not (mirror.place / "a.o").exists()
    assert not (mirror.place / ".a.o.cmd").exists()
    assert (mirror.place / "main.o").exists()


def test_links_lead_where_they_led(mirror: FolderMirror, folder: Path) -> None:
    (folder.parent / "common").mkdir()
    (folder.parent / "common/d.c").write_text("int d;\n")
    links = {"own.c": "a.c", "e.c": str(folder.parent / "common/d.c"), "inc": "sub", "sub/up.c": "../a.c"}
    leaving = {"d.c": ("../common/d.c", "common/d.c"), "sub/f.c": ("../../driver/a.c", "driver/a.c")}
    for name, target in (*links.items(), *((name, way) for name, (way, _) in leaving.items())):
        (folder / name).symlink_to(target)
    mirror.update()
    wanted = {**links, **{name: str(folder.parent / place) for name, (_, place) in leaving.items()}}
    assert wanted.items() <= tree(mirror.place).items()


def test_a_link_to_where_the_build_sees_nothing(mirror: FolderMirror, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.h").write_text("secret")
    (folder / "doc").symlink_to("/usr/share/doc")
    (folder / "sub/lost.txt").symlink_to("nowhere/at/all")
    mirror.update()
    assert "doc" not in tree(mirror.place)
    (folder / "sub/c.h").symlink_to(tmp_path / "secret.h")
    with pytest.raises(UsageError, match=r"c\.h is a link to .*secret\.h, which the build cannot see"):
        mirror.update()
    assert "secret" not in str(tree(mirror.place))


def test_a_large_file_is_a_link(mirror: FolderMirror, folder: Path) -> None:
    with (folder / "disk.img").open("wb") as file:
        file.truncate(room.LARGEST + 1)
    mirror.update()
    assert (mirror.place / "disk.img").readlink() == mirror.view / "disk.img"
    (folder / "disk.img").write_text("small now\n")
    mirror.update()
    assert (mirror.place / "disk.img").read_text() == "small now\n"


def test_a_folder_of_holes_takes_no_disk(mirror: FolderMirror, folder: Path) -> None:
    """Regression: the copy was as large as the files said to be."""
    for number in range(20):
        (folder / f"{number}.c").touch()
        os.truncate(folder / f"{number}.c", 16 << 20)
    mirror.update()
    assert home.disk_usage(mirror.place) < 1 << 20
    assert all((mirror.place / f"{number}.c").is_symlink() for number in range(20))


@pytest.mark.parametrize("depth", [201, 5000])
def test_folders_without_end(mirror: FolderMirror, folder: Path, depth: int) -> None:
    """Regression: it was taken for a bug of r4l's own."""
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=inner)
        deeper = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(inner)
    with pytest.raises(UsageError, match="nested more than 200 deep"):
        mirror.update()
    subprocess.run(["rm", "-rf", folder / "d"], check=True)


def test_links_in_a_circle(mirror: FolderMirror, folder: Path) -> None:
    """Regression: one stopped the program."""
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    (folder / "itself.rs").symlink_to("itself.rs")
    mirror.update()
    assert (mirror.place / "a").readlink() == Path("b")


def test_pipes_names_that_are_no_text_and_what_may_not_be_read(mirror: FolderMirror, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    strange = os.fsdecode(b"\xff.h")
    (folder / strange).write_text("x")
    mirror.update()
    mirror.update()
    assert (mirror.place / strange).read_text() == "x"
    assert not (mirror.place / "pipe").exists()


def test_a_home_within_the_folder_is_left_out(folder: Path) -> None:
    home = folder / "cache"
    place = home / "modules/driver-1/kernel"
    place.parent.mkdir(parents=True)
    mirror = FolderMirror(
        folder, place, place.with_name("record"), place.with_name("source"), (folder,), frozenset({home})
    )
    for _ in range(2):
        mirror.update()
        assert set(tree(place)) == {"Kbuild", "a.c", "sub", "sub/b.h"}


def link_sub(mirror: FolderMirror, user: Path) -> None:
    """Put a link in the place of a folder."""
    shutil.rmtree(mirror.place / "sub")
    (mirror.place / "sub").symlink_to(user)


def link_file(mirror: FolderMirror, user: Path) -> None:
    """Put links in the place of files, one at the name that a copy has before it is whole."""
    for name in ("sub/b.h", f"sub/{room.PARTIAL}"):
        (mirror.place / name).unlink(missing_ok=True)
        (mirror.place / name).symlink_to(user / "b.h")


@pytest.mark.parametrize("trick", [link_sub, link_file])
@pytest.mark.parametrize("then", ["change", "remove"])
def test_a_build_that_puts_links_into_its_copy_leads_nobody_out(
    mirror: FolderMirror, folder: Path, tmp_path: Path, trick: Callable[[FolderMirror, Path], None], then: str
) -> None:
    user = tmp_path / "private"
    user.mkdir()
    (user / "b.h").write_text("private")
    trick(mirror, user)
    if then == "change":
        (folder / "sub/b.h").write_text("int changed;\n")
    else:
        (folder / "sub/b.h").unlink()
    mirror.update()
    assert tree(user) == {"b.h": "private"}
    if then == "change":
        assert tree(mirror.place)["sub/b.h"] == "int changed;\n"


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_point_the_next_goes_on(
    mirror: FolderMirror, folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """After the first, second ... call that writes, nothing else is done."""

    class Killed(BaseException):
        pass

    left = step

    def dying(call: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*arguments, **named)

        return run

    (folder / "c.c").write_text("int c;\n")
    (folder / "a.c").write_text("int changed;\n")
    (folder / "sub/b.h").unlink()
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        for target, name in ((Path, "replace"), (Path, "mkdir"), (Path, "unlink"), (room, "_copy")):
            patch.setattr(target, name, dying(getattr(target, name)))
        mirror.update()
    (folder / "c.c").unlink()
    mirror.update()
    found = {name: text for name, text in tree(mirror.place).items() if room.PARTIAL not in name}
    assert found == tree(folder)


def test_of_a_folder_beside_the_files_are_copied_and_the_folders_linked(folder: Path, tmp_path: Path) -> None:
    """But for those that lead to where another mirror is mounted."""
    project = folder.parent
    for name in ("common/deep/x.c", "linux/big.c", "top.c"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(f"// {name}\n")
    place, view = tmp_path / "place", tmp_path / "view"
    points = frozenset({folder, project / "common/deep"})
    mirror = FolderMirror(project, place, tmp_path / "record", view, (project,), frozenset({tmp_path / "home"}), points)
    for _ in range(2):
        assert sorted(mirror.update()) == ["common", "common/deep", "driver", "linux", "top.c"]
        assert tree(place) == {
            "common": None,
            "common/deep": None,
            "driver": None,
            "linux": str(view / "linux"),
            "top.c": "// top.c\n",
        }


def test_sources_of_modpost_that_an_interrupted_build_left_are_gone(mirror: FolderMirror, folder: Path) -> None:
    (folder / "dep").mkdir()
    (folder / "dep/Module.symvers").write_text("0x1\tx\ty\tEXPORT_SYMBOL\n")
    mirror.update()
    for name in ("a.mod.c", "Module.symvers", "dep/b.mod.c"):
        (mirror.place / name).write_text("made")
    mirror.update()
    assert tree(mirror.place) == tree(folder), "modpost writes them again, since its list of symbols is gone too"


@pytest.mark.parametrize("text", ["", "{", "null", "[]"])
def test_without_its_record_the_folder_is_copied_anew(mirror: FolderMirror, folder: Path, text: str) -> None:
    """Regression: after the machine had lost its power, an empty record was an internal error at each build."""
    make(mirror, "a.o")
    mirror.record.write_text(text)
    mirror.update()
    assert tree(mirror.place) == tree(folder)
    assert mirror.update()


def test_a_build_that_puts_folders_into_its_copy_stops_nothing(mirror: FolderMirror, folder: Path) -> None:
    """Regression: a folder in the place of an object, or of a copy, was an internal error at each build."""
    for name in ("a.o", ".a.o.cmd"):
        (mirror.place / name / "in").mkdir(parents=True)
    (folder / "a.c").unlink()
    mirror.update()
    assert tree(mirror.place) == tree(folder)


def test_a_build_that_closes_its_copy_stops_nothing(mirror: FolderMirror, folder: Path) -> None:
    (mirror.place / "sub").chmod(0)
    mirror.place.chmod(0o500)
    (folder / "sub/b.h").write_text("int more;\n")
    mirror.update()
    assert tree(mirror.place) == tree(folder)
