# SPDX-License-Identifier: MIT
"""Surroundings of a build in the sandbox: the kernel where Makefiles look for it, and programs.

A Makefile looks for the kernel in `/lib/modules/$(uname -r)/build`. So `uname` tells the release of the kernel that is
built for, and that folder leads to it; `make` gives r4l's kernel and arguments to each call of Kbuild. In the place of
programs that the toolchain lacks are some that note their names, so that r4l can fetch the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from r4l import home, resources, toolchain
from r4l.kernel import Kernel
from r4l.module import repository
from r4l.module.calls import MISSING, NOTES
from r4l.toolchain import Toolchain, enter

EXTRA = "programs"
"""Extra of the toolchain with programs that Makefiles call."""
IN_THE_WAY = ("make", "uname")
"""Programs before the toolchain's own."""
PROGRAMS = Path("/run/r4l/programs")
MODULES = Path("/usr/lib/modules")
"""Folder in the sandbox with the kernels by their releases."""
KDIR_NAMES = ("KDIR", "KERNELDIR", "KERNEL_DIR", "KERNEL_SRC", "KERNEL_PATH", "KSRC", "LINUX_DIR")
"""Variables in which Makefiles expect the kernel's build folder, where they do not set them themselves."""


def environment(kernel: Kernel, folder: Path, kbuild: Iterable[str | Path]) -> dict[str, str]:
    """Return the environment of a shell in a module's folder that calls make.

    Args:
        kernel: kernel to build for.
        folder: the module's folder, which is `$(PWD)`.
        kbuild: arguments of make for each call of Kbuild.
    """
    return {
        "PWD": str(folder),
        "PATH": f"{PROGRAMS}/before:{enter.ENVIRONMENT['PATH']}:{PROGRAMS}/after",
        "R4L_CALLS": str(folder / NOTES),
        "R4L_MISSING": str(folder / MISSING),
        "R4L_FOLDER": str(folder),
        "R4L_KBUILD": "\n".join(map(str, kbuild)),
        "R4L_RELEASE": kernel.release,
        **dict.fromkeys(KDIR_NAMES, str(kernel.build)),
        **repository.ENVIRONMENT,
    }


def mounts(kernel: Kernel, folder: Path, output: Path) -> dict[Path, Path]:
    """Return the sandbox's paths with the host's files and folders to mount there, read-only.

    The git repository is among them once the build has called for programs that the toolchain lacks.

    Args:
        kernel: kernel to build for.
        folder: the module's folder.
        output: its copy; what this function makes lies beside it.
    """
    found = repository.repository_of(folder) if has_called(output) else None
    of_git = found.mounts(output.with_name(f"{output.name}.git")) if found else {}
    return {PROGRAMS: _programs(output.parent), **_by_release(kernel, output.with_name(f"{output.name}.lib")), **of_git}


def build_toolchain(kernel: Kernel, output: Path) -> Toolchain:
    """Return the toolchain for a build: with the extra, if the build has called for it and it is here."""
    plain = kernel.toolchain
    return plain.extended(EXTRA) if has_called(output) and plain.there(EXTRA) else plain


def has_called(output: Path) -> bool:
    """Return True if a build in a copy has called for programs that the toolchain lacks."""
    return _called(output).exists()


def remember_call(output: Path) -> None:
    """Give the build in a copy the programs that it called for, from now on."""
    _called(output).touch()


def _called(output: Path) -> Path:
    return output.with_name(f"{output.name}.programs")


def _by_release(kernel: Kernel, place: Path) -> dict[Path, Path]:
    point = kernel.toolchain.root / MODULES.relative_to("/")
    # A tree that is older than this folder may be another user's.
    with suppress(OSError):
        point.mkdir(exist_ok=True)
    link = place / kernel.release / "build"
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(kernel.build)
    return {MODULES: place} if point.is_dir() else {}


def _programs(place: Path) -> Path:
    """Return a folder with the programs, making it first if needed."""
    texts = {f"before/{name}": resources.text(__package__, f"programs/{name}") for name in IN_THE_WAY}
    missing = resources.text(__package__, "programs/missing")
    texts |= {f"after/{name}": missing for name in toolchain.table()["extras"][EXTRA]["programs"]}
    final = place / f"programs-{home.content_key(repr(texts))}"
    if not final.is_dir():
        with home.lock(f"module-{place.name}-{final.name}"):
            if not final.is_dir():
                partial = home.temporary(final)
                for name, text in texts.items():
                    file = partial / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text, encoding="utf-8")
                    file.chmod(0o755)
                home.publish(partial, final)
    return final
