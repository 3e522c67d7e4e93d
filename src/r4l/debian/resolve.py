# SPDX-License-Identifier: MIT
"""Resolution of dependencies: the packages that some packages need, and those that these need.

Recommendations are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from r4l.debian.mirror import MOVED_ON
from r4l.debian.package import Package, Relation
from r4l.errors import EnvironmentFault

NEEDS = ("Pre-Depends", "Depends")
FORBIDS = ("Conflicts", "Breaks")
CHANGES_OF_MIND = 100
"""Number of times that packages may be replaced by another version during a resolution."""


def resolve(
    wanted: Mapping[str, str | None],
    candidates: Callable[[str], Sequence[Package]],
    providers: Callable[[str], Iterable[Package]],
    there: Iterable[Package] = (),
) -> dict[str, Package]:
    """Return the packages to unpack for some packages, by name.

    Of alternatives, one that is there already is used, else the first available, like apt.

    Args:
        wanted: names, each with the wanted version or None for the best.
        candidates: returns the versions of a name, the best first.
        providers: returns the packages that provide a name.
        there: installed packages, replaced by another version only if another package needs that.

    Raises:
        EnvironmentFault: a package or a dependency is not available, or two packages exclude each other.
    """
    resolver = _Resolver(wanted, candidates, providers, there)
    return resolver.run()


class _Resolver:
    def __init__(
        self,
        wanted: Mapping[str, str | None],
        candidates: Callable[[str], Sequence[Package]],
        providers: Callable[[str], Iterable[Package]],
        there: Iterable[Package],
    ) -> None:
        self.wanted = wanted
        self.candidates = candidates
        self.providers = providers
        self.taken: dict[str, Package] = {}
        self.have = {package.name: package for package in there}
        self.provided: dict[str, set[str]] = {}
        for package in self.have.values():
            self._note(package)
        self.todo: deque[Package] = deque()
        self.changes = 0

    def run(self) -> dict[str, Package]:
        missing = []
        for name, version in self.wanted.items():
            found = self._versions(name)
            if not found:
                missing.append(f"{name}={version}" if version else name)
            elif name not in self.have or (version and self.have[name].version != version):
                self._take(found[0])
        if missing:
            raise EnvironmentFault(f"the Debian mirror does not have {', '.join(missing)}", MOVED_ON)
        while self.todo:
            package = self.todo.popleft()
            if self.taken.get(package.name) is package:
                for clause in package.relations(*NEEDS):
                    self._satisfy(package, clause)
        self._check()
        return self.taken

    def _versions(self, name: str) -> list[Package]:
        """Return the permitted versions of a name."""
        version = self.wanted.get(name)
        return [package for package in self.candidates(name) if version in (None, package.version)]

    def _note(self, package: Package) -> None:
        for name in (package.name, *package.provides):
            self.provided.setdefault(name, set()).add(package.name)

    def _take(self, package: Package) -> None:
        if package.name in self.taken:
            self.changes += 1
            if self.changes > CHANGES_OF_MIND:
                raise _impossible(f"no version of {package.name} fits all that depend on it")
        self.taken[package.name] = self.have[package.name] = package
        self._note(package)
        self.todo.append(package)

    def _is_satisfied(self, clause: Iterable[Relation]) -> bool:
        for relation in clause:
            names = self.provided.get(relation["name"], ())
            if any(self.have[name].satisfies(relation) for name in names):
                return True
        return False

    def _satisfy(self, package: Package, clause: Sequence[Relation]) -> None:
        if self._is_satisfied(clause):
            return
        for relation in clause:
            named = [found for found in self._versions(relation["name"]) if found.satisfies(relation)]
            if named:
                self._take(named[0])
                return
            standing = [found for found in self.providers(relation["name"]) if found.satisfies(relation)]
            best = min(
                standing, key=lambda found: (found.source != package.source, found.rank, found.name), default=None
            )
            if best:
                self._take(best)
                return
        raise _impossible(f"{package.name} {package.version} needs {_words(clause)}, which is not in the archive")

    def _check(self) -> None:
        """Check that all needs are met, and that no package excludes another."""
        for package in self.taken.values():
            for clause in package.relations(*NEEDS):
                if not self._is_satisfied(clause):
                    raise _impossible(f"{package.name} {package.version} needs {_words(clause)}")
        for package in self.have.values():
            for clause in package.relations(*FORBIDS):
                for relation in clause:
                    for name in self.provided.get(relation["name"], ()):
                        if name != package.name and self.have[name].satisfies(relation):
                            raise _impossible(f"{package.name} {package.version} cannot be beside {name}")


def _words(clause: Iterable[Relation]) -> str:
    """Format a need as in the archive: `a (>= 1) | b`."""
    words = []
    for relation in clause:
        version = relation.get("version")
        words.append(f"{relation['name']} ({version[0]} {version[1]})" if version else str(relation["name"]))
    return " | ".join(words)


def _impossible(why: str) -> EnvironmentFault:
    return EnvironmentFault(f"the Debian mirror does not have packages that fit each other: {why}", MOVED_ON)
