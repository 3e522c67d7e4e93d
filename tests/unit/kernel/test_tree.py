# SPDX-License-Identifier: MIT
"""The user's own tree: recognition of folders."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from r4l.errors import BuildError, R4LError, UsageError
from r4l.kernel import tree
from r4l.toolchain import Toolchain

NOWHERE = Toolchain(Path("/nonexistent"), "key")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "linux"
    folder.mkdir()
    (folder / "Makefile").write_text("# SPDX\nVERSION = 7\nPATCHLEVEL = 3\n")
    (folder / "Kconfig").write_text("mainmenu\n")
    return folder


def test_a_clean_source_can_be_built_anywhere(source: Path) -> None:
    assert tree.folders_of(source) == tree.Tree(source, None)


def test_a_configured_source_is_built_in_place(source: Path) -> None:
    (source / ".config").write_text("CONFIG_X86_64=y\n")
    assert tree.folders_of(source) == tree.Tree(source, source)


def test_a_build_folder_knows_its_source(source: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    build.mkdir()
    (build / "source").symlink_to(source)
    assert tree.folders_of(build) == tree.Tree(source, build)


def test_a_folder_that_is_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a kernel tree"):
        tree.folders_of(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        tree.folders_of(tmp_path / "none")


def test_a_source_that_is_not_configured_has_no_kernel(source: Path) -> None:
    with pytest.raises(UsageError, match="not configured") as caught:
        tree.built_in(source, NOWHERE)
    assert "r4l kernel build --kdir" in caught.value.remedy


def test_a_half_built_tree_names_what_is_missing(source: Path) -> None:
    (source / ".config").write_text("CONFIG_X86_64=y\n")
    with pytest.raises(R4LError, match=r"half built: kernel\.release is missing") as caught:
        tree.built_in(source, NOWHERE)
    assert caught.value.exit_code == 121


def test_a_tree_for_another_machine(source: Path) -> None:
    (source / ".config").write_text("CONFIG_MIPS=y\n")
    with pytest.raises(UsageError, match="architecture that r4l does not know"):
        tree.built_in(source, NOWHERE)


@pytest.mark.parametrize("release", ["/etc", "../../../x", "7.3/../../x", "7.3.4\n/etc", "", "7.3 x", "x" * 80])
def test_a_tree_whose_release_would_lead_elsewhere(source: Path, release: str) -> None:
    """Regression: the folder of its modules was wherever the tree said."""
    (source / ".config").write_text("CONFIG_X86_64=y\n")
    for name in ("vmlinux", "Module.symvers", "scripts/module.lds", "arch/x86/boot/bzImage"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    (source / "include/config").mkdir(parents=True)
    (source / "include/config/kernel.release").write_text(f"{release}\n")
    with pytest.raises(BuildError, match="which is no release"):
        tree.built_in(source, NOWHERE)


def test_two_builds_of_one_tree_take_turns(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the second process removed the files that the make of the first one wrote."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    (source / ".config").write_text("CONFIG_X86_64=y\n")
    running: list[int] = []
    at_once: list[int] = []

    def make(*_arguments: object, **_words: object) -> None:
        running.append(1)
        at_once.append(len(running))
        time.sleep(0.05)
        running.pop()

    monkeypatch.setattr(tree, "kernel_make", make)
    monkeypatch.setattr(tree, "built_in", lambda *_: None)
    found = tree.folders_of(source)
    builds = [threading.Thread(target=tree.build_in_place, args=(found, NOWHERE)) for _ in range(2)]
    for build in builds:
        build.start()
    for build in builds:
        build.join()
    assert at_once == [1] * 4
