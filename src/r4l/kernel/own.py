# SPDX-License-Identifier: MIT
"""Kernels built from source: a profile, with the user's fragments applied to it.

Each has a name and a folder `builds/NAME-ARCH` in the home, which make keeps up to date: a changed fragment or file
costs only its own rebuild. The manifest names the recipe of the build; it is removed while make runs.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r4l import home, inuse
from r4l.arch import Architecture, architecture
from r4l.errors import BuildError, EnvironmentFault, R4LError, UsageError
from r4l.kernel import debian, kconfig, manifest
from r4l.kernel.config import read_config
from r4l.kernel.make import kernel_make
from r4l.kernel.manifest import MANIFEST
from r4l.kernel.model import Kernel
from r4l.kernel.profile import Profile, profile, profiles
from r4l.kernel.recipe import Recipe
from r4l.kernel.release import require_release
from r4l.paths import require_text
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain

KEYS = ("name", "release", "version", "arch", "source", "recipe", "steps", "toolchain")
"""Keys that a manifest must have."""
TOOLS = "tools"
"""File beside a build folder that names the toolchain of its content, from the begin of the build on."""
UNFINISHED = "unfinished"
"""File beside a build folder that exists while make runs."""
CONFIGURED = "r4l-recipe"
"""File in a build folder with the key of the recipe that its `.config` was made from."""

NEEDED_MIB = 1500


def build(wanted: Recipe, toolchain: Toolchain, say: Say = quiet, *, again: bool = False) -> Kernel:
    """Return the kernel of a recipe, building it or continuing its build if needed.

    Args:
        again: run make even if the recipe is unchanged, for a source tree under development.

    Raises:
        BuildError: the build failed.
        UsageError: a fragment of the user has an option that the kernel lacks, or a value of the wrong type.
        EnvironmentFault: the source is gone, the disk has not enough space, or another process uses the kernel of that
            name, which would have to be replaced.
    """
    if not wanted.source.is_dir():
        raise EnvironmentFault(
            f"the source of the kernel {wanted.name} is gone: {wanted.source}",
            f"bring it back, or give another: `r4l kernel build {wanted.profile.name} --name {wanted.name} --kdir …`",
        )
    folder = wanted.folder
    arch = architecture(wanted.arch)
    with home.lock(f"build-{folder.name}"):
        key = wanted.key(toolchain)
        known = manifest.read(folder, *KEYS)
        toolchain = toolchain.extended(*arch.extras, say=say)
        same = known is not None and known["recipe"] == key and manifest.fits(known, toolchain)
        if same and again and not _has_other_inputs(wanted) and inuse.by_others(folder):
            say(f"left as it is: {inuse.by_whom(folder)}")
            again = False
        if known and same and not again:
            kernel = _load(folder, known, toolchain)
            _hold(kernel)
            return kernel
        home.require_space(folder.parent, NEEDED_MIB, "a kernel build")
        for name, text in wanted.fragments:
            kconfig.require_known(text, name, wanted.source)
        steps = _steps_before(folder, wanted.profile)
        before = _configuration(folder)
        remedy = (
            f"wait until that has ended, or give the new one a name: `r4l kernel build {wanted.profile.name} --name …`"
        )
        with inuse.withdrawn(folder, f"the kernel {wanted.name}", remedy):
            # Without a manifest, no other process begins to use it.
            (folder / MANIFEST).unlink(missing_ok=True)
        _renew(folder, known, toolchain, say)
        home.settle_times(folder / "build")
        if not (folder / "build/.config").exists():
            _seed(wanted, folder, toolchain, say)
        try:
            dropped = _configure(wanted, folder, key, arch, toolchain, say)
        except UsageError:
            # Nothing but the configuration has changed so far: the kernel of that name stays.
            if known and manifest.fits(known, toolchain):
                for path, (content, time) in before.items():
                    home.replace_bytes(path, content)
                    os.utime(path, ns=(time, time))
                manifest.write(folder, known)
            raise
        count = _compile(wanted, folder, arch, toolchain, steps, say)
        release = require_release(
            folder / "build", "correct CONFIG_LOCALVERSION, or the version in the source's Makefile"
        )
        data: dict[str, Any] = {
            "name": wanted.name,
            "release": release,
            "version": wanted.origin,
            "arch": wanted.arch,
            "origin": "source",
            "profile": wanted.profile.name,
            "source": str(wanted.source),
            "recipe": key,
            "built": _interface(folder / "build"),
            "fragments": [list(fragment) for fragment in wanted.fragments],
            "steps": max(count, steps),
            "dropped": kconfig.as_data(dropped),
            **manifest.tools_of(toolchain),
        }
        manifest.write(folder, data)
        kernel = _load(folder, data, toolchain)
        _hold(kernel)
        return kernel


def _has_other_inputs(wanted: Recipe) -> bool:
    """True if a kernel may have changed although its recipe has not: its source is the user's own, or its
    configuration was changed by menuconfig."""
    if not wanted.source.is_relative_to(home.room("kernels")):
        return True
    config, used = wanted.folder / "build/.config", wanted.folder / "build/include/config/auto.conf"
    try:
        return config.stat().st_mtime_ns > used.stat().st_mtime_ns
    except FileNotFoundError:
        return True


def _load(folder: Path, data: dict[str, Any], toolchain: Toolchain) -> Kernel:
    arch = architecture(data["arch"])
    image = folder / "build" / arch.built
    return Kernel(
        release=data["release"],
        version=" ".join(filter(None, (data["version"], data["recipe"], data.get("built")))),
        arch=data["arch"],
        build=folder / "build",
        source=Path(data["source"]),
        image=image,
        vmlinux=folder / "build/vmlinux" if arch.direct == "pvh" else image,
        modules=folder / "modules/lib/modules" / data["release"],
        toolchain=toolchain.there(*arch.extras) or toolchain.extended(*arch.extras),
        manifest=data,
        make_arguments=make_arguments(arch),
        name=data["name"],
    )


def _interface(build_folder: Path) -> str:
    """Return a key of what modules see of a kernel. It changes with the source although the recipe stays the same."""
    parts = [build_folder / name for name in ("Module.symvers", ".config")]
    return home.content_key(*(part for part in parts if part.is_file()))


def make_arguments(arch: Architecture) -> tuple[str, ...]:
    """Return the arguments for each make of such a kernel and of its modules."""
    return ("LLVM=1", f"ARCH={arch.kbuild}")


def _manifests() -> list[tuple[Path, dict[str, Any]]]:
    """Return folder and manifest of every complete kernel from source."""
    folders = sorted(home.room("builds").glob("[a-z]*"))
    return [(folder, data) for folder in folders if (data := manifest.read(folder, *KEYS))]


def all_ready(toolchain: Toolchain) -> list[Kernel]:
    """Return every kernel from source that is complete and not stale."""
    return [_load(folder, data, toolchain) for folder, data in _manifests() if not why_stale(data, toolchain)]


def all_stale(toolchain: Toolchain) -> list[tuple[str, str, str]]:
    """Return name, architecture and reason for every kernel from source that is complete but stale."""
    reasons = [(data["name"], data["arch"], why_stale(data, toolchain)) for _folder, data in _manifests()]
    return [entry for entry in reasons if entry[2]]


def ready(name: str, arch: str, toolchain: Toolchain) -> Kernel | None:
    """Return the kernel of that name, or None if it is incomplete or stale."""
    folder = home.room("builds") / f"{name}-{arch}"
    data = manifest.read(folder, *KEYS)
    if not data or why_stale(data, toolchain):
        return None
    kernel = _load(folder, data, toolchain)
    # Another process may have withdrawn it before it was held.
    return kernel if _hold(kernel) and manifest.read(folder, *KEYS) == data else None


def _hold(kernel: Kernel) -> bool:
    """Mark a kernel as used by this process; False if another process has just removed it or its source."""
    places = [kernel.build.parent, kernel.toolchain.root]
    if kernel.source.is_relative_to(home.room("kernels")):
        places.append(kernel.source.parent)
    return all(map(inuse.hold, places))


def why_stale(data: Mapping[str, Any], toolchain: Toolchain) -> str:
    """Return the reason why a new build would differ from the one in this manifest; empty if it would not."""
    tools = toolchain.there(*architecture(data["arch"]).extras)
    if tools is None or not manifest.fits(data, tools):
        return "it was built with other compilers than those in force"
    if not Path(data["source"]).is_dir():
        return f"its source {data['source']} is gone"
    known = _recorded(data)
    if known and known.key(toolchain) != data["recipe"]:
        return f"the profile {known.profile.name} has changed since it was built"
    wanted = toolchain.lock.kernel_version if toolchain.lock else ""
    if wanted and wanted != data["version"] and Path(data["source"]).is_relative_to(home.room("kernels")):
        return f"its source is {data['version']}, and the lock file names {wanted}"
    return ""


def recorded(name: str, arch: str) -> Recipe | None:
    """Return the recipe of the kernel of that name; None if its manifest does not contain it."""
    data = manifest.read(home.room("builds") / f"{name}-{arch}", *KEYS)
    return _recorded(data) if data else None


def can_be_built_again(name: str, arch: str) -> bool:
    """Return False if the source of the kernel of that name was a folder of the user's and is gone."""
    recipe = recorded(name, arch)
    return recipe is None or recipe.source.is_dir() or recipe.source.is_relative_to(home.home())


