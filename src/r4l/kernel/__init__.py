# SPDX-License-Identifier: MIT
"""A kernel that modules build against and that boots.

The stock kernel is Debian's newest with CONFIG_RUST, unmodified: unpacked, not installed, with the Rust metadata
that its header package lacks made again and proven to fit.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from r4l import home
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import debian, metadata
from r4l.kernel.config import read_config
from r4l.kernel.pvh import extract_vmlinux
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain, archive_for

__all__ = ["Kernel"]

MANIFEST = "kernel.json"


def architecture(name: str) -> dict[str, str]:
    """The table entry of an architecture (architectures.toml).

    Raises:
        UsageError: it is not known.
    """
    table = tomllib.loads((importlib.resources.files(__package__) / "architectures.toml").read_text())
    if name not in table:
        raise UsageError(f"unknown architecture {name}", f"use one of {', '.join(table)}")
    entry: dict[str, str] = table[name]
    return entry


@dataclass(frozen=True)
class Kernel:
    """A kernel, whole and ready.

    Attributes:
        release: what `uname -r` says in the guest.
        version: the distribution's package version.
        arch: the machine, as `uname -m` says it (`x86_64`).
        build: the build folder, which modules know as KDIR.
        source: its source tree.
        image: the bzImage.
        vmlinux: the ELF inside it, which QEMU starts directly (PVH).
        modules: the folder with `kernel/` and modules.dep.
        toolchain: what it was built with, and what builds modules for it.
        manifest: everything known about it: the proof's counts, Rust symbols, sources.
        make_arguments: what every `make -C KDIR` needs for it, such as `LLVM=1`.
    """

    release: str
    version: str
    arch: str
    build: Path
    source: Path
    image: Path
    vmlinux: Path
    modules: Path
    toolchain: Toolchain
    manifest: dict[str, Any]
    make_arguments: tuple[str, ...] = ()

    @cached_property
    def config(self) -> dict[str, str]:
        """The kernel's configuration, `CONFIG_…` to value; what is not set is absent."""
        return read_config(self.build / ".config")

    @property
    def vermagic(self) -> str:
        """The version magic that a module must have: the release and VERMAGIC_STRING of include/linux/vermagic.h."""
        flags = {
            "CONFIG_SMP": "SMP",
            "CONFIG_PREEMPT_BUILD": "preempt",
            "CONFIG_PREEMPT_RT": "preempt_rt",
            "CONFIG_MODULE_UNLOAD": "mod_unload",
            "CONFIG_MODVERSIONS": "modversions",
        }
        set_flags = [flag for option, flag in flags.items() if self.config.get(option) == "y"]
        if "preempt_rt" in set_flags and "preempt" in set_flags:
            set_flags.remove("preempt")
        return " ".join([self.release, *set_flags])

    @property
    def key(self) -> str:
        """Names this kernel in cache keys."""
        return home.content_key(self.release, self.version, self.toolchain.key)

    @classmethod
    def stock(
        cls,
        release: str | None = None,
        *,
        arch: str = "x86_64",
        say: Say = quiet,
        update: bool = False,
    ) -> Kernel:
        """Debian's kernel; made ready first where it is not yet.

        Args:
            release: such as `7.2.12+deb13-amd64`; the one that was set up, or the newest, where None.
            update: look for a newer one.

        Raises:
            EnvironmentFault: network, disk or mirror; or the metadata does not fit.
            UsageError: a kernel without Rust.
            BuildError: the metadata did not build.
        """
        if not update:
            ready = cls.ready(release, arch)
            if ready:
                return ready
        folder, found = fetch(release, arch, say, update=update)
        return prepare(folder, found, arch, Toolchain.get(say), say)

    @classmethod
    def ready(cls, release: str | None = None, arch: str = "x86_64") -> Kernel | None:
        """The kernel that is ready already, None where there is none; the one to be preferred, where several are."""
        try:
            toolchain = Toolchain.existing()
        except EnvironmentFault:
            return None
        kernels = [
            kernel for kernel in cls.all_ready(toolchain) if kernel.arch == arch and release in (None, kernel.release)
        ]
        return max(kernels, key=lambda kernel: debian.preference(kernel.release), default=None)

    @classmethod
    def all_ready(cls, toolchain: Toolchain) -> list[Kernel]:
        """Every kernel that is ready with this toolchain."""
        manifests = sorted(home.room("kernels").glob(f"[0-9]*/{toolchain.key}/{MANIFEST}"))
        return [_load(manifest.parent, json.loads(manifest.read_text()), toolchain) for manifest in manifests]


