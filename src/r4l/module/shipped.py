# SPDX-License-Identifier: MIT
"""Modules that a kernel comes with: drivers, and the modules that a driver needs."""

from __future__ import annotations

from collections.abc import Iterable

from r4l import home
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.kernel.modules import ModuleTree, module_name
from r4l.module.modinfo import BuiltModule
from r4l.module.order import in_load_order


def shipped(kernel: Kernel, name: str) -> BuiltModule:
    """Return a module of the kernel's own packages, with the modules that it needs, as files that `insmod` takes.

    Raises:
        UsageError: the kernel has no module of that name, or has it built in.
    """
    tree = ModuleTree(kernel.modules, kernel.toolchain)
    paths = tree.resolve([name])
    if not paths:
        raise UsageError(
            f"{name} is built into the kernel {kernel.release}: there is no module to load",
            "choose a kernel that has it as a module, with --kernel",
        )
    return _placed(_files(tree, paths), module_name(name))


def with_kernels_own(kernel: Kernel, module: BuiltModule) -> BuiltModule:
    """Return a module that comes from elsewhere with the kernel's own modules that it needs among its `needs`.

    A name that neither the kernel nor the module's folder has is left out: the load tells of it.
    """
    given = (*module.needs, module)
    own = {one.name for one in given}
    names = [name.replace("-", "_") for one in given for name in (*one.depends, *one.soft_depends["pre"])]
    if own.issuperset(names):
        return module
    tree = ModuleTree(kernel.modules, kernel.toolchain)
    paths = tree.resolve(name for name in names if name in tree and name not in own)
    others = _files(tree, (path for path in paths if module_name(path) not in own))
    return _placed([*others, *given], module.name)


def _placed(modules: list[BuiltModule], name: str) -> BuiltModule:
    return next(one for one in in_load_order(modules) if one.name == name)


def _files(tree: ModuleTree, paths: Iterable[str]) -> list[BuiltModule]:
    return [_file(module_name(path), tree.content(path)) for path in paths]


def _file(name: str, data: bytes) -> BuiltModule:
    final = home.room("shipped") / home.content_key(data) / f"{name}.ko"
    with home.lock(f"shipped-{final.parent.name}"):
        if not final.exists():
            partial = home.temporary(final)
            partial.write_bytes(data)
            home.publish(partial, final)
    return BuiltModule(final)
