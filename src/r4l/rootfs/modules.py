# SPDX-License-Identifier: MIT
"""The kernel's own modules in an initramfs, with the tables for modprobe."""

from __future__ import annotations

from collections.abc import Iterable

from r4l.kernel.modules import ModuleTree, module_name
from r4l.rootfs import cpio


def entries(tree: ModuleTree, names: Iterable[str], release: str) -> list[cpio.Member]:
    """Return the members of an initramfs that make `modprobe NAME` work for these modules."""
    paths = tree.resolve(names)
    base = f"lib/modules/{release}"
    plain = {path: path.partition(".ko")[0] + ".ko" for path in paths}
    files = [cpio.regular(f"{base}/{plain[path]}", tree.content(path)) for path in paths]
    packed = {module_name(path) for path in paths}
    dep = "".join(f"{plain[path]}:{''.join(' ' + plain[need] for need in tree.dependencies[path])}\n" for path in paths)
    alias = "".join(f"{line}\n" for line in tree.table("modules.alias") if line.split()[-1] in packed)
    builtin = "".join(f"{line}\n" for line in tree.table("modules.builtin"))
    tables = {"modules.dep": dep, "modules.alias": alias, "modules.builtin": builtin, "modules.symbols": ""}
    files += [cpio.regular(f"{base}/{name}", text.encode()) for name, text in tables.items()]
    return files
