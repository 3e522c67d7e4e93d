# SPDX-License-Identifier: MIT
"""The layout, without a kernel."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.rootfs import File, _added, cpio, layout


def test_skeleton_is_complete_and_scripts_are_executable() -> None:
    entries = {entry.name: entry for entry in layout.base()}
    assert {"etc/passwd", "etc/group", "etc/fstab", "etc/inittab", "etc/init.d/rcS", "dev/console"} <= set(entries)
    assert stat.S_IMODE(entries["etc/init.d/rcS"].mode) == 0o755
    assert stat.S_IMODE(entries["tmp"].mode) == 0o1777


def test_busybox_is_init_and_every_applet_is_a_link_to_it() -> None:
    entries = layout.busybox(b"ELF", ["bin/busybox", "bin/sh", "usr/bin/[", "linuxrc"])
    links = {entry.name: entry.data for entry in entries if stat.S_ISLNK(entry.mode)}
    assert links == {"bin/sh": b"/bin/busybox", "usr/bin/[": b"/bin/busybox", "init": b"/bin/busybox"}


def test_later_files_replace_earlier_ones_and_folders_are_made() -> None:
    entries = layout.with_parents([cpio.regular("a", b"1"), cpio.regular("x/y/z", b""), cpio.regular("a", b"2")])
    assert [(entry.name, entry.data) for entry in entries] == [("a", b"2"), ("x", b""), ("x/y", b""), ("x/y/z", b"")]


@pytest.mark.parametrize("name", ["etc/x", "/etc/"])
def test_user_files_need_an_absolute_name(name: str) -> None:
    with pytest.raises(UsageError):
        list(_added(name, b""))


def test_user_files_keep_their_mode() -> None:
    (entry,) = _added("/bin/tool", File(b"#!", 0o755))
    assert (entry.name, stat.S_IMODE(entry.mode)) == ("bin/tool", 0o755)


def test_a_link_that_is_named_is_the_file_and_one_in_a_folder_a_link(tmp_path: Path) -> None:
    """Regression: the guest got a link that led nowhere."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "real").write_text("hello")
    (folder / "real").chmod(0o750)
    (folder / "link").symlink_to("real")
    (member,) = _added("/etc/it", folder / "link")
    assert (member.name, stat.S_IMODE(member.mode), member.data) == ("etc/it", 0o750, b"hello")
    kinds = {member.name: stat.S_IFMT(member.mode) for member in _added("/etc/it", folder)}
    assert kinds == {"etc/it": stat.S_IFDIR, "etc/it/link": stat.S_IFLNK, "etc/it/real": stat.S_IFREG}


def test_a_fifo_in_a_folder_is_refused(tmp_path: Path) -> None:
    """Regression: reading it took for ever."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="fifo is no file"):
        list(_added("/etc/it", tmp_path))
