# SPDX-License-Identifier: MIT
"""Only r4l's own files are ever replaced."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from r4l import home
from r4l.errors import EnvironmentFault, UsageError
from r4l.ide import owned
from r4l.ide.owned import OwnedFiles


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "module"
    made.mkdir()
    return made


def test_ours_is_replaced_also_by_the_next_run(folder: Path) -> None:
    file = folder / "rust-project.json"
    assert OwnedFiles.of(folder).write(file, "one")
    again = OwnedFiles.of(folder)
    again.require_ours(file, "two")
    assert again.write(file, "two")
    assert not again.write(file, "two")
    assert file.read_text() == "two"


def test_what_the_user_made_or_changed_is_refused(folder: Path) -> None:
    file = folder / "rust-project.json"
    file.write_bytes(b"theirs \xff")
    with pytest.raises(UsageError, match="was not written by r4l") as refused:
        OwnedFiles.of(folder).require_ours(file, "ours")
    assert "--force" in refused.value.remedy
    OwnedFiles.of(folder).write(file, "ours")
    file.write_text("ours, edited")
    with pytest.raises(UsageError):
        OwnedFiles.of(folder).require_ours(file, "two")


def test_what_is_the_same_anyway_is_no_reason_to_refuse(folder: Path) -> None:
    (folder / "x.json").write_text("same")
    OwnedFiles.of(folder).require_ours(folder / "x.json", "same")


def test_an_interrupt_after_the_record_leaves_nothing_that_is_taken_for_the_users(folder: Path) -> None:
    file = folder / "x.json"
    record = OwnedFiles.of(folder)
    record.write(file, "one")
    record.files[file.name].append(owned.digest("two"))
    record.save()
    OwnedFiles.of(folder).require_ours(file, "three")


def test_a_dead_runs_leftover_goes(folder: Path) -> None:
    leftover = folder / ".x.json.r4l-1"
    leftover.write_text("half")
    OwnedFiles.of(folder).write(folder / "x.json", "whole")
    assert [path.name for path in folder.iterdir()] == ["x.json"]


def test_a_link_of_the_users_stays_one(folder: Path) -> None:
    real = folder / "dotfiles/it.json"
    real.parent.mkdir()
    real.write_text("{}")
    real.chmod(0o600)
    (folder / "settings.json").symlink_to(real)
    OwnedFiles.of(folder).write(folder / "settings.json", "new")
    assert (folder / "settings.json").is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("name", ["compile_commands.json", ".vscode/settings.json"])
def test_a_link_out_of_a_strangers_folder(name: str, exists: bool, folder: Path, tmp_path: Path) -> None:
    """Regression: a file of the user's was written, or made, wherever the stranger's link led."""
    real = tmp_path / "user/.bash_profile"
    real.parent.mkdir()
    if exists:
        real.write_text("theirs")
    path = folder / name
    if path.parent == folder:
        path.symlink_to(real)
    else:
        path.parent.symlink_to(real.parent)
    with pytest.raises(UsageError, match="out of the folder"):
        OwnedFiles.of(folder).write(path, "new")
    found = {file.name: file.read_text() for file in real.parent.iterdir()}
    assert found == ({real.name: "theirs"} if exists else {})


def test_a_link_to_what_was_written_before_may_lead_out(folder: Path, tmp_path: Path) -> None:
    file = folder / "settings.json"
    OwnedFiles.of(folder).write(file, "one")
    (tmp_path / "dotfiles").mkdir()
    file.symlink_to(file.rename(tmp_path / "dotfiles/settings.json"))
    assert OwnedFiles.of(folder).write(file, "two")
    assert (tmp_path / "dotfiles/settings.json").read_text() == "two"


@pytest.mark.parametrize("kind", ["pipe", "endless", "large", "circle"])
def test_what_is_no_file_is_not_read(kind: str, folder: Path) -> None:
    """Regression: a build waited for ever for the pipe, or took all memory."""
    file = folder / "rust-project.json"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "large":
        file.touch()
        os.truncate(file, 1 << 40)
    else:
        file.symlink_to("/dev/zero" if kind == "endless" else file.name)
    with pytest.raises(EnvironmentFault, match="cannot read"):
        OwnedFiles.of(folder)


def test_a_folder_where_a_file_should_be(folder: Path) -> None:
    (folder / ".vscode").write_text("no folder")
    with pytest.raises(EnvironmentFault) as failed:
        OwnedFiles.of(folder).write(folder / ".vscode/settings.json", "x")
    assert failed.value.remedy
    (folder / "y.json").mkdir()
    with pytest.raises(EnvironmentFault, match="cannot read"):
        owned.read(folder / "y.json")


@pytest.fixture
def written(folder: Path) -> Path:
    """The folder with editor files for another kernel."""
    record = OwnedFiles.of(folder)
    record.kernel, record.config, record.home = "debug", {"CONFIG_X": "m"}, str(home.home())
    record.settings = {"clangd.path": "/cd"}
    for name in ("rust-project.json", "compile_commands.json", ".vscode/settings.json"):
        record.write(folder / name, f"{name} for {folder}")
    assert owned.moved(folder) is None
    return folder


@pytest.mark.parametrize("copied", [False, True])
def test_the_record_of_a_moved_folder_is_found(written: Path, tmp_path: Path, copied: bool) -> None:
    there = tmp_path / "elsewhere/driver"
    (shutil.copytree if copied else shutil.move)(written, there)
    record = owned.moved(there)
    assert record
    assert (record.kernel, record.config, record.settings) == ("debug", {"CONFIG_X": "m"}, {"clangd.path": "/cd"})
    record.require_ours(there / "compile_commands.json", "new")
    record.require_ours(there / ".vscode/settings.json", "new")
    record.home = str(home.home())
    record.write(there / "rust-project.json", "new")
    assert owned.moved(there) is None
    assert owned.folders() == ([there, written] if copied else [there])


def test_a_moved_file_that_the_user_has_changed_stays_theirs(written: Path, tmp_path: Path) -> None:
    there = written.rename(tmp_path / "renamed")
    (there / "compile_commands.json").write_text("[]")
    assert owned.moved(there) is None
    with pytest.raises(UsageError):
        OwnedFiles.of(there).require_ours(there / "compile_commands.json", "new")


def _write_again(folder: Path) -> None:
    """Write the files of a moved folder, as `r4l ide` does."""
    record = owned.moved(folder)
    assert record
    for name in record.files:
        record.require_ours(folder / name, "new")
    record.home = str(home.home())
    for name in record.files:
        record.write(folder / name, f"{name} for {folder}")
    assert owned.moved(folder) is None


def test_a_folder_that_was_moved_and_back(written: Path, tmp_path: Path) -> None:
    there = written.rename(tmp_path / "renamed")
    _write_again(there)
    there.rename(written)
    _write_again(written)


def test_folders_that_changed_places(written: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(written, other)
    _write_again(other)
    other.rename(tmp_path / "third")
    written.rename(other)
    (tmp_path / "third").rename(written)
    _write_again(other)
    _write_again(written)


def test_a_home_that_was_moved(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str((tmp_path / "home").rename(tmp_path / "moved")))
    record = owned.moved(written)
    assert record
    record.require_ours(written / "rust-project.json", "new")


def test_a_record_of_an_older_version(written: Path) -> None:
    [file] = home.room(owned.ROOM).glob("*.json")
    data = json.loads(file.read_text())
    whole = {str(written / name): digests for name, digests in data["files"].items()}
    file.write_text(json.dumps({"folder": data["folder"], "files": whole, "settings": data["settings"]}))
    assert owned.moved(written) is None
    OwnedFiles.of(written).require_ours(written / "rust-project.json", "new")
    there = written.rename(written.with_name("renamed"))
    assert owned.moved(there)


def test_the_servers_see_the_folders_that_are_still_there(folder: Path, tmp_path: Path) -> None:
    gone, kernel = tmp_path / "gone", tmp_path / "kernel"
    gone.mkdir()
    kernel.mkdir()
    for each in (folder, gone):
        OwnedFiles(each, reads=[str(kernel)]).save()
    gone.rmdir()
    assert owned.readable() == [kernel, folder]


def test_an_empty_record_is_none(folder: Path, tmp_path: Path) -> None:
    """Regression: it was an internal error at each `r4l ide`, for every folder."""
    OwnedFiles.of(folder).write(folder / "rust-project.json", "one")
    [record] = home.room(owned.ROOM).glob("*.json")
    record.write_text("")
    assert not OwnedFiles.of(folder).files
    assert owned.readable() == []
    assert OwnedFiles.of(tmp_path / "other").files == {}
