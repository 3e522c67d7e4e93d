# SPDX-License-Identifier: MIT
"""The toolchain: a Debian tree of compilers, bindgen, QEMU and busybox, entered with bubblewrap.

See `debian.toml` for what is in it. Nothing of the host's is used but the kernel.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from r4l import home, inuse, resources
from r4l.arch import DEFAULT, architecture
from r4l.debian import Archive, Rules
from r4l.errors import EnvironmentFault, R4LError
from r4l.process import Say, quiet, run_captured, run_logged
from r4l.toolchain import current, host, ladder, tree
from r4l.toolchain.extras import make_extended
from r4l.toolchain.grant import Grant
from r4l.toolchain.lockfile import LockFile

__all__ = ["Archive", "Grant", "LockFile", "Toolchain", "archive_for", "lock_of", "read_lock"]

VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
VERSIONS = Grant("versions")
BESIDE = ("alternatives", "extras", "sandbox")
"""Parts of debian.toml that are not in the key of a recipe."""
SANDBOX_SAYS = re.compile(r"^(?:bwrap|proot (?:error|info)|setpriv): .*$", re.MULTILINE)
"""How a line begins that a sandbox prints which cannot be made."""


SHAPE = {
    **dict.fromkeys(("suite", "backports"), str),
    "components": list,
    "packages": {"*": list},
    "sandbox": {"packages": list},
    "alternatives": {"*": list},
    "extras": {"*": {"packages": list, "foreign?": {"architecture": str, "packages": {"*": str}}}},
    "pins": {"backports_sources": list},
    "dpkg": {"exclude": list, "include": list},
    "versions": {"*": list},
}
"""Keys of debian.toml."""


@cache
def table() -> dict[str, Any]:
    """What debian.toml says."""
    return resources.table(__package__, "debian.toml", SHAPE)


def archive_for(debian_arch: str = "") -> Archive:
    """The Debian archive that the tree and the kernels come from.

    Args:
        debian_arch: Debian's name of an architecture; the toolchain's own where empty.
    """
    of = table()
    return Archive(
        of["suite"],
        of["backports"],
        tuple(of["components"]),
        debian_arch or architecture(DEFAULT).debian,
        tuple(of["pins"]["backports_sources"]),
    )


@dataclass(frozen=True)
class Toolchain:
    """A tree that is whole.

    Attributes:
        root: its folder on the host.
        key: names its recipe and the versions of what is in it; part of the key of everything built with it. Extras add
            programs and change none, so the key is the same with them.
        extras: what was added to it (`[extras.*]` in debian.toml).
        lock: the lock file that it was made from, which governs this home.
    """

    root: Path
    key: str
    extras: tuple[str, ...] = ()
    lock: LockFile | None = field(default=None, compare=False)

    @classmethod
    def get(cls, say: Say = quiet, *, lock_file: Path | None = None, update: bool = False) -> Toolchain:
        """The tree that is in force, made first if there is none.

        Args:
            lock_file: put a tree of exactly these package versions in force (a `lock.json` of `r4l setup`); it stays so
                until the next call with `lock_file` or `update`.
            update: make a tree of the newest packages beside the one in force, and put it in force when it is whole.

        Raises:
            EnvironmentFault: it cannot be made; the cause says what is missing. What was in force still is.
            UsageError: the lock file cannot be read, or is for another suite or architecture.
        """
        room, recipe = home.room("toolchain"), recipe_key(table())
        lock = read_lock(lock_file) if lock_file else None
        asked = update or lock is not None
        found = None if asked else _held(room, recipe)
        if found is None:
            with home.lock(f"toolchain-{recipe}"):
                found = None if asked else _held(room, recipe)
                if found is None:
                    if not asked:
                        lock = current.inherited_lock(room, recipe)
                    found = current.Current(_tree(room, recipe, lock, say), lock)
                    current.write(room, recipe, found)
                    inuse.hold(room / found.tree)
        return cls(room / found.tree, found.tree, lock=found.lock)

    @classmethod
    def made(cls) -> Toolchain | None:
        """The tree that is in force, None where there is none."""
        room = home.room("toolchain")
        found = _held(room, recipe_key(table()))
        return cls(room / found.tree, found.tree, lock=found.lock) if found else None

    @classmethod
    def existing(cls) -> Toolchain:
        """The tree that `r4l setup` made.

        Raises:
            EnvironmentFault: there is none.
        """
        found = cls.made()
        if found is None:
            raise EnvironmentFault("the toolchain is not set up", "run `r4l setup`")
        return found

    def extended(self, *names: str, say: Say = quiet) -> Toolchain:
        """This tree with extras, such as `arm64` or `editor`; made first if it is not there.

        Raises:
            EnvironmentFault: network, disk or mirror.
        """
        extras = tuple(sorted({*self.extras, *names}))
        if extras == self.extras:
            return self
        room, final = home.room("toolchain"), self._extended_root(extras)
        with home.lock(f"toolchain-{final.name}"):
            if not inuse.hold(final):
                recipes = [table()["extras"][name] for name in extras]
                make_extended(final, room / self.key, recipes, archive_for, say)
                inuse.hold(final)
        return dataclasses.replace(self, root=final, extras=extras)

    def there(self, *names: str) -> Toolchain | None:
        """This tree with extras where it was made already; None where it was not."""
        extras = tuple(sorted({*self.extras, *names}))
        root = self._extended_root(extras) if extras != self.extras else self.root
        return dataclasses.replace(self, root=root, extras=extras) if root.is_dir() else None

    def _extended_root(self, extras: Sequence[str]) -> Path:
        return home.room("toolchain") / extended_name(self.key, extras, table())

    @cached_property
    def packages(self) -> dict[str, str]:
        """Debian packages in the tree, names to versions: what a lock file holds."""
        return current.packages(self.root)

    @cached_property
    def identity(self) -> str:
        """Names the versions of all that is in the tree, extras included: whether what was built with it is stale."""
        return home.content_key(self.key, json.dumps(self.packages, sort_keys=True)) if self.extras else self.key

    @property
    def in_force(self) -> str:
        """Its key and why this one is in force, for people."""
        why = f"as the lock file {self.lock.source} says" if self.lock else "in the versions that Debian had"
        return f"{self.key}, {why}"

    @property
    def _base(self) -> Path:
        """The tree without extras."""
        return self.root.with_name(self.key) if self.extras else self.root

    @property
    def isolates(self) -> bool:
        """Whether a grant is kept on this machine; under PRoot it is not.

        Raises:
            EnvironmentFault: this machine has no sandbox that works.
        """
        return ladder.choose(self._base).isolates

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
            binds: deprecated; where there is no grant, the paths that it may write. The home is readable then.
            readable: deprecated; where there is no grant, the paths that it may read.
            named: deprecated; where there is no grant, whether it is root inside.
            cwd: folder to start in.
            env: added to a small fixed environment.

        Raises:
            EnvironmentFault: this machine has no sandbox that works.
        """
        return ladder.choose(self._base).command(
            self.root, argv, grant or _without(binds, readable, named), cwd=cwd, env=env
        )

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
            raise EnvironmentFault(f"{error.filename} is not installed", "run `r4l doctor`") from error
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
        cwd: Path | None = None,
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

        command = self.command(argv, grant, cwd=cwd, env=env)
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
        for name, argv in table()["versions"].items():
            done = self.run(argv, VERSIONS, check=False)
            match = VERSION.search(done.stdout.decode(errors="replace"))
            found[name] = match[0] if match else "does not run"
        return found


