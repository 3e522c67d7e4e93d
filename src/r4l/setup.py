# SPDX-License-Identifier: MIT
"""The whole way to a kernel that is ready, with what can run side by side run side by side."""

from __future__ import annotations

import json
from pathlib import Path

from r4l import home, kernel
from r4l.kernel import Kernel, debian
from r4l.stages import Stages, side_by_side
from r4l.toolchain import Toolchain


def set_up(
    stages: Stages,
    release: str | None = None,
    *,
    arch: str = "x86_64",
    lock_file: Path | None = None,
    update: bool = False,
) -> Kernel:
    """Make the toolchain and a Debian kernel ready; what is there already is used.

    Args:
        release: of the kernel; the newest where None.
        lock_file: replay these versions.
        update: look for newer packages and kernels.

    Raises:
        EnvironmentFault, UsageError, BuildError: as `Toolchain.get` and `Kernel.stock`.
    """
    locked = json.loads(lock_file.read_text()) if lock_file else None
    if locked:
        release = release or locked["kernel"]
    if not update and lock_file is None:
        ready = Kernel.ready(release, arch)
        if ready:
            return ready

    def make_toolchain() -> Toolchain:
        with stages.stage("toolchain (Debian tree)") as say:
            return Toolchain.get(say, lock_file=lock_file, update=update)

    def fetch_kernel() -> tuple[Path, debian.Release]:
        with stages.stage("kernel packages") as say:
            return kernel.fetch(release, arch, say, update=update)

    results = side_by_side(make_toolchain, fetch_kernel)
    toolchain, fetched = results
    assert isinstance(toolchain, Toolchain)
    assert isinstance(fetched, tuple)
    folder, found = fetched
    with stages.stage("kernel Rust metadata") as say:
        ready = kernel.prepare(folder, found, arch, toolchain, say)
    write_lock(ready)
    return ready


def write_lock(ready: Kernel) -> Path:
    """Write the resolved versions to `lock.json` in the home: what `r4l setup --lock` replays."""
    final = home.home() / "lock.json"
    with home.lock("lock-file"):
        partial = home.temporary(final)
        data = {"kernel": ready.release, "kernel_version": ready.version, "packages": ready.toolchain.packages}
        partial.write_text(json.dumps(data, indent=1) + "\n")
        home.publish(partial, final)
    return final
