# SPDX-License-Identifier: MIT
"""Disk images: a complete Debian with systemd and sshd, as qcow2, made without root and without mounting."""

from __future__ import annotations

import contextlib
import importlib.resources
import io
import json
import shlex
import tarfile
from collections.abc import Iterator, Mapping
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
from r4l.rootfs.install import install, resolved, script
from r4l.rootfs.ssh_keys import Keys, public
from r4l.toolchain import Grant, Toolchain, archive_for

FORMAT = "4"
"""Part of every key; to be changed whenever the output of this file or of install.py changes."""
NOTE = ".packages"
"""End of the name of the file beside an image that lists its packages."""


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
        layer, in_force = _layer(name, keys), _in_force(toolchain)
        inputs = (FORMAT, archive_for().suite, json.dumps(recipe, sort_keys=True), layer, script())
        locked = in_force.lock.images.get(name, {}) if in_force and in_force.lock else {}
        key = home.content_key(*inputs, in_force.key if in_force else "")
        if locked and _note(_path(name, key)).get("packages") != locked:
            # The archive's packages at that time are others.
            key = home.content_key(*inputs, json.dumps(locked, sort_keys=True))
        final = _path(name, key)
        image = cls(name, final, key, keys)
        if not seal.is_whole(final):
            with home.lock(f"image-{name}"):
                if not seal.is_whole(final):
                    if final.exists():
                        say("the image is damaged: making it again")
                    _make(image, layer, tools, locked, in_force.key if in_force else "", say)
        inuse.hold(final)
        return image


def versions_of(toolchain: Toolchain, *, all_images: bool = False) -> dict[str, dict[str, str]]:
    """Return the packages of each image that the lock file in force names, or that is here for a toolchain.

    Args:
        toolchain: the toolchain in force.
        all_images: look the other images up in the archive's lists, where these are here.
    """
    found = dict(toolchain.lock.images) if toolchain.lock else {}
    for name in names():
        if name not in found and (versions := _newest_versions(name, toolchain)):
            found[name] = versions
        if name not in found and all_images:
            # A list that was never fetched does not tell. The image is then as new as the archive.
            with contextlib.suppress(EnvironmentFault):
                found[name] = resolved(archive_for(), table()[name]["packages"], {}).versions
    return dict(sorted(found.items()))


def _in_force(toolchain: Toolchain) -> Toolchain | None:
    """Return the toolchain whose lock file holds for images: they are of the default suite."""
    return Toolchain.made() if toolchain.suite else toolchain


def _path(name: str, key: str) -> Path:
    return home.room("images") / f"{name}-{key}.qcow2"


def _note(path: Path) -> dict[str, Any]:
    """Return the note about an image: the toolchain in force at that time, and the packages, names to versions."""
    try:
        found: dict[str, Any] = json.loads(path.with_name(path.name + NOTE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if path.exists() else {}


def _newest_versions(name: str, toolchain: Toolchain) -> dict[str, str]:
    """Return the packages of the image that was made last while a toolchain was in force; none without one."""
    there = sorted(home.room("images").glob(f"{name}-*.qcow2"), key=lambda path: path.stat().st_mtime)
    notes = [note for path in there if (note := _note(path)).get("toolchain") == toolchain.key]
    return dict(notes[-1]["packages"]) if notes else {}


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


def _make(image: DiskImage, layer: bytes, tools: Toolchain, locked: Mapping[str, str], in_force: str, say: Say) -> None:
    recipe, final = image.recipe, image.path
    what = f"the {image.name} image"
    home.require_space(final.parent, recipe["needed"], what)
    log = home.room("logs") / f"image-{image.name}.log"
    log.unlink(missing_ok=True)
    work = home.temporary(final)
    work.mkdir()
    try:
        tar, raw, qcow2 = (work / name for name in ("root.tar", "root.ext4", "root.qcow2"))
        archive = archive_for()
        archive.update(say)
        packages = resolved(archive, recipe["packages"], locked)
        install(
            tar,
            archive,
            packages,
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
        note = {"toolchain": in_force, "packages": packages.versions}
        home.replace_text(final.with_name(final.name + NOTE), json.dumps(note, indent=1))
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
