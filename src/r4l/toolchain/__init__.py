# SPDX-License-Identifier: MIT
"""The toolchain: a Debian tree of compilers, bindgen, QEMU and busybox, entered with bubblewrap.

`debian.toml` lists its packages. Of the host, only the kernel is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from r4l import home, inuse
from r4l.debian import Archive, Rules
from r4l.errors import EnvironmentFault, R4LError
from r4l.process import Say, quiet, run_captured, run_logged
from r4l.toolchain import current, host, ladder, tree
from r4l.toolchain.extras import make_extended, needed, versions_in
from r4l.toolchain.grant import Grant
from r4l.toolchain.lockfile import LockFile
from r4l.toolchain.recipes import archive_for, extended_name, recipe, recipe_key, suites, table

__all__ = [
    "Archive",
    "Grant",
    "LockFile",
    "Toolchain",
    "archive_for",
    "extended_name",
    "extras_of",
    "lock_of",
    "read_lock",
    "recipe",
    "recipe_key",
    "suites",
    "table",
]

VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
VERSIONS = Grant("versions")
SANDBOX_SAYS = re.compile(r"^(?:bwrap|proot (?:error|info)|setpriv): .*$", re.MULTILINE)
"""Line of an error message from a sandbox that cannot be made."""


@dataclass(frozen=True)
class Toolchain:
    """A complete tree.

    Attributes:
        root: its folder on the host.
        key: hash of its recipe and of its packages' versions; part of the key of every product. Extras add programs and
            change none, so the key is the same with them.
        extras: extras in the tree (`[extras.*]` in debian.toml).
        lock: the lock file that it was made from, which is in force in this home; None without one.
        suite: the suite of its packages, one of `suites()`; empty for the default one.
    """

    root: Path
    key: str
    extras: tuple[str, ...] = ()
    lock: LockFile | None = field(default=None, compare=False)
    suite: str = ""

    @classmethod
    def get(
        cls, say: Say = quiet, *, lock_file: Path | None = None, update: bool = False, suite: str = ""
    ) -> Toolchain:
        """Return the tree in force, making one first if there is none.

        Args:
            lock_file: put a tree with exactly these package versions in force (a `lock.json` of `r4l setup`), until the
                next call with `lock_file` or `update`.
            update: make a tree of the newest packages beside the one in force, and put it in force when it is complete.
            suite: one of `suites()`, whose tree is in force beside the default one; it has no lock file.

        Raises:
            EnvironmentFault: the tree cannot be made; the cause names what is missing. The earlier tree stays in force.
            UsageError: the lock file cannot be read, or is for another suite or architecture.
        """
        room, key = home.room("toolchain"), recipe_key(recipe(suite, table()))
        lock = read_lock(lock_file) if lock_file else None
        asked = update or lock is not None
        found = None if asked else _held(room, key)
        if found is None:
            with home.lock(f"toolchain-{key}"):
                found = None if asked else _held(room, key)
                if found is None:
                    if not asked and not suite:
                        lock = current.inherited_lock(room, key)
                    found = current.Current(_tree(room, key, lock, suite, say), lock, suite)
                    current.write(room, key, found)
                    inuse.hold(room / found.tree)
        return cls(room / found.tree, found.tree, lock=found.lock, suite=suite)

    @classmethod
    def made(cls, suite: str = "") -> Toolchain | None:
        """Return the tree in force of a suite, or None."""
        room = home.room("toolchain")
        found = _held(room, recipe_key(recipe(suite, table())))
        return cls(room / found.tree, found.tree, lock=found.lock, suite=suite) if found else None

    @classmethod
    def all_made(cls) -> list[Toolchain]:
        """Return the trees in force of all suites, the default one first."""
        return [found for suite in ("", *suites()) if (found := cls.made(suite))]

    @classmethod
    def existing(cls) -> Toolchain:
        """Return the tree in force.

        Raises:
            EnvironmentFault: no tree was made yet.
        """
        found = cls.made()
        if found is None:
            raise EnvironmentFault("the toolchain is not set up", "run `r4l setup`")
        return found

    def extended(self, *names: str, say: Say = quiet) -> Toolchain:
        """Return this tree with extras, such as `arm64` or `editor`, making it first if needed.

        Raises:
            EnvironmentFault: the network, the mirror or disk space is missing.
        """
        extras = tuple(sorted({*self.extras, *names}))
        if extras == self.extras:
            return self
        room, final = home.room("toolchain"), self._extended_root(extras)
        with home.lock(f"toolchain-{final.name}"):
            if not inuse.hold(final):
                recipes = [table()["extras"][name] for name in extras]
                archives = partial(archive_for, suite=self.suite)
                make_extended(final, room / self.key, recipes, archives, self._locked(extras), say)
                inuse.hold(final)
        return dataclasses.replace(self, root=final, extras=extras)

    def there(self, *names: str) -> Toolchain | None:
        """Return this tree with extras if it exists, else None."""
        extras = tuple(sorted({*self.extras, *names}))
        root = self._extended_root(extras) if extras != self.extras else self.root
        return dataclasses.replace(self, root=root, extras=extras) if root.is_dir() else None

    def _locked(self, extras: Sequence[str]) -> dict[str, str]:
        """Return the versions of the packages of extras that the lock file in force names."""
        return self.lock.versions_of(extras) if self.lock else {}

    def _extended_root(self, extras: Sequence[str]) -> Path:
        room = home.room("toolchain")
        return room / extended_name(self.key, extras, table(), self._locked(extras))

    @cached_property
    def packages(self) -> dict[str, str]:
        """Debian packages in the tree, names to versions, as in a lock file."""
        return current.packages(self.root)

    @cached_property
    def identity(self) -> str:
        """Key of the versions of all packages in the tree, extras included.

        A product with another identity is stale.
        """
        return home.content_key(self.key, json.dumps(self.packages, sort_keys=True)) if self.extras else self.key

    @property
    def in_force(self) -> str:
        """The tree's key and the reason why it is in force, for people."""
        had = f"in the versions that Debian{f' {self.suite}' if self.suite else ''} had"
        why = f"as the lock file {self.lock.source} says" if self.lock else had
        return f"{self.key}, {why}"

    @property
    def _base(self) -> Path:
        """The tree without extras."""
        return self.root.with_name(self.key) if self.extras else self.root

    @property
    def isolates(self) -> bool:
        """True if this machine's sandbox enforces grants; False for PRoot.

        Raises:
            EnvironmentFault: no sandbox works on this machine.
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
        """Return the host's command line that runs `argv` inside the tree; the command dies with its parent thread.

        Args:
            grant: resources that the command may use beside the tree.
            binds: deprecated; without a grant, the paths that it may write. The home is readable then.
            readable: deprecated; without a grant, the paths that it may read.
            named: deprecated; without a grant, True to be root inside.
            cwd: folder to start in.
            env: variables added to a small fixed environment.

        Raises:
            EnvironmentFault: no sandbox works on this machine.
        """
        grant = grant or _without(binds, readable, named)
        if grant.network:
            grant = dataclasses.replace(grant, over_reads={**tree.of_the_host(), **grant.over_reads})
        return ladder.choose(self._base).command(self.root, argv, grant, cwd=cwd, env=env)

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
        """Run `argv` inside the tree to its end, with output captured as bytes. Arguments as for `command`.

        Raises:
            EnvironmentFault: the command failed and `check` is set, or the sandbox cannot be made.
            LimitExceeded: the command exceeded a limit of the grant.
        """
        program = Path(argv[0]).name
        grant = grant or _without(binds, readable, named)
        command = self.command(argv, grant, cwd=cwd, env=env)
        try:
            done = run_captured(command, input=input, limits=grant.limits, folders=grant.written, what=program)
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
        """Run `argv` inside the tree like `process.run_logged`, within the limits of its grant.

        Raises:
            EnvironmentFault: the sandbox cannot be made, or the disk is full.
            LimitExceeded: the command exceeded a limit of the grant.
            R4LError: the result of `failure`.
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
            folders=grant.written,
            what=what or Path(argv[0]).name,
        )

    def _require_sandbox(self, grant: Grant, said: str) -> None:
        """Distinguish a sandbox that cannot be made from a command that failed in it, whatever it printed.

        Raises:
            EnvironmentFault: a trial with the same grant shows that the sandbox cannot be made.
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
        """Return the versions that the tree's programs print: `rustc`, `bindgen`, `gcc`, `qemu` … to version."""
        found: dict[str, str] = {}
        for name, argv in table()["versions"].items():
            done = self.run(argv, VERSIONS, check=False)
            match = VERSION.search(done.stdout.decode(errors="replace"))
            found[name] = match[0] if match else "does not run"
        return found