def recipe_key(of: Mapping[str, Any]) -> str:
    """The key of what a debian.toml says of what things are built with: the rest changes nothing that is built."""
    return home.content_key(json.dumps({part: of[part] for part in of if part not in BESIDE}, sort_keys=True))


def extended_name(base: str, extras: Sequence[str], of: Mapping[str, Any]) -> str:
    """What a tree with extras is called by a debian.toml; empty where that does not know one of them."""
    if not set(extras) <= of["extras"].keys():
        return ""
    recipes = [of["extras"][name] for name in extras]
    return "+".join([base, *extras, home.content_key(json.dumps(recipes, sort_keys=True))[:4]])


def read_lock(path: Path) -> LockFile:
    """Read a lock file.

    Raises:
        UsageError: it cannot be read, is no lock file, or is for another suite or architecture.
    """
    archive = archive_for()
    return LockFile.read(path, archive.suite, archive.architecture)


def lock_of(toolchain: Toolchain, kernel: str, kernel_version: str) -> LockFile:
    """The lock file of what is there."""
    archive = archive_for()
    return LockFile(archive.suite, archive.architecture, kernel, kernel_version, toolchain.packages)


def _held(room: Path, recipe: str) -> current.Current | None:
    """What is in force, in use by this process from now on."""
    found = current.read(room, recipe)
    return found if found and inuse.hold(room / found.tree) else None


def _tree(room: Path, recipe: str, lock: LockFile | None, say: Say) -> str:
    """The name of a tree of these versions, made where there is none."""
    if lock:
        for there in current.trees(room, recipe):
            if current.packages(there).items() >= lock.packages.items():
                return there.name
    problem = host.problem()
    if problem:
        raise problem
    of = table()
    groups = [*of["packages"].values(), of["sandbox"]["packages"]]
    wanted: dict[str, str | None] = {name: None for group in groups for name in group}
    wanted |= lock.packages if lock else {}
    rules = Rules(of["dpkg"]["exclude"], of["dpkg"]["include"])
    return tree.make_tree(room, recipe, archive_for(), wanted, rules, of["alternatives"], say)


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
