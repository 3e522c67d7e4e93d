# SPDX-License-Identifier: MIT
"""The user's own kernel tree: its layout, and the kernel built in it.

A folder is a source tree (clean, or configured and built in place) or a build folder (`make O=`).
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
from r4l.kernel.release import RELEASE, require_release
from r4l.paths import followed, require_folder, require_for_make, text_or_none
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain

VERSION = re.compile(r"^VERSION = \d+$", re.MULTILINE)
HALF_BUILT = "finish it: `r4l kernel build --kdir {}`"


@dataclass(frozen=True)
class Tree:
    """A kernel tree.

    Attributes:
        source: folder of the source.
        build: folder of the build; None for a clean source tree, which can be built anywhere.
    """

    source: Path
    build: Path | None


def folders_of(folder: Path) -> Tree:
    """Return the source and build folders that a folder belongs to.

    Raises:
        UsageError: the folder is no kernel tree.
        BuildError: no Rust module can be built against the build folder.
    """
    folder = folder.expanduser().absolute()
    require_folder(folder, "give a kernel's source tree or build folder")
    # Locks and records are named by it.
    folder = followed(folder)
    require_for_make(folder, "move the tree to another folder")
    if _is_source(folder):
        return Tree(folder, folder if (folder / ".config").exists() else None)
    source = folder / "source"
    if source.is_dir() and _is_source(followed(source)):
        return Tree(followed(source), folder)
    if (folder / ".config").exists():
        # Other kinds of build folders, such as a distribution's package of headers.
        wrong = explain_kdir(folder)
        if wrong:
            raise BuildError(wrong.cause, wrong.remedy, known=wrong.name)
    raise UsageError(
        f"{folder} is not a kernel tree: it has neither the kernel's Makefile and Kconfig nor a link `source` to them",
        "give the top of a kernel's source, or the folder of `make O=`",
    )


def _is_source(folder: Path) -> bool:
    makefile = folder / "Makefile"
    return (folder / "Kconfig").is_file() and makefile.is_file() and bool(VERSION.search(text_or_none(makefile)))


def built_in(folder: Path, toolchain: Toolchain) -> Kernel:
    """Return the kernel that was built in a folder, unchanged.

    Raises:
        UsageError: the folder is no kernel tree, or not configured.
        BuildError: the kernel is not fully built, or its Rust metadata are missing or of another compiler.
    """
    found = folders_of(folder)
    if found.build is None:
        raise UsageError(
            f"the kernel's source in {folder} is not configured", f"build it: `r4l kernel build --kdir {folder}`"
        )
    build = found.build
    config = read_config(build / ".config")
    arch = _architecture(config, build)
    image = build / arch.built
    for needed in (build / RELEASE, image, build / "vmlinux", build / "Module.symvers", build / "scripts/module.lds"):
        if not needed.is_file():
            raise BuildError(
                f"the kernel in {build} is half built: {needed.name} is missing", HALF_BUILT.format(folder)
            )
    release = require_release(build, HALF_BUILT.format(folder))
    # Without CONFIG_RUST the kernel still serves modules in C; the build of a Rust module then names the cause.
    wrong = explain_kdir(build, toolchain) if config.get("CONFIG_RUST") == "y" else None
    if wrong:
        raise BuildError(wrong.cause, HALF_BUILT.format(build), known=wrong.name)
    installed = home.home() / "builds" / _entry(build) / "lib/modules" / release
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
    """Finish the build of a configured tree with its present configuration, after other processes that do so.

    Raises:
        BuildError: the build failed.
    """
    assert found.build is not None
    name = _entry(found.build)
    # A second process would take the products of the first one's make for those of a killed one, and remove them.
    with home.lock(f"build-{name}"):
        return _build_in_place(found, found.build, home.room("builds", name), toolchain, say)


def _build_in_place(found: Tree, build: Path, room: Path, toolchain: Toolchain, say: Say) -> Kernel:
    config = read_config(build / ".config")
    arch = _architecture(config, build)
    log = home.room("logs") / f"build-{room.name}.log"
    log.unlink(missing_ok=True)
    mark = room / "unfinished"

    def failure(_code: int, tail: str) -> R4LError:
        return BuildError(f"the kernel in {build} does not build", "correct the errors shown", detail=tail)

    def make(*targets: str, writes: Sequence[Path] = ()) -> None:
        arguments = [*_make_arguments(config, arch), *targets]
        kernel_make(toolchain, found.source, build, arguments, log, failure, say, writes=writes, mark=mark)

    make("olddefconfig")
    make("all")
    if read_config(build / ".config").get("CONFIG_MODULES") == "y":
        make(f"INSTALL_MOD_PATH={room}", "INSTALL_MOD_STRIP=1", "modules_install", writes=[room])
    return built_in(build, toolchain)


def _entry(build: Path) -> str:
    """Name of the folder in `builds/` of the home for a tree's modules and the state of its build."""
    return f"tree-{home.content_key(str(build))}"


def _architecture(config: dict[str, str], build: Path) -> Architecture:
    for arch in architectures().values():
        if config.get(arch.option) == "y":
            return arch
    raise UsageError(
        f"the kernel in {build} is for an architecture that r4l does not know",
        f"configure it for {' or '.join(architectures())}",
    )


def _make_arguments(config: dict[str, str], arch: Architecture) -> tuple[str, ...]:
    compiler = ("LLVM=1",) if config.get("CONFIG_CC_IS_CLANG") == "y" else (f"CROSS_COMPILE={arch.gnu}-",)
    return (*compiler, f"ARCH={arch.kbuild}")
