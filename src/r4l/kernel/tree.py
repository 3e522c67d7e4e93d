# SPDX-License-Identifier: MIT
"""The user's own kernel tree: what it is, and the kernel in it as it is.

A folder is a source tree (clean, or configured and built inside itself) or a build folder (`make O=`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.arch import Architecture, architectures
from r4l.errors import BuildError, R4LError, UsageError
from r4l.kernel.config import read_config
from r4l.kernel.kdir import explain_kdir
from r4l.kernel.make import kernel_make
from r4l.kernel.model import Kernel
from r4l.paths import require_for_make
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain

VERSION = re.compile(r"^VERSION = \d+$", re.MULTILINE)
HALF_BUILT = "finish it: `r4l kernel build --kdir {}`"


@dataclass(frozen=True)
class Tree:
    """A kernel tree.

    Attributes:
        source: where its source is.
        build: where it is or will be built; None for a clean source tree, which can be built anywhere.
    """

    source: Path
    build: Path | None


def look(folder: Path) -> Tree:
    """What a folder is.

    Raises:
        UsageError: no kernel tree.
        BuildError: a build folder that no Rust module can be built against.
    """
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "give a kernel's source tree or build folder")
    require_for_make(folder, "move the tree to another folder")
    if _is_source(folder):
        return Tree(folder, folder if (folder / ".config").exists() else None)
    source = folder / "source"
    if source.is_dir() and _is_source(source.resolve()):
        return Tree(source.resolve(), folder)
    if (folder / ".config").exists():
        # What others call a build folder, such as a distribution's package of headers.
        wrong = explain_kdir(folder)
        if wrong:
            raise BuildError(wrong.cause, wrong.remedy, known=wrong.name)
    raise UsageError(
        f"{folder} is no kernel tree: it has neither the kernel's Makefile and Kconfig nor a link `source` to them",
        "give the top of a kernel's source, or the folder of `make O=`",
    )


def _is_source(folder: Path) -> bool:
    makefile = folder / "Makefile"
    return (
        (folder / "Kconfig").is_file()
        and makefile.is_file()
        and bool(VERSION.search(makefile.read_text(encoding="utf-8")))
    )


def at(folder: Path, toolchain: Toolchain) -> Kernel:
    """The kernel that was built in a folder, as it is.

    Raises:
        UsageError: no kernel tree, or none that was configured.
        BuildError: it is not wholly built, or has no Rust metadata, or that of another compiler.
    """
    found = look(folder)
    if found.build is None:
        raise UsageError(
            f"{folder} is a kernel's source that is not configured", f"build it: `r4l kernel build --kdir {folder}`"
        )
    build = found.build
    config = read_config(build / ".config")
    arch = _architecture(config, build)
    image = build / arch.built
    release_file = build / "include/config/kernel.release"
    for needed in (release_file, image, build / "vmlinux", build / "Module.symvers", build / "scripts/module.lds"):
        if not needed.exists():
            raise BuildError(
                f"the kernel in {build} is half built: {needed.name} is missing", HALF_BUILT.format(folder)
            )
    release = release_file.read_text(encoding="utf-8").strip()
    # Without CONFIG_RUST it serves modules in C; a Rust module's build then tells why it fails.
    wrong = explain_kdir(build, toolchain) if config.get("CONFIG_RUST") == "y" else None
    if wrong:
        raise BuildError(wrong.cause, HALF_BUILT.format(build), known=wrong.name)
    installed = home.home() / "builds" / f"tree-{home.content_key(str(build))}" / "lib/modules" / release
    return Kernel(
        release=release,
        version=f"{build} {home.content_key((build / 'Module.symvers'), (build / '.config'))}",
        arch=arch.name,
        build=build,
        source=found.source,
        image=image,
        vmlinux=build / "vmlinux" if arch.direct == "pvh" else image,
        modules=installed,
        toolchain=toolchain.extended(*arch.extras),
        manifest={"name": str(folder), "release": release, "origin": "tree", "source": str(found.source)},
        make_arguments=_make_arguments(config, arch),
        name=str(build),
    )


def build_in_place(found: Tree, toolchain: Toolchain, say: Say = quiet) -> Kernel:
    """Finish the build of a tree that is configured, with the configuration that it has.

    Raises:
        BuildError: it does not build.
    """
    build = found.build
    assert build is not None
    config = read_config(build / ".config")
    arch = _architecture(config, build)
    log = home.room("logs") / f"build-tree-{home.content_key(str(build))}.log"
    log.unlink(missing_ok=True)

    def failure(_code: int, tail: str) -> R4LError:
        return BuildError(f"the kernel in {build} does not build", "mend what the compiler shows", detail=tail)

    def make(*targets: str, writes: Sequence[Path] = ()) -> None:
        arguments = [*_make_arguments(config, arch), *targets]
        kernel_make(toolchain, found.source, build, arguments, log, failure, say, writes=writes)

    make("olddefconfig")
    make("all")
    if read_config(build / ".config").get("CONFIG_MODULES") == "y":
        installed = home.room("builds", f"tree-{home.content_key(str(build))}")
        make(f"INSTALL_MOD_PATH={installed}", "INSTALL_MOD_STRIP=1", "modules_install", writes=[installed])
    return at(build, toolchain)


def _architecture(config: dict[str, str], build: Path) -> Architecture:
    for arch in architectures().values():
        if config.get(arch.option) == "y":
            return arch
    raise UsageError(
        f"the kernel in {build} is for none of the architectures that r4l knows",
        f"configure it for {' or '.join(architectures())}",
    )


def _make_arguments(config: dict[str, str], arch: Architecture) -> tuple[str, ...]:
    compiler = ("LLVM=1",) if config.get("CONFIG_CC_IS_CLANG") == "y" else (f"CROSS_COMPILE={arch.gnu}-",)
    return (*compiler, f"ARCH={arch.kbuild}")
