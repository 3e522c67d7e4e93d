# SPDX-License-Identifier: MIT
"""Regenerate the Rust metadata that Debian's header packages lack.

With the packaged configuration and Module.symvers in a build folder, the kernel's own Makefile makes the .rmeta files,
the proc-macro libraries, bindings and target.json, using the same compiler that built the kernel.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from r4l import home, limits
from r4l.errors import BuildError, EnvironmentFault
from r4l.kernel import kbuild, unfinished
from r4l.kernel.config import read_config
from r4l.kernel.kdir import rustc_version
from r4l.kernel.proof import Proof, prove
from r4l.process import Say, quiet
from r4l.toolchain import Grant, Toolchain

TARGETS = ("prepare", "modules_prepare")
"""Targets of make. Without `modules_prepare`, scripts/module.lds is missing and no module links."""

PACKAGED = (".config", "Module.symvers", ".kernelvariables")
"""Files of the header package that the build folder begins with.

Debian's Makefile reads .kernelvariables. It sets the compiler's name and the release of Debian's own build, here and in
every later `make -C KDIR M=...`, including the user's own.
"""

CONFIGURED = ("include/config/auto.conf", "include/generated/autoconf.h", "include/generated/rustc_cfg")
"""Files that make writes from `.config`, as the header package has them. They are those of the kernel that will run,
whatever the tools of this machine support, and make need not evaluate Kconfig."""
SETTLED = "include/config/auto.conf.cmd"
"""File whose absence has make evaluate Kconfig (the kernel's top Makefile)."""

RUSTC = "scripts/rustc-metadata"
"""Program that make calls as rustc for the metadata, in the build folder."""
RUSTC_SCRIPT = """\
#!/bin/sh
# syn parses Rust for procedural macros. To optimise it takes a fifth of the time that the metadata take, and it
# speeds nothing up: the crate kernel compiles in the same time.
case " $* " in *" --crate-name syn "*) set -- "$@" -Copt-level=0 ;; esac
exec rustc "$@"
"""

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
        EnvironmentFault: another rustc built the kernel, the metadata does not fit it, or the disk is full.
    """
    _require_rustc(packaged, toolchain)
    build.mkdir(parents=True, exist_ok=True)
    home.require_space(build, NEEDED_MIB, "the kernel's Rust metadata")
    for name in PACKAGED:
        _place(packaged / name, build / name)
    targets = TARGETS if _is_configured(packaged, build) else ("olddefconfig", *TARGETS)
    rustc = build / RUSTC
    if not rustc.exists():
        rustc.parent.mkdir(exist_ok=True)
        partial = home.temporary(rustc)
        partial.write_text(RUSTC_SCRIPT, encoding="utf-8")
        partial.chmod(0o755)
        home.publish(partial, rustc)
    log = home.room("logs") / f"metadata-{build.parent.name}.log"
    log.unlink(missing_ok=True)
    grant = Grant("kernel: metadata", writes=(build,), reads=(source,), limits=limits.kernel())
    mark = build.with_name(f"{build.name}.unfinished")
    unfinished.forget(mark, [build], all_made=False)
    with unfinished.noted(mark):
        toolchain.run_logged(
            ["make", "-C", source, f"O={build}", f"-j{jobs}", f"RUSTC={rustc}", *make_arguments, *targets],
            grant,
            log,
            lambda code, tail: (
                _without_rust(build, toolchain, grant)
                or BuildError(
                    f"the kernel's Rust metadata did not build (make ended with {code})",
                    "run `r4l setup` again; if it fails again, remove the folder and run `r4l doctor`",
                    detail=tail,
                )
            ),
            say=say,
        )
    if read_config(build / ".config").get("CONFIG_RUST") != "y":
        raise _without_rust(build, toolchain, grant) or BuildError(
            "the kernel's configuration dropped CONFIG_RUST, though the toolchain has what Rust needs",
            "use another kernel: see `r4l kernel list --available`",
        )
    proof = prove(build, packaged / "Module.symvers")
    if not proof.holds:
        example = f", first {proof.missing[0]}" if proof.missing else ""
        raise EnvironmentFault(
            f"the regenerated Rust metadata does not fit the packaged kernel: {proof}{example}",
            f"it was built by another compiler than rustc {toolchain.packages.get('rustc')}; use another kernel",
        )
    return proof


def _without_rust(build: Path, toolchain: Toolchain, grant: Grant) -> EnvironmentFault | None:
    """Return the error for a toolchain that the kernel refuses for Rust (scripts/rust_is_available.sh), else None."""
    if not (build / "Makefile").is_file():
        # make ended before it could be asked, so for another reason.
        return None
    done = toolchain.run(["make", "-C", build, "rustavailable"], grant, check=False)
    if done.returncode == 0:
        return None
    return EnvironmentFault(
        "the toolchain cannot build Rust for this kernel",
        "compare the versions in the kernel's scripts/min-tool-version.sh with `r4l doctor`",
        detail=done.stderr.decode(errors="replace"),
    )


def _place(source: Path, target: Path) -> None:
    """Copy a file unless the build folder has it, since a new time would have make repeat what depends on it."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = home.temporary(target)
        shutil.copyfile(source, partial)
        home.publish(partial, target)


def _is_configured(packaged: Path, build: Path) -> bool:
    """Take the packaged configuration as evaluated; False if the package lacks a part of it, or make needs `conf`."""
    if not all((packaged / name).is_file() for name in CONFIGURED) or not (build / kbuild.CONF).is_file():
        return False
    for name in CONFIGURED:
        _place(packaged / name, build / name)
    if not (build / SETTLED).exists():
        (build / SETTLED).touch()
    return True


def _require_rustc(packaged: Path, toolchain: Toolchain) -> None:
    """Refuse a kernel that another rustc built, before minutes of work on metadata that cannot fit.

    A suite's rustc may be newer than its kernel's, until the kernel is built again.

    Raises:
        EnvironmentFault: the versions differ.
    """
    theirs = read_config(packaged / ".config").get("CONFIG_RUSTC_VERSION_TEXT")
    ours = rustc_version(toolchain) if theirs else ""
    if theirs and ours and theirs != ours:
        raise EnvironmentFault(
            f"the kernel was built by {theirs}, and the toolchain has {ours}: no Rust metadata can fit",
            "use another kernel, or newer ones of both: `r4l setup --kernel NAME --update`",
        )
