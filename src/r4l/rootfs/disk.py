# SPDX-License-Identifier: MIT
"""Disk images: a complete Debian with systemd and sshd, as qcow2, made without root and without mounting."""

from __future__ import annotations

import importlib.resources
import io
import json
import shlex
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from r4l import home, inuse, tables
from r4l.errors import EnvironmentFault, UsageError
from r4l.process import Say, quiet
from r4l.rootfs import seal
from r4l.rootfs.ext4 import make_ext4
from r4l.rootfs.install import install, script
from r4l.rootfs.ssh_keys import Keys, public
from r4l.toolchain import Grant, Toolchain, archive_for

FORMAT = "3"
"""Part of every key; to be changed whenever the output of this file or of install.py changes."""


_LISTS = (
    "packages", "shell", "disable", "enable", "mask", "mask_generators", "exclude", "include", "append", "drivers",
    "options",
)  # fmt: skip
SHAPE = {
    "management": dict.fromkeys(("interface", "model", "mac", "network", "host", "dns", "address"), str),
    "*": {"size": int, "needed": int, "target": str, **{key: [str] for key in _LISTS}},
}
"""Keys of images.toml."""


@cache
def table() -> dict[str, Any]:
    """Read images.toml."""
    return tables.read(_data().joinpath("images.toml").read_text(encoding="utf-8"), SHAPE, "images.toml")


def names() -> list[str]:
    """Return the names of the images."""
    return [name for name, entry in table().items() if "packages" in entry]


@dataclass(frozen=True)
class DiskImage:
    """A complete disk image. It is never written to: a VM's writes go to another file (`r4l.vm.machine.Drive`).

    Attributes:
        name: as in images.toml.
        path: the qcow2 file.
        key: hash of its inputs.
        keys: the matching ssh keys.
    """

    name: str
    path: Path
    key: str
    keys: Keys

    @property
    def recipe(self) -> dict[str, Any]:
        """The image's entry in images.toml."""
        entry: dict[str, Any] = table()[self.name]
        return entry

    @classmethod
    def get(cls, name: str, toolchain: Toolchain, say: Say = quiet) -> DiskImage:
        """Return an image by its name, making it first if it is missing or damaged (a minute or two; needs the
        network).

        Raises:
            UsageError: no image has that name.
            EnvironmentFault: the network or the mirror is missing, or the disk is full.
        """
        if name not in names():
            raise UsageError(f"unknown image {name!r}", f"use one of {', '.join(names())}")
        recipe = table()[name]
        tools = toolchain.extended("image", say=say)
        keys = Keys.get(tools)
        layer = _layer(name, keys)
        key = home.content_key(FORMAT, archive_for().suite, json.dumps(recipe, sort_keys=True), layer, script())
        final = home.room("images") / f"{name}-{key}.qcow2"
        image = cls(name, final, key, keys)
        if not seal.is_whole(final):
            with home.lock(f"image-{name}"):
                if not seal.is_whole(final):
                    if final.exists():
                        say("the image is damaged: making it again")
                    _make(image, layer, tools, say)
        inuse.hold(final)
        return image


def _data() -> Traversable:
    return importlib.resources.files(__package__) / "images"


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder in the package, with their paths relative to it."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _files(item, f"{prefix}{item.name}/")
        else:
            yield prefix + item.name, item.read_bytes()


def _layer(name: str, keys: Keys) -> bytes:
    """Return a tar of the files laid over the packages' files. Equal input gives equal bytes."""
    secret = {
        "etc/ssh/ssh_host_ed25519_key": keys.host.read_bytes(),
        "etc/ssh/ssh_host_ed25519_key.pub": f"{public(keys.host)}\n".encode(),
        "root/.ssh/authorized_keys": f"{public(keys.identity)}\n".encode(),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo("root/.ssh")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(folder)
        for path, content in [*_files(_data() / name), *secret.items()]:
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o600 if path in secret else 0o644
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _commands(recipe: dict[str, Any]) -> list[str]:
    """Return the shell commands after the installation of all packages, when the layer's units are there."""
    verbs = [(verb, recipe[verb]) for verb in ("disable", "enable", "mask")]
    verbs.append(("set-default", [recipe["target"]]))
    generators = "/etc/systemd/system-generators"
    links = [f"ln -s /dev/null {generators}/{name}" for name in recipe["mask_generators"]]
    return [*(f"systemctl {verb} {shlex.join(units)}" for verb, units in verbs), f"mkdir -p {generators}", *links]


def _make(image: DiskImage, layer: bytes, tools: Toolchain, say: Say) -> None:
    recipe, final = image.recipe, image.path
    what = f"the {image.name} image"
    home.require_space(final.parent, recipe["needed"], what)
    log = home.room("logs") / f"image-{image.name}.log"
    log.unlink(missing_ok=True)
    work = home.temporary(final)
    work.mkdir()
    try:
        tar, raw, qcow2 = (work / name for name in ("root.tar", "root.ext4", "root.qcow2"))
        install(
            tar,
            archive_for(),
            recipe["packages"],
            tools,
            log=log,
            exclude=recipe["exclude"],
            include=recipe["include"],
            commands=_commands(recipe),
            layer=layer,
            say=say,
        )
        say("making the file system")
        make_ext4(tar, raw, recipe["size"], f"r4l-{image.name}"[:16], tools)
        tar.unlink()
        say("making the disk")
        _to_qcow2(raw, qcow2, tools)
        # All VMs read the image at the same time: a write by mistake must fail.
        qcow2.chmod(0o444)
        seal.publish_sealed(qcow2, final)
    finally:
        home.remove(work)


def _to_qcow2(raw: Path, qcow2: Path, tools: Toolchain) -> None:
    grant = Grant("image: disk", writes=(qcow2.parent,), reads=(raw,))
    done = tools.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2], grant, check=False)
    if done.returncode != 0:
        raise EnvironmentFault(
            "qemu-img cannot make the disk",
            "free some space if the disk is full, or set R4L_HOME to a folder on a larger disk",
            detail=done.stderr.decode(errors="replace"),
        )
