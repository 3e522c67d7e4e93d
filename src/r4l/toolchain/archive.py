# SPDX-License-Identifier: MIT
"""The Debian archive as a library: which versions exist, and their .deb files.

Uses the host's apt with sources, lists and state of our own, so that nothing of the host's changes and no
root is needed; signatures are checked by apt with the host's Debian keyring.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from r4l import home
from r4l.errors import EnvironmentFault, R4LError
from r4l.process import Say, quiet, run_logged

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
)
INHERITED = re.compile(r'^(Acquire::(?:https?::[^ ]+|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])) "(.*)";$')
NETWORK_FAILURE = re.compile(
    r"(Could not (resolve|connect)|Temporary failure|Connection (failed|refused|timed out)|Network is unreachable"
    r"|Unable to connect)[^\n]*"
)


def mirror() -> str:
    """The address of the Debian mirror: `$R4L_MIRROR`, or the one that this machine's apt uses.

    Raises:
        EnvironmentFault: neither names one.
    """
    named = os.environ.get("R4L_MIRROR")
    if named:
        return named.rstrip("/")
    found: list[str] = []
    if shutil.which("apt-get"):
        done = subprocess.run(
            [
                "apt-get",
                "indextargets",
                "--format",
                "$(REPO_URI)|$(ORIGIN)|$(COMPONENT)|$(CODENAME)",
                "Created-By: Packages",
            ],
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
        )
        for line in done.stdout.splitlines():
            uri, origin, component, codename = line.split("|")
            looks_debian = origin == "Debian" or (not origin and "debian" in uri)
            if looks_debian and component in ("main", "") and "security" not in uri + codename:
                found.append(uri.rstrip("/"))
    if not found:
        raise EnvironmentFault(
            "no Debian mirror is known: this machine's apt names none",
            "set R4L_MIRROR to the address of a Debian mirror, such as the one in your sources.list",
        )
    return found[0]


def keyring() -> Path:
    """The public keys of Debian's archive on this machine.

    Raises:
        EnvironmentFault: the package debian-archive-keyring is missing.
    """
    for path in KEYRINGS:
        if path.exists():
            return path
    raise EnvironmentFault("Debian's archive keys are not on this machine", "install debian-archive-keyring")


def inherited_options() -> list[str]:
    """The host's apt settings that decide whether a mirror can be reached (proxy, dates), as `-o` values.

    Raises:
        EnvironmentFault: the host has no apt.
    """
    if not shutil.which("apt-config"):
        raise EnvironmentFault("apt is not installed", "install the package apt; `r4l doctor` names all that is needed")
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False, encoding="utf-8")
    matches = (INHERITED.match(line) for line in done.stdout.splitlines())
    return [f"{match[1]}={match[2]}" for match in matches if match and match[2]]


def unreachable(output: str, doing: str) -> EnvironmentFault | None:
    """The error for what apt printed, where the network is its cause; None where it is not.

    Args:
        doing: what was going on, as in "downloading packages".
    """
    problem = NETWORK_FAILURE.search(output)
    if not problem:
        return None
    return EnvironmentFault(
        f"the Debian mirror cannot be reached while {doing}: {problem[0]}",
        "check the network, the proxy in apt's settings, or name another mirror in R4L_MIRROR",
        detail=output,
    )


@dataclass(frozen=True)
class Archive:
    """One view of the archive: these suites, this architecture, these packages from backports.

    Args:
        architecture: Debian's name for it (`amd64`, `arm64`).
        pinned_sources: source packages that come from backports.
    """

    suite: str
    backports: str
    components: tuple[str, ...]
    architecture: str
    pinned_sources: tuple[str, ...]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The one-line apt sources."""
        address = mirror()
        parts = " ".join(self.components)
        return tuple(f"deb [signed-by={keyring()}] {address} {name} {parts}" for name in (self.suite, self.backports))

    @property
    def preferences(self) -> str:
        """The apt pins, as a preferences file."""
        names = " ".join(f"src:{name}" for name in self.pinned_sources)
        return f"Package: {names}\nPin: release n={self.backports}\nPin-Priority: 900\n"

    @cached_property
    def _state(self) -> Path:
        return home.room("apt", f"{self.suite}-{self.architecture}")

    def _options(self) -> list[str]:
        state = self._state
        settings = {
            "Dir": "/",
            "Dir::Etc::SourceList": state / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": state / "preferences",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": state / "state",
            "Dir::State::status": state / "state/status",
            "Dir::Cache": state / "cache",
            "Dir::Log": state / "log",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
        }
        options: list[str] = []
        for name, value in settings.items():
            options += ["-o", f"{name}={value}"]
        for option in inherited_options():
            options += ["-o", option]
        return options

    def update(self, say: Say = quiet) -> None:
        """Fetch the package lists.

        Raises:
            EnvironmentFault: the mirror cannot be reached, or its signature does not verify.
        """
        with self._lock():
            state = self._state
            for folder in ("state/lists/partial", "cache/archives/partial", "log"):
                (state / folder).mkdir(parents=True, exist_ok=True)
            (state / "state/status").touch()
            (state / "sources.list").write_text("\n".join(self.sources) + "\n", encoding="utf-8")
            (state / "preferences").write_text(self.preferences, encoding="utf-8")
            # apt-get update exits 0 with old lists when the network is gone; --error-on=any makes it say so.
            self._apt(["apt-get", *self._options(), "update", "--error-on=any"], say, "fetching Debian's package lists")

    def _lock(self) -> home.Lock:
        """What whoever runs apt with our lists and caches holds: apt's own locks do not cover reading them."""
        return home.lock(f"apt-{self.suite}-{self.architecture}")

    def _ask(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of apt's that changes nothing."""
        with self._lock():
            return subprocess.run(
                [program, *self._options(), *arguments],
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
            )

    def versions(self, package: str) -> list[str]:
        """All versions of a package in the archive, the candidate of the pins first; empty where there is none."""
        done = self._ask("apt-cache", "madison", package)
        return list(dict.fromkeys(line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line))

    def names(self, prefix: str) -> list[str]:
        """The names of all packages that begin so."""
        return self._ask("apt-cache", "pkgnames", prefix).stdout.split()

    def field(self, package: str, name: str, version: str | None = None) -> str | None:
        """A field of a package's control data (`Depends`, `Size` …) for a version or for the candidate."""
        wanted = f"{package}={version}" if version else package
        for line in self._ask("apt-cache", "show", "--no-all-versions", wanted).stdout.splitlines():
            if line.startswith(f"{name}: "):
                return line.split(": ", 1)[1]
        return None

    def needed_for(self, packages: Sequence[str], status: Path) -> dict[str, str]:
        """What apt would install for these packages, names to versions, where `status` says what there is.

        Args:
            status: dpkg's status file of a tree.

        Raises:
            EnvironmentFault: a package is not in the archive, or cannot be installed beside the others.
        """
        simulate = ("--simulate", "--no-install-recommends", "install")
        done = self._ask("apt-get", "-o", f"Dir::State::status={status}", *simulate, *packages)
        if done.returncode != 0:
            raise EnvironmentFault(
                f"the Debian mirror does not have {', '.join(packages)} for this toolchain",
                "the archive has moved on: run `r4l setup --update`",
                detail=done.stdout + done.stderr,
            )
        return dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", done.stdout, re.MULTILINE))

    def download(self, packages: Mapping[str, str], folder: Path, say: Say = quiet) -> list[Path]:
        """Fetch .deb files, names to versions, into a folder; what is there already is not fetched again.

        Raises:
            EnvironmentFault: a version is not in the archive (any more), or the network failed.
        """
        missing = [f"{name}={version}" for name, version in packages.items() if version not in self.versions(name)]
        if missing:
            raise EnvironmentFault(
                f"the Debian mirror does not have {', '.join(missing)}",
                "the archive has moved on: run `r4l setup --update` to take the newest versions",
            )
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [f"{name}={version}" for name, version in packages.items()]
        with self._lock():
            self._apt(["apt-get", *self._options(), "download", *wanted], say, "downloading packages", cwd=folder)
        found: list[Path] = []
        for name, version in packages.items():
            found += folder.glob(f"{name}_{version.replace(':', '%3a')}_*.deb")
        return found

    def _apt(self, argv: Sequence[str], say: Say, doing: str, cwd: Path | None = None) -> None:
        def failure(_code: int, tail: str) -> R4LError:
            return unreachable(tail, doing) or EnvironmentFault(
                f"apt failed while {doing}", "see its last lines", detail=tail
            )

        run_logged(argv, home.room("logs") / "apt.log", failure, say=say, cwd=cwd)
