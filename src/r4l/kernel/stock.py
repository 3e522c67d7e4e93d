# SPDX-License-Identifier: MIT
"""Debian's kernel, unmodified: unpacked, not installed.

The Rust metadata missing from its header package are regenerated and proven to fit.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from r4l import home, inuse
from r4l.arch import DEFAULT, architecture
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import debian, kbuild, manifest, metadata
from r4l.kernel.model import Kernel
from r4l.kernel.pvh import extract_vmlinux
from r4l.process import Say, quiet
from r4l.toolchain import Archive, Grant, LockFile, Toolchain, archive_for, suites

KEYS = ("release", "version", "arch")
"""Keys that a manifest must have."""


def get(release: str | None = None, *, arch: str = DEFAULT, say: Say = quiet, update: bool = False) -> Kernel:
    """Return Debian's kernel, making it ready first if needed.

    Args:
        release: such as `7.2.12+deb13-amd64`; a flavour or a suite, such as `rt` or `sid`, for the one of it already
            set up, else its newest; None for that of the lock file in force, else as for the default flavour.
        update: look for a newer kernel.

    Raises:
        EnvironmentFault: the network, the mirror or disk space is missing, or the metadata do not fit.
        UsageError: the kernel has no Rust.
        BuildError: the metadata did not build.
    """
    if not update:
        found = ready(release, arch)
        if found:
            return found
    made = None if update else Toolchain.made()
    version = None
    if made:
        release, version = locked(made.lock, arch, release)
    folder, found_release = fetch(release, arch, say, update=update, version=version)
    toolchain = Toolchain.get(say, suite=found_release.suite).extended(*architecture(arch).extras, say=say)
    return prepare(folder, found_release, arch, toolchain, say)


def ready(release: str | None = None, arch: str = DEFAULT) -> Kernel | None:
    """Return the preferred kernel among those that are ready; None if none is. Arguments as for `get`."""
    if release is None or release in debian.names():
        made = [Toolchain.made(debian.suite_named(release))]
    else:
        made = [*Toolchain.all_made()]
    for toolchain in filter(None, made):
        wanted = locked(toolchain.lock, arch, release)[0]
        there = [kernel for kernel in all_ready(toolchain) if kernel.arch == arch]
        kernels = [kernel for kernel in there if debian.is_wanted(kernel.release, wanted)]
        found = max(kernels, key=lambda kernel: debian.preference(kernel.release), default=None)
        if found and _hold(found):
            return found
    return None


def _hold(kernel: Kernel) -> bool:
    """Mark a kernel as used by this process; False if another process has just removed it."""
    return all(map(inuse.hold, (kernel.source.parent, kernel.build.parent, kernel.toolchain.root)))


def locked(lock: LockFile | None, arch: str, release: str | None = None) -> tuple[str | None, str | None]:
    """Return release and package version of the kernel that a lock file names; without one, the release as given.

    Args:
        lock: the lock file in force; None for none.
        arch: the guest's architecture.
        release: None for the stock kernel, a flavour for that of the same version; others are not locked.
    """
    found = (
        lock.kernel_for(architecture(arch).debian) if lock and (release is None or release in debian.FLAVOURS) else ""
    )
    if not lock or not found:
        return release, None
    return debian.in_flavour(found, release) if release else found, lock.kernel_version or None


def all_ready(toolchain: Toolchain) -> list[Kernel]:
    """Return every Debian kernel that is ready with this toolchain."""
    # Require a digit first: pathlib's `*` also matches hidden names of incomplete folders.
    folders = sorted(home.room("kernels").glob(f"[0-9]*/{toolchain.key}"))
    manifests = [(folder, manifest.read(folder, *KEYS)) for folder in folders]
    return [_load(folder, data, toolchain) for folder, data in manifests if data and _is_ready(data, toolchain)]


def _is_ready(data: dict[str, Any], toolchain: Toolchain) -> bool:
    """True if all tools that built the kernel exist in the same versions."""
    tools = toolchain.there(*architecture(data["arch"]).extras)
    return tools is not None and manifest.fits(data, tools)


def _require_rust(arch: str) -> None:
    """Refuse an architecture for which no kernel of Debian's has Rust.

    Raises:
        UsageError: it is one.
    """
    reason = architecture(arch).no_stock
    if reason:
        raise UsageError(
            f"Debian's kernels for {architecture(arch).name} have no Rust: {reason}",
            "use a kernel from source: `--kernel minimal`",
        )


def fetch(
    release: str | None, arch: str, say: Say = quiet, *, update: bool = False, version: str | None = None
) -> tuple[Path, debian.PackagedKernel]:
    """Download and unpack a Debian kernel unless it exists; return its folder and its release.

    The folder contains `packages/` and `source/`. No toolchain is needed, so both can be made at the same time.

    Args:
        version: of its packages; None for the newest of that release.
    """
    _require_rust(arch)
    debian_arch, suite = architecture(arch).debian, debian.suite_named(release)
    with home.lock("archive"):
        # Require a digit first: pathlib's `*` also matches hidden names of incomplete folders.
        folders = [path.parent for path in home.room("kernels").glob(f"[0-9]*-{debian_arch}_*/packages")]
        known = [
            folder
            for folder in folders
            if debian.is_wanted(folder.name.split("_")[0], release) and debian.suite_in(folder) == suite
        ]
        named = None if release in debian.names() else release
        if known and not update and named is None:
            folder = max(known, key=lambda path: debian.preference(path.name.split("_")[0]))
            inuse.hold(folder)
            name, there = folder.name.split("_", 1)
            return folder, debian.PackagedKernel(name, there, "", suite)
        if release and version:
            folder = home.room("kernels") / f"{release}_{version}"
            if (folder / "packages").is_dir() and inuse.hold(folder):
                return folder, debian.PackagedKernel(release, version, "")
        if named is None:
            archive = archive_for(debian_arch, suite)
            archive.update(say)
            found = debian.newest(archive, debian_arch, release)
        else:
            archive, found = _find(named, debian_arch, version, say)
        folder = home.room("kernels") / found.folder
        if not (folder / "packages").is_dir():
            debian.unpack(archive, found, folder, say)
        inuse.hold(folder)
        return folder, found


def archives(debian_arch: str, say: Say = quiet) -> Iterator[tuple[str, Archive | EnvironmentFault]]:
    """Yield Debian's suites with kernels, the default one first, each with its archive, whose lists are new.

    Many mirrors do not have all suites. In the place of an archive that cannot be read stands the reason.

    Raises:
        EnvironmentFault: the archive of the default suite cannot be read.
    """
    for suite in ("", *suites()):
        archive = archive_for(debian_arch, suite)
        try:
            archive.update(say)
        except EnvironmentFault as fault:
            if not suite:
                raise
            yield suite, fault
        else:
            yield suite, archive


def _find(release: str, debian_arch: str, version: str | None, say: Say) -> tuple[Archive, debian.PackagedKernel]:
    """Return a release and the archive of its suite: the default one, or the first of the others that has it.

    Raises:
        EnvironmentFault: none has it that can be read.
    """
    faults: dict[str, EnvironmentFault] = {}
    for suite, archive in archives(debian_arch, say):
        if isinstance(archive, EnvironmentFault):
            faults[suite] = archive
        elif archive.versions(f"linux-headers-{release}"):
            return archive, dataclasses.replace(debian.find(archive, release, version), suite=suite)
    raise debian.absent(release, version, without=faults)


def prepare(folder: Path, release: debian.PackagedKernel, arch: str, toolchain: Toolchain, say: Say = quiet) -> Kernel:
    """Make an unpacked Debian kernel ready: metadata, proof, PVH image, modules.dep."""
    with home.lock(f"kernel-{folder.name}"):
        ready = folder / toolchain.key
        data = manifest.read(ready, *KEYS)
        if data and not manifest.fits(data, toolchain):
            say("its compilers have changed: making it again")
            with inuse.withdrawn(ready, f"the kernel {release.name}", "wait until that has ended"):
                home.remove(ready)
            data = None
        data = data or _make_ready(folder, release, arch, toolchain, say)
        kernel = _load(ready, data, toolchain)
        _hold(kernel)
        return kernel


def _make_ready(
    folder: Path, release: debian.PackagedKernel, arch: str, toolchain: Toolchain, say: Say
) -> dict[str, Any]:
    """Make all missing parts; return the manifest."""
    ready = folder / toolchain.key
    ready.mkdir(exist_ok=True)
    table = architecture(arch)
    packages = folder / "packages"
    modules = packages / "usr/lib/modules" / release.name
    image = modules / table.image
    if table.direct == "pvh":
        say("extracting the PVH kernel")
        partial = home.temporary(ready / "vmlinux")
        partial.write_bytes(extract_vmlinux(image, toolchain))
        home.publish(partial, ready / "vmlinux")
    if not (packages / "lib").exists():
        (packages / "lib").symlink_to("usr/lib")
    toolchain.run(
        ["depmod", "-b", packages, release.name], Grant("kernel: depmod", writes=(modules,), reads=(packages,))
    )
    packaged = packages / "usr/src" / f"linux-headers-{release.name}"
    say("building the Rust metadata")
    build = ready / "build"
    arguments = kbuild.place(packages, build, table.kbuild)
    jobs = (os.cpu_count() or 1) + 1
    proof = metadata.generate(build, folder / "source", packaged, toolchain, arguments, jobs, say)
    data: dict[str, Any] = {
        "release": release.name,
        "version": release.version,
        "arch": arch,
        "origin": "debian",
        "rust_symbols": {"exported": proof.exported, "matching": proof.total - len(proof.missing)},
        **manifest.tools_of(toolchain),
    }
    manifest.write(ready, data)
    return data


def _load(ready: Path, data: dict[str, Any], toolchain: Toolchain) -> Kernel:
    folder = ready.parent
    modules = folder / "packages/usr/lib/modules" / data["release"]
    table = architecture(data["arch"])
    image = modules / table.image
    return Kernel(
        release=data["release"],
        version=data["version"],
        arch=data["arch"],
        build=ready / "build",
        source=folder / "source",
        image=image,
        vmlinux=ready / "vmlinux" if table.direct == "pvh" else image,
        modules=modules,
        toolchain=toolchain.there(*table.extras) or toolchain.extended(*table.extras),
        manifest=data,
    )