def _recorded(data: Mapping[str, Any]) -> Recipe | None:
    # Old manifests lack the key `fragments`; a kernel with the name of its profile has none.
    fragments = data.get("fragments", [] if data.get("profile") == data["name"] else None)
    if fragments is None or data["profile"] not in profiles():
        return None
    texts = tuple((name, text) for name, text in fragments)
    return Recipe(
        data["name"], profile(data["profile"]), Path(data["source"]), data["version"], data["arch"], fragments=texts
    )


def _seed(wanted: Recipe, folder: Path, toolchain: Toolchain, say: Say) -> None:
    """Start from a copy of a similar kernel's build, so that make only builds the differences."""
    near = [wanted.profile.seed] if wanted.name == wanted.profile.name else [wanted.profile.name, wanted.profile.seed]
    for name in near:
        if name and _copy_build(wanted, home.room("builds") / f"{name}-{wanted.arch}", folder, toolchain):
            say(f"started from the kernel {name}")
            return


def _copy_build(wanted: Recipe, other: Path, folder: Path, toolchain: Toolchain) -> bool:
    """Copy another kernel's build if it is complete and has the same source and toolchain; return True if it was
    copied."""
    with home.lock(f"build-{other.name}"):
        data = manifest.read(other, *KEYS)
        if data is None:
            return False
        if data["source"] != str(wanted.source) or not manifest.fits(data, toolchain):
            return False
        partial = home.temporary(folder / "build")
        # The copy keeps time stamps, which make compares.
        home.copy(other / "build", partial)
        (partial / CONFIGURED).unlink(missing_ok=True)
        home.publish(partial, folder / "build")
        return True


