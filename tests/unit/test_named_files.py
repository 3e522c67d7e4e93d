# SPDX-License-Identifier: MIT
"""Files that the user names for a result: whatever stands there already."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from r4l.cli.options import require_writable
from r4l.errors import EnvironmentFault, UsageError
from r4l.paths import write_named


def test_a_plain_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "x"
    write_named(file, "old")
    file.chmod(0o640)
    before = file.open()
    write_named(file, "new \u2028")
    assert before.read() == "old"
    before.close()
    assert file.read_text(encoding="utf-8") == "new \u2028"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    write_named(tmp_path / ("x" * 255), "text")
    assert (tmp_path / ("x" * 255)).read_text() == "text"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_file_gets_the_text(there: bool, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    if there:
        real.write_text("a longer text")
    link.symlink_to("real")
    require_writable(link)
    write_named(link, "new")
    assert (link.readlink(), real.read_text()) == (Path("real"), "new")


def test_a_pipe_without_a_reader_any_more(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.raises(EnvironmentFault, match="has gone"):
        write_named(Path(f"/proc/self/fd/{theirs}"), "x" * (1 << 20))
    os.close(theirs)
    require_writable(pipe)
    assert pipe.is_fifo()


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_named(file, "\ud800")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("x", "old")]


def test_names_that_nothing_can_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to("no/such/folder")
    for name in ("circle", "nowhere", ".", "x" * 256):
        with pytest.raises(UsageError, match="cannot write"):
            require_writable(tmp_path / name)