def read_lock(path: Path) -> LockFile:
    """Read a lock file.

    Raises:
        UsageError: the file cannot be read, is no lock file, or is for another suite or architecture.
    """
    archive = archive_for()
    return LockFile.read(path, archive.suite, archive.architecture)


def lock_of(toolchain: Toolchain, kernel: str, kernel_version: str, *, all_extras: bool = False) -> LockFile:
    """Return the lock file for a toolchain and a kernel.

    Args:
        toolchain: the toolchain; without its extras, those that exist on this machine are added.
        kernel: the kernel's release.
        kernel_version: version of its packages.
        all_extras: look the other extras up in the archive's lists, where these are here.
    """
    archive = archive_for(suite=toolchain.suite)
    base = home.room("toolchain") / toolchain.key
    extras = extras_of(toolchain)
    for name, of in table()["extras"].items() if all_extras else ():
        if name not in extras:
            # A list that was never fetched does not tell. The extra is then as new as the archive.
            with contextlib.suppress(EnvironmentFault):
                extras[name] = needed([of], base, archive)
    packages = current.packages(base)
    return LockFile(archive.suite, archive.architecture, kernel, kernel_version, packages, dict(sorted(extras.items())))


def extras_of(toolchain: Toolchain) -> dict[str, dict[str, str]]:
    """Return the packages of the extras that exist for a toolchain on this machine, or that its lock file names."""
    room, of = home.room("toolchain"), table()
    locked = toolchain.lock.extras if toolchain.lock else {}
    trees: dict[tuple[str, ...], Path] = {}
    for path in room.glob(f"{toolchain.key}+*"):
        extras = tuple(path.name.split("+")[1:-1])
        versions = toolchain.lock.versions_of(extras) if toolchain.lock else {}
        if (path / current.PACKAGES).is_file() and extended_name(toolchain.key, extras, of, versions) == path.name:
            trees[extras] = path
    return {**versions_in(trees, room / toolchain.key), **locked}


