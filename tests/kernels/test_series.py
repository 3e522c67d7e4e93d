# SPDX-License-Identifier: MIT
"""Each patch of the series of e1000 and the kit builds, without a warning: the crate `kernel`, and the driver.

The stock kernel's source and build folder are copied, and appear in the build at their own places. So make builds only
what a patch changes.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from r4l import home, resources
from r4l.errors import BuildError
from r4l.graft.series import series
from r4l.kernel import Kernel
from r4l.kernel.kbuild import OPTIONS
from r4l.kernel.make import kernel_make
from r4l.module import Module

pytestmark = [pytest.mark.timeout(7200)]


def make(kernel: Kernel, copy: Path, *targets: str) -> str:
    """Run make on a copy of the kernel; return its output."""
    unset = [f"{option}=" for option in OPTIONS.values()]  # The programs behind these options are there.
    return kernel_make(
        kernel.toolchain,
        kernel.source,
        kernel.build,
        [*kernel.make_arguments, *unset, *targets],
        copy / "log",
        lambda code, tail: BuildError(f"make ended with {code}", "see its output", detail=tail),
        print,
        over={kernel.build: copy / "build"},
        over_reads={kernel.source: copy / "source"},
    )


def add_layout(kernel: Kernel, driver: Path) -> None:
    """Add the C compiler's sizes and offsets to a driver, as assertions about the bindings of the crate `kernel`.

    bindgen gets some structures wrong, and the kernel's build does not compare them.
    """
    built = Module(resources.rust("drivers", "e1000")).build(kernel).path.parent / "r4l/kit_layout.rs"
    lines = [line for line in built.read_text().splitlines() if line.startswith("const _: () = assert!")]
    assert len(lines) > 100
    (driver / "layout.rs").write_text("\n".join(lines).replace("bindings::", "kernel::bindings::") + "\n")
    root = (driver / "e1000.rs").read_text()
    assert root.count("\nmod hw;\n") == 1
    (driver / "e1000.rs").write_text(root.replace("\nmod hw;\n", "\nmod hw;\nmod layout;\n"))


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_each_patch_builds(arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Hua Li")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "li@example.org")
    kernel = Kernel.get("stock", arch=arch)
    done = series(resources.rust("drivers", "e1000"), kernel.source, tmp_path / "out")
    with tempfile.TemporaryDirectory(dir=home.room("copies"), prefix=".series-") as name:
        copy = Path(name)
        home.copy(kernel.source, copy / "source", "-al")
        shutil.copytree(kernel.build, copy / "build", symlinks=True)
        for mail in done.mails[1:]:
            # git replaces the files that it changes, so the links to the original's are not written through.
            subprocess.run(
                ["git", "apply", "-p1", str(tmp_path / "out" / mail)],
                cwd=copy / "source",
                check=True,
                env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(copy)},
            )
            make(kernel, copy, "olddefconfig")
            said = make(kernel, copy, "rust/kernel.o")
            assert "warning" not in said, f"{mail}:\n{said}"
        said = make(kernel, copy, f"CONFIG_{done.symbol}=m", f"{done.driver}/")
        assert "warning" not in said, said
        assert (copy / "build" / done.driver / "e1000_rust.o").is_file()
        add_layout(kernel, copy / "source" / done.driver)
        make(kernel, copy, f"CONFIG_{done.symbol}=m", f"{done.driver}/")
    assert not (kernel.source / done.driver).exists()
