# SPDX-License-Identifier: MIT
"""Programs of the kernel's build as Debian packages them, taken so that they need not be compiled.

The package linux-kbuild-* has those of its kernel's version, for the machine that builds. Its Kbuild files are not
used.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from r4l import home
from r4l.debian.archive import Archive

CONF = "scripts/kconfig/conf"
"""Program that evaluates Kconfig."""

OPTIONS = {
    "tools/objtool/objtool": "CONFIG_OBJTOOL",
    "tools/bpf/resolve_btfids/resolve_btfids": "CONFIG_DEBUG_INFO_BTF",
    CONF: None,
}
"""Programs to the options for which the target `prepare` makes them (the kernel's top Makefile); None: it does not."""


def package(archive: Archive, version: str) -> dict[str, str]:
    """Return name and version of the package of a kernel's version; empty if the archive has none.

    Args:
        archive: of the machine that builds.
        version: Debian's version of the kernel's packages.
    """
    names = [name for name in archive.names("linux-kbuild-") if version in archive.versions(name)]
    return dict.fromkeys(names[:1], version)


def place(packages: Path, build: Path, architecture: str) -> list[str]:
    """Copy the programs into a build folder; return the arguments by which make does not make them.

    Only this call of make sees the options as unset: what it configures and what it compiles for modules are the same.
    Programs that the package lacks are left to make.

    Args:
        packages: the kernel's unpacked packages.
        build: the build folder (KDIR).
        architecture: the kernel's name of it (`ARCH=`).
    """
    arguments = []
    for program, option in OPTIONS.items():
        found = _find(packages, program, architecture)
        if found:
            target = build / program
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = home.temporary(target)
            shutil.copy(found, partial)
            home.publish(partial, target)
            arguments += [f"{option}="] if option else []
    return arguments


def _find(packages: Path, program: str, architecture: str) -> Path | None:
    """Return a program as packaged. Of objtool there is one for each architecture, and a wrapper that chooses."""
    path = Path(program)
    for folder in packages.glob(f"usr/lib/linux-kbuild-*/{path.parent}"):
        name = f"{path.name}.real-{architecture}" if list(folder.glob(f"{path.name}.real-*")) else path.name
        if (folder / name).is_file():
            return folder / name
    return None