def _held(room: Path, key: str) -> current.Current | None:
    """Return the tree in force, marked as used by this process."""
    found = current.read(room, key)
    return found if found and inuse.hold(room / found.tree) else None


def _tree(room: Path, key: str, lock: LockFile | None, suite: str, say: Say) -> str:
    """Return the name of a tree with these versions, making one if none exists."""
    if lock:
        for there in current.trees(room, key):
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
    return tree.make_tree(room, key, archive_for(suite=suite), wanted, rules, of["alternatives"], say)


def _without(binds: Iterable[Path], readable: Iterable[Path], named: bool) -> Grant:
    """Return the grant for a caller that passes none."""
    warnings.warn("binds=, readable= and named= are old: give a Grant", DeprecationWarning, stacklevel=3)
    return Grant("a caller without a grant", writes=tuple(binds), reads=(home.home(), *readable), named=named)


def _remedy_for(grant: Grant) -> str:
    """Return the remedy for a sandbox that cannot be made: files of the grant may be inaccessible."""
    for path in (*grant.writes, *grant.reads, *grant.over.values(), *grant.over_reads.values()):
        try:
            owner = path.stat().st_uid
        except FileNotFoundError:
            return f"{path} is gone: run the command again"
        except OSError as error:
            return f"{path} cannot be reached: {error.strerror}"
        if owner != os.geteuid() and not os.access(path, os.R_OK, effective_ids=False):
            return f"you may not read {path}: run r4l as its owner"
        if owner != os.geteuid() == 0:
            return (
                f"{path} belongs to user {owner}, and root has no special rights in the sandbox: run r4l as that user"
            )
    return ladder.remedy()
