# SPDX-License-Identifier: MIT
"""r4l's settings merged into the user's."""

from __future__ import annotations

import json
from pathlib import Path

from r4l.ide.jsonc import Document
from r4l.ide.vscode import merge, settings

PROJECTS = [Path("/m/rust-project.json"), Path("/k/rust-project.json")]
WANTED = settings(PROJECTS, Path("/ra"), Path("/cd"), None, Path("/m"))


def test_where_there_are_none() -> None:
    for nothing in (None, "", "\n"):
        merged = merge(nothing, WANTED, {})
        assert merged.text
        assert json.loads(merged.text) == WANTED


def test_the_users_keys_and_comments_stay() -> None:
    merged = merge('{\n  // mine\n  "editor.tabSize": 3,\n}\n', WANTED, {})
    assert merged.text
    assert "// mine\n" in merged.text
    assert Document.parse(merged.text).values == {"editor.tabSize": 3, **WANTED}
    assert merged.kept == ()


def test_the_users_choice_wins_until_forced() -> None:
    present = '{"clangd.path": "/usr/bin/clangd"}'
    merged = merge(present, WANTED, {})
    assert merged.kept == ("clangd.path",)
    assert merged.text
    assert json.loads(merged.text) == {**WANTED, "clangd.path": "/usr/bin/clangd"}
    forced = merge(present, WANTED, {}, force=True)
    assert forced.text
    assert json.loads(forced.text) == WANTED


def test_the_users_projects_are_joined_with_ours_and_our_old_ones_go() -> None:
    before = {**WANTED, "rust-analyzer.linkedProjects": ["/old/rust-project.json"], "clangd.path": "/old"}
    present = json.dumps({**before, "rust-analyzer.linkedProjects": ["/theirs", "/old/rust-project.json"]})
    merged = merge(present, WANTED, before)
    assert merged.text
    now = json.loads(merged.text)
    assert now["rust-analyzer.linkedProjects"] == ["/theirs", *WANTED["rust-analyzer.linkedProjects"]]
    assert now["clangd.path"] == "/cd"


def test_the_second_time_nothing_changes() -> None:
    first = merge('{"a": 1}', WANTED, {})
    assert merge(first.text, WANTED, WANTED) == first


def test_what_cannot_be_read_stays_even_when_forced() -> None:
    for broken in ('{"a": ', "[]", "{,}"):
        assert merge(broken, WANTED, {}, force=True).text is None


def test_the_folders_own_project_is_named_as_seen_from_the_folder() -> None:
    assert WANTED["rust-analyzer.linkedProjects"] == ["rust-project.json", "/k/rust-project.json"]
