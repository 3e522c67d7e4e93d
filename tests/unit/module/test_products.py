# SPDX-License-Identifier: MIT
"""A build's folder with links made by a Makefile: none leads its readers elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l.errors import BuildError
from r4l.module.products import require_own


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    (folder / "sub").mkdir(parents=True)
    (folder / "x.ko").write_text("x")
    (tmp_path / "source").mkdir()
    (tmp_path / "secret").write_text("s")
    return folder


def test_what_kbuild_makes_is_taken(output: Path) -> None:
    (output / "source").symlink_to(output.parent / "source")
    (output / "sub/y.ko").symlink_to("../x.ko")
    require_own(output, [output.parent / "source"])


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to(path.parents[2] / "secret"),
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("/"),
        lambda path: path.symlink_to("../../nowhere"),
        os.mkfifo,
    ],
)
@pytest.mark.parametrize("name", ["modules.order", "build.log", "sub/x.ko", "sub"])
def test_what_leads_elsewhere_is_refused(output: Path, make: Callable[[Path], None], name: str) -> None:
    path = output / name
    if path.is_dir():
        path.rmdir()
    make(path)
    with pytest.raises(BuildError, match=f"the build left .*/{name}"):
        require_own(output, [output.parent / "source"])
