# SPDX-License-Identifier: MIT
"""Find the references to the home's entries: the toolchain in force, named kernels, checkouts, editors."""

from __future__ import annotations

import itertools
import platform
import re
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from r4l import home, toolchain
from r4l.clean.vanishing import undisturbed
from r4l.kernel import debian, manifest, own, stock
from r4l.toolchain import Toolchain, current

CHECKOUT = "pyproject.toml"
TREE_NAMED = re.compile(r"/toolchain/([0-9a-f-]+(?:\+[0-9a-z+]+)?)/")


@dataclass
class Points:
    """References by entry: each table maps an entry's name to the reason in words.

    Attributes:
        trees: toolchains, including those with extras.
        kernels: folders of Debian's kernels.
        metadata: folders in these, as `FOLDER/KEY`.
        keys: keys of all ready kernels; modules are built for them.
        venvs: Python environments.
    """

    trees: dict[str, str] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    venvs: dict[str, str] = field(default_factory=dict)


def collect() -> Points:
    """Collect all references."""
    return undisturbed(_collected)


def _collected() -> Points:
    points = Points()
    checkouts = _venvs(points)
    _trees(points, checkouts)
    _kernels(points)
    return points


def _venvs(points: Points) -> list[Path]:
    """Record the environments of existing checkouts, and return these checkouts."""
    found: list[Path] = []
    for folder in sorted(home.room("venv").glob("[0-9]*-[0-9]*")):
        checkout = _checkout_of(folder)
        if checkout and folder.name in _launcher_keys(checkout):
            points.venvs[folder.name] = f"the launcher in {checkout} uses it"
        if checkout and checkout not in found:
            found.append(checkout)
    return found


def _checkout_of(venv: Path) -> Path | None:
    """Return the checkout that an environment was made for; None if it is gone."""
    for note in venv.glob("lib/python3*/site-packages/*r4l*.pth"):
        source = Path(note.read_text(encoding="utf-8", errors="surrogateescape").strip())
        if (source.parent / CHECKOUT).is_file():
            return source.parent
    return None


def _launcher_keys(checkout: Path) -> set[str]:
    """Return the names that a checkout's launcher `r4l` gives its environments: without extras, and with each."""
    constraints = checkout / "constraints.txt"
    # A checkout of an older commit has none, and its launcher asks for none.
    files = (checkout / CHECKOUT).read_bytes() + (constraints.read_bytes() if constraints.is_file() else b"")
    found = set()
    for version, extra in itertools.product((f"Python {platform.python_version()}", "uv"), ("", "[test]", "[sweep]")):
        text = files + f"{version}\n{checkout} {extra}".encode(errors="surrogateescape")
        done = subprocess.run(["cksum"], input=text, capture_output=True, check=True)
        found.add(done.stdout.decode().strip().replace(" ", "-"))
    return found


def _trees(points: Points, checkouts: list[Path]) -> None:
    room = home.room("toolchain")
    tables = [toolchain.table()]
    for checkout in checkouts:
        file = checkout / "src/r4l/toolchain/debian.toml"
        if file.is_file():
            tables.append(tomllib.loads(file.read_text(encoding="utf-8")))
    locks: dict[str, toolchain.LockFile] = {}
    for table in tables:
        # The table of an older checkout has no suites.
        for suite in ("", *table.get("suites", ())):
            found = current.read(room, toolchain.recipe_key(toolchain.recipe(suite, table)))
            if found:
                locks |= {found.tree: found.lock} if found.lock else {}
                in_force = f"in force for {suite}" if suite else "in force"
                points.trees[found.tree] = (
                    f"{in_force}, by the lock file {found.lock.source}" if found.lock else in_force
                )
    for script in home.room("bin").iterdir():
        for name in TREE_NAMED.findall(script.read_text(encoding="utf-8", errors="replace")):
            points.trees.setdefault(name, f"an editor's {script.name} runs in it")
    for path in room.glob("[0-9a-f]*+*"):
        base, *extras, _mark = path.name.split("+")
        locked = locks[base].versions_of(extras) if base in locks else {}
        names = {
            toolchain.extended_name(base, extras, table, versions) for table in tables for versions in ({}, locked)
        }
        if base in points.trees and path.name in names:
            points.trees.setdefault(path.name, f"with {', '.join(extras)}, for the one in force")


def _kernels(points: Points) -> None:
    room = home.room("kernels")
    folders = [path for path in room.glob("[0-9]*_*") if path.is_dir()]
    for tree in [name for name in points.trees if "+" not in name]:
        tools = Toolchain(home.room("toolchain") / tree, tree)
        for kernel in stock.all_ready(tools):
            folder = kernel.build.parent.parent
            points.kernels.setdefault(folder.name, f"--kernel {kernel.release}")
            points.metadata[f"{folder.name}/{tree}"] = f"--kernel {kernel.release}"
            points.keys.add(kernel.key)
        points.keys |= {kernel.key for kernel in own.all_ready(tools)}
    for arch in {_architecture(path.name) for path in folders}:
        # Include a kernel without metadata: an interrupted setup continues with it.
        best = max(
            (path for path in folders if _architecture(path.name) == arch),
            key=lambda path: debian.preference(path.name.split("_")[0]),
        )
        points.kernels.setdefault(best.name, f"the newest for {arch}")
        for made in best.iterdir():
            if made.name in points.trees:
                points.metadata.setdefault(f"{best.name}/{made.name}", f"the newest for {arch}")
    for build in home.room("builds").glob("[a-z]*"):
        data = manifest.read(build, "source")
        # In an interrupted build, only Kbuild's own link names the source.
        source = Path(data["source"]) if data else (build / "build/source").resolve()
        if room in source.parents:
            of = source.relative_to(room).parts[0]
            points.kernels[of] = f"the source of the kernel {build.name.rpartition('-')[0]}"


def _architecture(folder: str) -> str:
    return folder.split("_")[0].rpartition("-")[2]
