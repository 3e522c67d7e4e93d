# SPDX-License-Identifier: MIT
"""The layout of the initramfs: folders, the files of `skeleton/`, device nodes, busybox and its applets."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Iterator
from importlib.resources.abc import Traversable

from r4l.rootfs import cpio

FOLDERS = (
    "bin", "dev", "etc", "lib", "lib/modules", "mnt", "proc", "root", "run", "sbin", "sys", "usr", "usr/bin",
    "usr/sbin", "usr/share", "var", "var/log", "var/run",
)  # fmt: skip
EXECUTABLE = {"etc/init.d/rcS", "etc/udhcpc/default.script"}
NODES = (cpio.character("dev/console", 5, 1), cpio.character("dev/null", 1, 3, 0o666))
"""Device nodes needed before devtmpfs is mounted: init opens the console before it can mount anything."""


def base() -> list[cpio.Member]:
    """Return folders, nodes and configuration files."""
    entries = [cpio.directory(name) for name in FOLDERS]
    entries.append(cpio.directory("tmp", 0o1777))
    entries += NODES
    skeleton = importlib.resources.files(__package__) / "skeleton"
    entries += _copy(skeleton, "")
    return entries


def _copy(source: Traversable, prefix: str) -> Iterator[cpio.Member]:
    for item in sorted(source.iterdir(), key=lambda item: item.name):
        name = prefix + item.name
        if item.is_dir():
            if name not in FOLDERS:
                yield cpio.directory(name)
            yield from _copy(item, name + "/")
        else:
            yield cpio.regular(name, item.read_bytes(), 0o755 if name in EXECUTABLE else 0o644)


def busybox(program: bytes, applets: Iterable[str]) -> list[cpio.Member]:
    """Return busybox, a link for each of its applets (paths as from `busybox --list-full`), and /init."""
    links = [name for name in applets if name not in ("bin/busybox", "linuxrc")]
    entries = [cpio.regular("bin/busybox", program, 0o755)]
    entries += [cpio.symlink(name, "/bin/busybox") for name in links]
    entries.append(cpio.symlink("init", "/bin/busybox"))
    return entries


def with_parents(entries: Iterable[cpio.Member]) -> list[cpio.Member]:
    """Return the members in order, each preceded by its parent folders; the later of two with the same name wins."""
    latest: dict[str, cpio.Member] = {}
    for entry in entries:
        parts = entry.name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            latest.setdefault(name, cpio.directory(name))
        latest[entry.name] = entry
    return list(latest.values())
