# SPDX-License-Identifier: MIT
"""Set up everything up to a ready kernel, running independent stages in parallel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.errors import UsageError
from r4l.kernel import Kernel, debian, named, own, stock
from r4l.kernel import recipe as recipes
from r4l.kernel.debian import is_debian
from r4l.kernel.profile import profiles
from r4l.rootfs import disk
from r4l.stages import Stages, side_by_side
from r4l.toolchain import Toolchain, extras_of, lock_of, read_lock

LOCK = "lock.json"
"""File of the home with the versions in force, for `r4l setup --lock`."""


def set_up(
    stages: Stages,
    name: str | None = None,
    *,
    arch: str = DEFAULT,
    lock_file: Path | None = None,
    update: bool = False,
) -> Kernel:
    """Make the toolchain and a kernel ready, using existing parts.

    Args:
        name: of the kernel: `stock` (or None), a Debian release, flavour or suite, a profile, the name of a built
            kernel, or the path of a build folder.
        arch: the guest's architecture.
        lock_file: install these versions; they stay in force until another setup with a lock or an update.
        update: look for newer packages and kernels.

    Raises:
        EnvironmentFault, UsageError, BuildError: as for `Toolchain.get` and `named.get`.
    """
    arch = architecture(arch).name
    made = None if update else Toolchain.made()
    lock = read_lock(lock_file) if lock_file else made.lock if made else None
    if lock_file and debian.suite_named(name):
        raise UsageError(
            f"a lock file does not hold versions of Debian's {name}",
            f"leave it out: the packages of {name} are the newest ones",
        )
    debians = is_debian(name or "stock")
    # A kernel from source uses the source package of the default architecture.
    source = name if debians and name != "stock" else None
    release, version = stock.locked(lock, arch if debians else DEFAULT, source)
    wanted = (release if debians else name) or "stock"
    if not update and lock_file is None:
        ready = named.ready(wanted, arch=arch)
        if ready:
            return ready
    if not debians and wanted not in profiles():
        with stages.stage("toolchain (Debian tree)") as say:
            Toolchain.get(say, lock_file=lock_file, update=update)
        return named.get(wanted, arch=arch)

    def make_toolchain() -> Toolchain:
        with stages.stage("toolchain (Debian tree)") as say:
            toolchain = Toolchain.get(say, lock_file=lock_file, update=update, suite=debian.suite_named(name))
            return toolchain.extended(*architecture(arch).extras, say=say)

    def fetch_kernel() -> tuple[Path, debian.PackagedKernel]:
        with stages.stage("kernel packages") as say:
            return stock.fetch(release, arch if debians else DEFAULT, say, update=update, version=version)

    toolchain, fetched = side_by_side(make_toolchain, fetch_kernel)
    assert isinstance(toolchain, Toolchain)
    assert isinstance(fetched, tuple)
    folder, found = fetched
    if found.suite and not toolchain.suite:
        # Only the lists told that the release is of another suite.
        with stages.stage(f"toolchain (Debian {found.suite})") as say:
            toolchain = Toolchain.get(say, update=update, suite=found.suite).extended(
                *architecture(arch).extras, say=say
            )
    if debians:
        with stages.stage("kernel Rust metadata") as say:
            ready = stock.prepare(folder, found, arch, toolchain, say)
        # Only the default architecture's kernel is locked; the packages of the others have the same versions.
        if arch == DEFAULT and not found.suite:
            write_lock(ready)
        return ready
    with stages.stage(f"building kernel {wanted}") as say:
        return own.build(recipes.recipe(wanted, folder / "source", found.version, arch=arch), toolchain, say)


def lock_file_of(kernel: Kernel) -> Path | None:
    """Return the file with the versions in force, if the kernel was made by that toolchain."""
    file = home.home() / LOCK
    return file if file.is_file() and not kernel.toolchain.suite else None


def note_extras(kernel: Kernel) -> None:
    """Add the versions of extras and disk images that were made since to the home's lock file, if it is that of the
    kernel's toolchain."""
    if not (file := lock_file_of(kernel)):
        return
    toolchain = Toolchain.made() or kernel.toolchain
    with home.lock("lock-file"):
        data = json.loads(file.read_text(encoding="utf-8"))
        now = {"extras": extras_of(toolchain), "images": disk.versions_of(toolchain)}
        known = {name: dict(sorted({**data.get(name, {}), **more}.items())) for name, more in now.items()}
        if data["packages"] == toolchain.packages and data != {**data, **known}:
            home.replace_text(file, json.dumps({**data, **known}, indent=1) + "\n")


def write_lock(ready: Kernel) -> Path:
    """Write the resolved versions to the home's lock file; return its path."""
    final = home.home() / LOCK
    with home.lock("lock-file"):
        partial = home.temporary(final)
        lock = lock_of(ready.toolchain, ready.release, ready.version, all_extras=True)
        data = replace(lock, images=disk.versions_of(ready.toolchain, all_images=True)).as_data()
        partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        home.publish(partial, final)
    return final
