# SPDX-License-Identifier: MIT
"""bubblewrap's command line."""

from __future__ import annotations

from pathlib import Path

from r4l.toolchain.enter import bwrap


def test_tree_is_read_only_and_folders_keep_their_paths(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for name in ("a/b", "c"):
        (tmp_path / name).mkdir(parents=True)
    command = bwrap(
        tmp_path / "tree",
        ["make", "-C", tmp_path / "c"],
        writable=[tmp_path / "a/b", tmp_path / "a"],
        readable=[tmp_path / "c"],
    )
    assert command[-4:] == ["--", "make", "-C", str(tmp_path / "c")]
    text = " ".join(command)
    assert f"--ro-bind {tmp_path}/tree/usr /usr" in text
    assert f"--bind {tmp_path}/a {tmp_path}/a" in text
    assert f"{tmp_path}/a/b" not in text, "a folder inside a bound folder is bound with it"
    assert "--die-with-parent" in command
    assert "--clearenv" in command
