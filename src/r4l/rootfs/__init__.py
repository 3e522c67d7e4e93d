# SPDX-License-Identifier: MIT
"""The guest's root file system: an initramfs of static busybox, the agent, modules and the user's files.

The archive is written directly, so no privilege is needed, and it is named by its content.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l import home, inuse
from r4l.arch import architecture
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.kernel.modules import ModuleTree
from r4l.rootfs import cpio, layout, program
from r4l.rootfs import modules as packed
from r4l.toolchain import Grant, Toolchain

__all__ = ["AGENT_PORT", "File", "Rootfs"]

AGENT_PORT = "r4l.agent"
"""Name of the virtio port that the agent serves."""

AGENT_LINE = f"::respawn:/sbin/r4l-agent {AGENT_PORT}\n"
SHELL_LINE = "::respawn:-/bin/sh\n"


@dataclass(frozen=True)
class File:
    """A file for the guest: bytes with permission bits."""

    data: bytes
    mode: int = 0o644


Source = Path | str | bytes | File
"""Source of a guest's file: a path on the host (a folder is copied whole), bytes, or a `File`."""


@dataclass(frozen=True)
class Rootfs:
    """A complete initramfs.

    Attributes:
        path: the archive (newc, uncompressed: unpacking would cost more time than it saves).
        key: hash of its content.
        agent: True if it contains the agent; without the agent, a VM has its console only.
    """

    path: Path
    key: str
    agent: bool = True

    @classmethod
    def build(
        cls,
        kernel: Kernel,
        *,
        modules: Sequence[str] = (),
        files: Mapping[str, Source] | None = None,
        agent_program: bool = True,
        console_shell: bool = False,
    ) -> Rootfs:
        """Build an initramfs, or return the same one from the home.

        Args:
            modules: names of the kernel's own modules, packed with their dependencies for `modprobe`.
            files: absolute path in the guest to the file's source; replaces files of the base.
            agent_program: include the agent; without it there is only a console.
            console_shell: run a shell on the console, as in the camp's notes.

        Raises:
            UsageError: a module or file does not exist.
            EnvironmentFault: the toolchain's busybox is not static.
        """
        entries = layout.base() + layout.busybox(*_busybox(kernel.toolchain, kernel.arch))
        if modules:
            tree = ModuleTree(kernel.modules, kernel.toolchain)
            entries += packed.entries(tree, modules, kernel.release)
        else:
            # busybox's modinfo needs the table even for a file given by its path.
            entries.append(cpio.regular(f"lib/modules/{kernel.release}/modules.dep", b""))
        lines = ""
        if agent_program:
            entries.append(
                cpio.regular(
                    "sbin/r4l-agent", program.build(kernel.toolchain, "agent", kernel.arch).read_bytes(), 0o755
                )
            )
            entries.append(cpio.symlink("sbin/insmod", "/sbin/r4l-agent"))
            lines += AGENT_LINE
        if console_shell:
            lines += SHELL_LINE
        if lines:
            inittab = next(entry for entry in entries if entry.name == "etc/inittab")
            entries.append(cpio.regular("etc/inittab", inittab.data + lines.encode()))
        for name, source in (files or {}).items():
            entries += _added(name, source)
        return cls(*_store(layout.with_parents(entries)), agent_program)

    def entries(self) -> list[cpio.Member]:
        """Return the members of the archive."""
        return list(cpio.read(self.path.read_bytes()))


def _busybox(toolchain: Toolchain, arch: str) -> tuple[bytes, list[str]]:
    """Return busybox and its applets' paths.

    The applets are the same for all architectures: one source, one configuration.
    """
    program = (toolchain.root / architecture(arch).busybox).read_bytes()
    key = home.content_key(program)
    cached = home.room("busybox") / f"{key}.applets"
    if not cached.exists():
        # A dynamic busybox names its loader in PT_INTERP; an initramfs has no loader.
        if b"/ld-linux" in program[:4096]:
            raise EnvironmentFault("the toolchain's busybox is not static", "install Debian's busybox-static")
        with home.lock(f"busybox-{key}"):
            partial = home.temporary(cached)
            partial.write_bytes(toolchain.run(["busybox", "--list-full"], Grant("initramfs: busybox")).stdout)
            home.publish(partial, cached)
    return program, cached.read_text(encoding="utf-8").split()


def _added(name: str, source: Source) -> Iterable[cpio.Member]:
    if not name.startswith("/") or name.endswith("/"):
        raise UsageError(f"a file for the guest needs an absolute path without a slash at its end, not {name!r}")
    inside = name.lstrip("/")
    if isinstance(source, bytes):
        return [cpio.regular(inside, source)]
    if isinstance(source, File):
        return [cpio.regular(inside, source.data, source.mode)]
    path = Path(source)
    if path.is_dir():
        found = sorted(path.rglob("*"))
        return [cpio.directory(inside), *(_copied(f"{inside}/{item.relative_to(path)}", item) for item in found)]
    if not path.is_file():
        raise UsageError(f"no such file to put into the guest: {path}")
    # The file that a link leads to: the link itself would lead nowhere in the guest.
    return [_copied(inside, path.resolve())]


def _copied(inside: str, path: Path) -> cpio.Member:
    if path.is_symlink():
        return cpio.symlink(inside, str(path.readlink()))
    if not (path.is_file() or path.is_dir()):
        raise UsageError(
            f"{path} is no file to put into the guest", "remove it: a FIFO, socket or device has no content"
        )
    permissions = stat.S_IMODE(path.stat().st_mode)
    if path.is_dir():
        return cpio.directory(inside, permissions)
    return cpio.regular(inside, path.read_bytes(), permissions)


def _store(entries: Iterable[cpio.Member]) -> tuple[Path, str]:
    """Write the archive under the hash of its content, unless it exists."""
    archive = io.BytesIO()
    try:
        cpio.write(entries, archive)
    except cpio.CpioError as error:
        raise UsageError(f"the root file system cannot be made: {error}") from error
    data = archive.getbuffer()
    key = home.content_key(bytes(data))
    final = home.room("rootfs") / f"{key}.cpio"
    if not final.exists():
        with home.lock(f"rootfs-{key}"):
            partial = home.temporary(final)
            partial.write_bytes(data)
            home.publish(partial, final)
    inuse.hold(final)
    return final, key
