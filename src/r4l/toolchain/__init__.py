# SPDX-License-Identifier: MIT
"""The toolchain: a Debian tree of compilers, bindgen, QEMU and busybox, entered with bubblewrap.

See `debian.toml` for what is in it. Nothing of the host but mmdebstrap, bubblewrap and apt is used.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from r4l import home, resources
from r4l.errors import EnvironmentFault, UsageError
from r4l.process import Say, quiet
from r4l.toolchain import enter, tree
from r4l.toolchain.archive import Archive
from r4l.toolchain.extras import make_extended

__all__ = ["Archive", "Toolchain", "archive_for"]

VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")


@cache
def _table() -> dict[str, Any]:
    """What debian.toml says."""
    return resources.table(__package__, "debian.toml")


def archive_for(architecture: str = "amd64") -> Archive:
    """The Debian archive that the tree and the kernels come from."""
    table = _table()
    return Archive(
        table["suite"],
        table["backports"],
        tuple(table["components"]),
        architecture,
        tuple(table["pins"]["backports_sources"]),
    )


@dataclass(frozen=True)
class Toolchain:
    """A tree that is whole.

    Attributes:
        root: its folder on the host.
        key: names its contents; part of the key of everything built with it. Extras add programs and change none, so
            the key is the same with them.
        extras: what was added to it (`[extras.*]` in debian.toml).
    """

    root: Path
    key: str
    extras: tuple[str, ...] = ()

    @classmethod
    def get(cls, say: Say = quiet, *, lock_file: Path | None = None, update: bool = False) -> Toolchain:
        """The tree, made first if there is none.

        Args:
            lock_file: replay exactly these package versions (a `lock.json` of `r4l setup`).
            update: make it anew from the newest packages.

        Raises:
            EnvironmentFault: it cannot be made; the cause says what is missing.
            UsageError: the lock file cannot be read.
        """
        wanted, key = _wanted(lock_file)
        final = home.room("toolchain") / key
        with home.lock(f"toolchain-{key}"):
            if update or not final.is_dir():
                for extended in final.parent.glob(f"{key}+*"):
                    home.remove(extended)
                tree.make_tree(final, archive_for(), wanted, _dpkg_paths(), say)
        return cls(final, key)

    @staticmethod
    def made() -> bool:
        """Whether the tree is there."""
        return (home.room("toolchain") / _wanted(None)[1]).is_dir()

    @classmethod
    def existing(cls) -> Toolchain:
        """The tree that `r4l setup` made.

        Raises:
            EnvironmentFault: there is none.
        """
        _, key = _wanted(None)
        final = home.room("toolchain") / key
        if not final.is_dir():
            raise EnvironmentFault("the toolchain is not set up", "run `r4l setup`")
        return cls(final, key)

    def extended(self, *names: str, say: Say = quiet) -> Toolchain:
        """This tree with extras, such as `arm64` or `editor`; made first if it is not there.

        Raises:
            EnvironmentFault: network, disk or mirror.
        """
        extras = tuple(sorted({*self.extras, *names}))
        if extras == self.extras:
            return self
        recipes = [_table()["extras"][name] for name in extras]
        room = home.room("toolchain")
        final = room / "+".join([self.key, *extras, home.content_key(json.dumps(recipes, sort_keys=True))[:4]])
        with home.lock(f"toolchain-{final.name}"):
            if not final.is_dir():
                make_extended(final, room / self.key, recipes, archive_for, say)
        return Toolchain(final, self.key, extras)

    @cached_property
    def packages(self) -> dict[str, str]:
        """Debian packages in the tree, names to versions: what a lock file holds."""
        loaded: dict[str, str] = json.loads((self.root / "r4l-packages.json").read_text(encoding="utf-8"))
        return loaded

    def command(
        self,
        argv: Sequence[str | Path],
        *,
        binds: Iterable[Path] = (),
        readable: Iterable[Path] = (),
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        terminal: bool = False,
        named: bool = False,
        over: Mapping[Path, Path] | None = None,
        over_readable: Mapping[Path, Path] | None = None,
    ) -> list[str]:
        """The command line for the host that runs `argv` inside the tree; it dies with its parent thread.

        The home and `binds` are writable at their own paths, `readable` read-only, the network is the host's; with
        `terminal`, so is its terminal; with `named` it runs as the tree's root, for programs that look their user up.
        `over` and `over_readable` put the host's folders in the place of others.
        """
        return enter.bwrap(
            self.root,
            argv,
            writable=[home.home(), *binds],
            readable=readable,
            cwd=cwd,
            env=env,
            terminal=terminal,
            named=named,
            over=over,
            over_readable=over_readable,
        )

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        binds: Iterable[Path] = (),
        readable: Iterable[Path] = (),
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        input: bytes | None = None,  # noqa: A002 (subprocess's own name)
        named: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` inside the tree to its end, output captured as bytes.

        Raises:
            EnvironmentFault: it failed and `check` is set.
        """
        done = subprocess.run(
            self.command(argv, binds=binds, readable=readable, cwd=cwd, env=env, named=named),
            capture_output=True,
            check=False,
            input=input,
        )
        if check and done.returncode != 0:
            raise EnvironmentFault(
                f"{Path(argv[0]).name} failed in the toolchain with exit code {done.returncode}",
                "run `r4l doctor`",
                detail=done.stderr.decode(errors="replace"),
            )
        return done

    def versions(self) -> dict[str, str]:
        """What the programs of the tree themselves say: `rustc`, `bindgen`, `gcc`, `qemu` … to version."""
        found: dict[str, str] = {}
        for name, argv in _table()["versions"].items():
            done = self.run(argv, check=False)
            match = VERSION.search(done.stdout.decode(errors="replace"))
            found[name] = match[0] if match else "does not run"
        return found


def _wanted(lock_file: Path | None) -> tuple[dict[str, str | None], str]:
    """The packages of the tree and the key that names them."""
    table = _table()
    named: dict[str, str | None] = {name: None for group in table["packages"].values() for name in group}
    recipe = json.dumps({part: table[part] for part in table if part != "extras"}, sort_keys=True)
    if lock_file is None:
        return named, home.content_key(recipe)
    try:
        lock = json.loads(lock_file.read_text(encoding="utf-8"))
        locked = {str(name): str(version) for name, version in lock["packages"].items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{lock_file} is no lock file: {error}", "give the lock.json that `r4l setup` wrote"
        ) from error
    return {**named, **locked}, home.content_key(recipe, json.dumps(locked, sort_keys=True))


def _dpkg_paths() -> list[str]:
    dpkg = _table()["dpkg"]
    return [f"path-exclude={path}" for path in dpkg["exclude"]] + [f"path-include={path}" for path in dpkg["include"]]
