# SPDX-License-Identifier: MIT
"""r4l, the workbench for Linux drivers in Rust.

The names in `__all__` are the public library; each is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from r4l import moved

if TYPE_CHECKING:
    __version__: str
    """Version of the package, by its metadata."""

    from r4l.errors import BootError, BuildError, EnvironmentFault, GuestTimeout, R4LError, UsageError, VerdictError
    from r4l.guest import Completed, Guest
    from r4l.kernel import Kernel
    from r4l.klog import KernelLog, Splat
    from r4l.module import BuiltModule, Module
    from r4l.net import Nic, Tap, Wire, crossover
    from r4l.rootfs import Rootfs
    from r4l.toolchain import Grant, Toolchain
    from r4l.vm import VM, Share

__all__ = [
    "VM",
    "BootError",
    "BuildError",
    "BuiltModule",
    "Completed",
    "EnvironmentFault",
    "Grant",
    "Guest",
    "GuestTimeout",
    "Kernel",
    "KernelLog",
    "Module",
    "Nic",
    "R4LError",
    "Rootfs",
    "Share",
    "Splat",
    "Tap",
    "Toolchain",
    "UsageError",
    "VerdictError",
    "Wire",
    "crossover",
]

_HOMES = {
    "r4l.errors": (
        "BootError",
        "BuildError",
        "EnvironmentFault",
        "GuestTimeout",
        "R4LError",
        "UsageError",
        "VerdictError",
    ),
    "r4l.guest": ("Completed", "Guest"),
    "r4l.kernel": ("Kernel",),
    "r4l.klog": ("KernelLog", "Splat"),
    "r4l.module": ("BuiltModule", "Module"),
    "r4l.net": ("Nic", "Tap", "Wire", "crossover"),
    "r4l.rootfs": ("Rootfs",),
    "r4l.toolchain": ("Grant", "Toolchain"),
    "r4l.vm": ("VM", "Share"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

moved.install()


def __getattr__(name: str) -> object:
    if name == "__version__":
        # pyproject.toml has it; it is not read where nobody asks.
        return importlib.import_module("importlib.metadata").version("r4l")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'r4l' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
