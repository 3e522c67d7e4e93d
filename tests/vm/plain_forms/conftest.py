# SPDX-License-Identifier: MIT
"""A place for a folder, and a plain make in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vm.plain_forms.folders import Make

from r4l import home
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.toolchain import Grant


@pytest.fixture
def plain(kernel: Kernel, tmp_path: Path) -> Make:
    """Runs a plain make in a folder, as in a shell there on a machine that runs the kernel. It may write to what lies
    beside the folder too."""
    headers = tmp_path / "lib" / os.uname().release / "build"
    headers.parent.mkdir(parents=True)
    headers.symlink_to(kernel.build)
    (kernel.toolchain.root / "usr/lib/modules").mkdir(exist_ok=True)

    def make(folder: Path, *words: str) -> None:
        files = [folder / name for name in ("GNUmakefile", "Makefile")]
        texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
        # Where the Makefile does not call Kbuild, the user does.
        own = any(" -C " in text or "\tcd " in text for text in texts)
        kbuild: list[str | Path] = [] if own else ["-C", kernel.build, f"M={folder}", "modules"]
        grant = Grant(
            "test",
            writes=(folder.parents[1],),
            reads=(kernel.source, kernel.build),
            over_reads={Path("/usr/lib/modules"): headers.parents[1]},
        )
        argv: list[str | Path] = ["make", "-j2", *kbuild, *words]
        done = kernel.toolchain.run(argv, grant, cwd=folder, env={"PWD": str(folder)}, check=False)
        assert done.returncode == 0, done.stderr.decode()

    return make


@pytest.fixture
def place(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """A place for a module's folder, with its own folder around it; what is built of it is removed."""
    place = tmp_path / "project/driver"
    yield place
    home.remove(Module(place).output(kernel).parent)
