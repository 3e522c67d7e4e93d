# SPDX-License-Identifier: MIT
"""Modules that a kernel comes with, such as the C driver that a Rust one is to replace."""

from __future__ import annotations

from r4l import home
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.kernel.modules import ModuleTree
from r4l.module.modinfo import BuiltModule


def shipped(kernel: Kernel, name: str) -> BuiltModule:
    """Return a module of the kernel's own packages, as a file that `insmod` takes.

    Raises:
        UsageError: the kernel has no module of that name, has it built in, or the module needs others.
    """
    tree = ModuleTree(kernel.modules, kernel.toolchain)
    paths = tree.resolve([name])
    if len(paths) != 1:
        why = f"needs {len(paths) - 1} others" if paths else "is built into the kernel"
        raise UsageError(f"{name} {why}: it cannot be loaded by itself", "use the marker's `modules=` and modprobe")
    data = tree.content(paths[0])
    final = home.room("shipped") / home.content_key(data) / f"{name.replace('-', '_')}.ko"
    with home.lock(f"shipped-{final.parent.name}"):
        if not final.exists():
            partial = home.temporary(final)
            partial.write_bytes(data)
            home.publish(partial, final)
    return BuiltModule(final)
