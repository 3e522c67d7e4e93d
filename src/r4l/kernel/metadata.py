# SPDX-License-Identifier: MIT
"""Regenerate the Rust metadata that Debian's header packages lack.

With the packaged `.config` and Module.symvers in a build folder, the kernel's own Makefile makes the .rmeta files, the
proc-macro libraries, bindings and target.json, using the same compiler that built the kernel.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from r4l import home, limits
from r4l.errors import BuildError, EnvironmentFault
from r4l.kernel.config import read_config
from r4l.kernel.proof import Proof, prove
from r4l.process import Say, quiet
from r4l.toolchain import Grant, Toolchain

TARGETS = ("olddefconfig", "prepare", "modules_prepare")
"""Targets of make. Without `modules_prepare`, scripts/module.lds is missing and no module links."""

NEEDED_MIB = 400


def generate(
    build: Path,
    source: Path,
    packaged: Path,
    toolchain: Toolchain,
    make_arguments: Sequence[str],
    jobs: int,
    say: Say = quiet,
) -> Proof:
    """Fill a build folder (KDIR). make continues after an interrupt.

    Args:
        build: the folder at its final path, since Kbuild writes absolute paths.
        packaged: `usr/src/linux-headers-*` of the unpacked package.

    Raises:
        BuildError: make failed.
        EnvironmentFault: the metadata does not fit the kernel, or the disk is full.
    """
    build.mkdir(parents=True, exist_ok=True)
    home.require_space(build, NEEDED_MIB, "the kernel's Rust metadata")
    for name in (".config", "Module.symvers", ".kernelvariables"):
        if not (build / name).exists():
            shutil.copyfile(packaged / name, build / f"{name}.partial")
            (build / f"{name}.partial").rename(build / name)
    # Debian's Makefile reads .kernelvariables. It sets the compiler's name and the release of Debian's own build, here
    # and in every later `make -C KDIR M=...`, including the user's own.
    log = home.room("logs") / f"metadata-{build.parent.name}.log"
    log.unlink(missing_ok=True)
    grant = Grant("kernel: metadata", writes=(build,), reads=(source,), limits=limits.kernel())
    toolchain.run_logged(
        ["make", "-C", source, f"O={build}", f"-j{jobs}", *make_arguments, *TARGETS],
        grant,
        log,
        lambda code, tail: BuildError(
            f"the kernel's Rust metadata did not build (make ended with {code})",
            "run `r4l setup` again; if it fails again, remove the folder and run `r4l doctor`",
            detail=tail,
        ),
        say=say,
    )
    if read_config(build / ".config").get("CONFIG_RUST") != "y":
        done = toolchain.run(["make", "-C", build, "rustavailable"], grant, check=False)
        raise EnvironmentFault(
            "the toolchain cannot build Rust for this kernel, so its configuration dropped CONFIG_RUST",
            "compare the versions in the kernel's scripts/min-tool-version.sh with `r4l doctor`",
            detail=done.stderr.decode(errors="replace"),
        )
    proof = prove(build, packaged / "Module.symvers")
    if not proof.holds:
        example = f", first {proof.missing[0]}" if proof.missing else ""
        raise EnvironmentFault(
            f"the regenerated Rust metadata does not fit the packaged kernel: {proof}{example}",
            f"it was built by another compiler than rustc {toolchain.packages.get('rustc')}; use another kernel",
        )
    return proof