def fetch(release: str | None, arch: str, say: Say = quiet, *, update: bool = False) -> tuple[Path, debian.Release]:
    """Download and unpack a Debian kernel, if it is not there; needs no toolchain, so it can run beside its making.

    Returns:
        Its folder, with `packages/` and `source/`, and what it is.
    """
    debian_arch = architecture(arch)["debian"]
    archive = archive_for(debian_arch)
    with home.lock("archive"):
        # A digit first: pathlib's `*` would also match the hidden names of what is not whole.
        known = [path.parent for path in home.room("kernels").glob(f"[0-9]*-{debian_arch}_*/packages")]
        if known and not update and release is None:
            folder = max(known, key=lambda path: debian.preference(path.name.split("_")[0]))
            name, version = folder.name.split("_", 1)
            return folder, debian.Release(name, version, "")
        archive.update(say)
        found = debian.find(archive, release) if release else debian.newest(archive, debian_arch)
        folder = home.room("kernels") / found.folder
        if not (folder / "packages").is_dir():
            debian.unpack(archive, found, folder, say)
        return folder, found


def prepare(folder: Path, release: debian.Release, arch: str, toolchain: Toolchain, say: Say = quiet) -> Kernel:
    """Make an unpacked Debian kernel ready: metadata, proof, PVH image, modules.dep."""
    with home.lock(f"kernel-{folder.name}"):
        ready = folder / toolchain.key
        manifest = ready / MANIFEST
        if not manifest.exists():
            _make_ready(folder, release, arch, toolchain, say)
        return _load(ready, json.loads(manifest.read_text()), toolchain)


def _make_ready(folder: Path, release: debian.Release, arch: str, toolchain: Toolchain, say: Say) -> None:
    ready = folder / toolchain.key
    ready.mkdir(exist_ok=True)
    table = architecture(arch)
    packages = folder / "packages"
    modules = packages / "usr/lib/modules" / release.name
    image = modules / table["image"]
    say("extracting the PVH kernel")
    partial = home.temporary(ready / "vmlinux")
    partial.write_bytes(extract_vmlinux(image, toolchain))
    home.publish(partial, ready / "vmlinux")
    if not (packages / "lib").exists():
        (packages / "lib").symlink_to("usr/lib")
    toolchain.run(["depmod", "-b", packages, release.name])
    packaged = packages / "usr/src" / f"linux-headers-{release.name}"
    say("building the Rust metadata")
    proof = metadata.generate(
        ready / "build", folder / "source", packaged, toolchain, [], jobs=(os.cpu_count() or 1) + 1, say=say
    )
    data = {
        "release": release.name,
        "version": release.version,
        "arch": arch,
        "origin": "debian",
        "rust_symbols": {"exported": proof.exported, "matching": proof.total - len(proof.missing)},
        "toolchain": toolchain.versions(),
    }
    partial = home.temporary(ready / MANIFEST)
    partial.write_text(json.dumps(data, indent=1))
    home.publish(partial, ready / MANIFEST)


def _load(ready: Path, data: dict[str, Any], toolchain: Toolchain) -> Kernel:
    folder = ready.parent
    modules = folder / "packages/usr/lib/modules" / data["release"]
    return Kernel(
        release=data["release"],
        version=data["version"],
        arch=data["arch"],
        build=ready / "build",
        source=folder / "source",
        image=modules / architecture(data["arch"])["image"],
        vmlinux=ready / "vmlinux",
        modules=modules,
        toolchain=toolchain,
        manifest=data,
    )