def _renew(folder: Path, known: Mapping[str, Any] | None, toolchain: Toolchain, say: Say) -> None:
    """Remove all of a build but its configuration if other compilers made it.

    make only compares the versions that compilers print, and two builds of one version can differ.
    """
    mark = folder / TOOLS
    build_folder = folder / "build"
    if mark.exists():
        same = mark.read_text(encoding="utf-8") == toolchain.identity
    else:
        same = known is None or manifest.fits(known, toolchain)
    if not same and build_folder.exists():
        say("its compilers have changed: building it again")
        (folder / MANIFEST).unlink(missing_ok=True)
        partial = home.temporary(build_folder)
        partial.mkdir()
        for name in (".config", CONFIGURED):
            if (build_folder / name).exists():
                shutil.copy2(build_folder / name, partial)
        home.publish(partial, build_folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(toolchain.identity, encoding="utf-8")


def _configuration(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Return content and time of modification (ns) of the files in a kernel's folder that configure it."""
    paths = [folder / "build" / name for name in (".config", CONFIGURED)]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths if path.is_file()}


def _configure(
    wanted: Recipe, folder: Path, key: str, arch: Architecture, toolchain: Toolchain, say: Say
) -> list[kconfig.Dropped]:
    """Write `.config` unless it was made from this recipe already; changes by menuconfig are then kept."""
    build_folder = folder / "build"
    build_folder.mkdir(parents=True, exist_ok=True)
    mark = build_folder / CONFIGURED
    # Old builds recorded the key of the whole recipe.
    ours = (wanted.configuration, key)
    if not (mark.exists() and mark.read_text(encoding="utf-8") in ours and (build_folder / ".config").exists()):
        mark.unlink(missing_ok=True)
        say("configuring")
        _make(wanted, folder, arch, toolchain, [wanted.profile.base], quiet)
        # Later lines win.
        config = build_folder / ".config"
        asked = require_text(config, "surrogateescape") + wanted.whole_text()
        home.replace_text(config, asked)
        said = _make(wanted, folder, arch, toolchain, ["olddefconfig"], quiet)
        kconfig.require_types(said, asked, ", ".join(name for name, _ in wanted.fragments) or wanted.profile.name)
    # Options set by menuconfig are not in the fragments and not checked here.
    dropped = kconfig.why_dropped(wanted.wanted(), build_folder, wanted.source, arch, toolchain)
    home.replace_text(mark, wanted.configuration)
    return dropped


def _compile(wanted: Recipe, folder: Path, arch: Architecture, toolchain: Toolchain, steps: int, say: Say) -> int:
    """Run make for all targets; return its number of steps."""
    config = read_config(folder / "build/.config")
    if config.get("CONFIG_RUST") != "y":
        say("this kernel has no Rust")
    count = 0

    def progress(line: str) -> None:
        nonlocal count
        if re.match(r"  [A-Z]", line):
            count += 1
            say(f"{min(99, 100 * count // steps):>2} % {line.strip()}")

    _make(wanted, folder, arch, toolchain, ["all"], progress)
    # Remove the old folder: modules that no longer exist must not stay.
    target = folder / "modules"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    install = [f"INSTALL_MOD_PATH={target}", "INSTALL_MOD_STRIP=1", "modules_install"]
    _make(wanted, folder, arch, toolchain, install, quiet, writes=[target])
    return count


def _steps_before(folder: Path, of: Profile) -> int:
    """Return the number of steps of a full build: that of the last build, or the profile's estimate."""
    data = manifest.read(folder, *KEYS)
    return int(data["steps"]) if data else of.steps


def _make(
    wanted: Recipe,
    folder: Path,
    arch: Architecture,
    toolchain: Toolchain,
    targets: Sequence[str],
    say: Say,
    *,
    writes: Sequence[Path] = (),
) -> str:
    """Run the kernel's make; return its output."""
    log = home.room("logs") / f"build-{folder.name}.log"

    def failure(_code: int, tail: str) -> R4LError:
        if "is not clean, please run" in tail:
            return UsageError(
                f"{wanted.source} is configured or built in place, so it cannot be built into another folder",
                f"build it in place: `r4l kernel build --kdir {wanted.source}`, or clean it: `make mrproper` there",
                detail=tail,
            )
        return BuildError(f"the kernel {wanted.name} does not build", "correct the errors shown", detail=tail)

    arguments = [*make_arguments(arch), *targets]
    mark = folder / UNFINISHED
    return kernel_make(
        toolchain, wanted.source, folder / "build", arguments, log, failure, say, writes=writes, mark=mark
    )


def names() -> list[str]:
    """Return the names for `--kernel` besides releases and paths."""
    built = {path.parent.name.rpartition("-")[0] for path in home.room("builds").glob(f"[a-z]*/{MANIFEST}")}
    given = (*debian.names(), *profiles())
    return [*given, *sorted(built.difference(given))]
