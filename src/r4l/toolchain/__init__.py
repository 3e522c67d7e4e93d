# SPDX-License-Identifier: MIT
"""The toolchain: a Debian tree of compilers, bindgen, QEMU and busybox, entered with bubblewrap.

See `debian.toml` for what is in it. Nothing of the host but mmdebstrap, bubblewrap and apt is used.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from r4l import home, resources
from r4l.errors import EnvironmentFault, R4LError, UsageError
from r4l.process import Say, quiet, run_captured, run_logged
from r4l.toolchain import ladder, tree
from r4l.toolchain.archive import Archive
from r4l.toolchain.extras import make_extended
from r4l.toolchain.grant import Grant

__all__ = ["Archive", "Grant", "Toolchain", "archive_for"]

VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
VERSIONS = Grant("versions")
SANDBOX_SAYS = re.compile(r"^(?:bwrap|proot (?:error|info)|setpriv): .*$", re.MULTILINE)
"""How a line begins that a sandbox prints which cannot be made."""


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
        grant: Grant | None = None,
        *,
        binds: Iterable[Path] = (),
        readable: Iterable[Path] = (),
        named: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> list[str]:
        """The command line for the host that runs `argv` inside the tree; it dies with its parent thread.

        Args:
            grant: what it may touch beside the tree.
            binds, readable, named: deprecated; where there is no grant, what it may write and read, and whether it is
                root inside. The home is readable then.
            cwd: folder to start in.
            env: added to a small fixed environment.

        Raises:
            EnvironmentFault: this machine has no sandbox that works.
        """
        return ladder.choose().command(self.root, argv, grant or _without(binds, readable, named), cwd=cwd, env=env)

    def run(
        self,
        argv: Sequence[str | Path],
        grant: Grant | None = None,
        *,
        binds: Iterable[Path] = (),
        readable: Iterable[Path] = (),
        named: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        input: bytes = b"",  # noqa: A002 (subprocess's own name)
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` inside the tree to its end, output captured as bytes. Arguments as for `command`.

        Raises:
            EnvironmentFault: it failed and `check` is set, or the sandbox could not be made.
            LimitExceeded: it took more than the grant says.
        """
        program = Path(argv[0]).name
        grant = grant or _without(binds, readable, named)
        command = self.command(argv, grant, cwd=cwd, env=env)
        try:
            done = run_captured(command, input=input, limits=grant.limits, what=program)
        except FileNotFoundError as error:
            raise EnvironmentFault(f"{error.filename} is not installed", "run `r4l doctor --fix`") from error
        said = done.stderr.decode(errors="replace")
        if done.returncode != 0:
            self._require_sandbox(grant, said)
        if check and done.returncode != 0:
            raise EnvironmentFault(
                f"{program} failed in the toolchain with exit code {done.returncode}", "run `r4l doctor`", detail=said
            )
        return done

    def run_logged(
        self,
        argv: Sequence[str | Path],
        grant: Grant,
        log: Path,
        failure: Callable[[int, str], R4LError],
        *,
        env: Mapping[str, str] | None = None,
        what: str = "",
        say: Say = quiet,
        tail_lines: int = 25,
        color: bool = False,
    ) -> str:
        """Run `argv` inside the tree as `process.run_logged` does, within the limits of its grant.

        Raises:
            EnvironmentFault: the sandbox could not be made, or the disk is full.
            LimitExceeded: it took more than the grant says.
            R4LError: what `failure` made.
        """

        def why(code: int, tail: str) -> R4LError:
            try:
                self._require_sandbox(grant, tail)
            except EnvironmentFault as fault:
                return fault
            return failure(code, tail)

        command = self.command(argv, grant, env=env)
        return run_logged(
            command,
            log,
            why,
            say=say,
            tail_lines=tail_lines,
            color=color,
            limits=grant.limits,
            what=what or Path(argv[0]).name,
        )

    def _require_sandbox(self, grant: Grant, said: str) -> None:
        """Tell a sandbox that could not be made from a command that failed in it, whatever that printed.

        Raises:
            EnvironmentFault: it cannot be made, as a trial with the same grant shows.
        """
        complaint = SANDBOX_SAYS.search(said)
        if not complaint:
            return
        command = self.command(["true"], dataclasses.replace(grant, terminal=False))
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0:
            return
        why = done.stderr.decode(errors="replace").strip() or complaint[0]
        raise EnvironmentFault(f"the sandbox could not be made: {why.splitlines()[-1]}", _remedy_for(grant), detail=why)

    def versions(self) -> dict[str, str]:
        """What the programs of the tree themselves say: `rustc`, `bindgen`, `gcc`, `qemu` … to version."""
        found: dict[str, str] = {}
        for name, argv in _table()["versions"].items():
            done = self.run(argv, VERSIONS, check=False)
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


def _without(binds: Iterable[Path], readable: Iterable[Path], named: bool) -> Grant:
    """The grant of a caller that writes none."""
    warnings.warn("binds=, readable= and named= are old: give a Grant", DeprecationWarning, stacklevel=3)
    return Grant("a caller without a grant", writes=tuple(binds), reads=(home.home(), *readable), named=named)


def _remedy_for(grant: Grant) -> str:
    """What to do about a sandbox that could not be made: a grant's own files may be out of reach."""
    for path in (*grant.writes, *grant.reads, *grant.over.values(), *grant.over_reads.values()):
        try:
            owner = path.stat().st_uid
        except FileNotFoundError:
            return f"{path} is gone: run it again"
        except OSError as error:
            return f"{path} cannot be reached: {error.strerror}"
        if owner != os.geteuid() and not os.access(path, os.R_OK, effective_ids=False):
            return f"{path} is not yours to read: run r4l as its owner"
        if owner != os.geteuid() == 0:
            return (
                f"{path} belongs to the user {owner}, and root has no rights of its own in the sandbox: run r4l as them"
            )
    return ladder.remedy()
