# SPDX-License-Identifier: MIT
"""Installation of Debian's packages into a tar by Debian's own dpkg, without root and without programs of the host.

As debootstrap does, the essential packages are unpacked first, and their dpkg then installs all packages, in a sandbox
whose root is the new folder. fakeroot(1) remembers the owners that the user may not give to files.
"""

from __future__ import annotations

import importlib.resources
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l import home, limits
from r4l.arch import DEFAULT, architecture
from r4l.debian import Archive, Rules
from r4l.debian.package import Package
from r4l.errors import EnvironmentFault, R4LError
from r4l.process import Say, quiet
from r4l.toolchain import Grant, Toolchain
from r4l.toolchain.tree import FIRST

APT = ("apt", "debian-archive-keyring")
"""Packages beside the essential ones, without which nothing more could be installed in the guest."""
EARLY = ("base-passwd", "base-files", "dpkg", "libc6", "perl-base", "mawk", "debconf")
"""Packages that scripts of other essential packages need, in the order of debootstrap's `second_stage_install`."""
SHARED = Path("/run/r4l")
"""Folder of the sandbox with the packages, and for the tar."""
FAKEROOT = ("fakeroot", "libfakeroot")
"""Packages that the installation needs and the new system does not."""
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    # In a user namespace most owners do not exist, and the kernel's refusal (EINVAL) is none that fakeroot expects.
    "FAKEROOTDONTTRYCHOWN": "1",
}
SIGN = "r4l: "
"""Beginning of a line of the script that is shown as progress."""
SOURCES = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {address} {suite} {components}\n"


@dataclass(frozen=True)
class Resolved:
    """The packages of a new system.

    Attributes:
        base: the essential ones with their dependencies, in the versions of `found`, by name.
        found: all that are installed, by name.
        apart: those that only the installation needs, by name.
    """

    base: dict[str, Package]
    found: dict[str, Package]
    apart: dict[str, Package]

    @property
    def versions(self) -> dict[str, str]:
        """Versions by name, for a lock file."""
        return {name: package.version for name, package in sorted({**self.apart, **self.found}.items())}


def resolved(archive: Archive, packages: Sequence[str], locked: Mapping[str, str]) -> Resolved:
    """Return some packages with Debian's essential ones, apt, and all dependencies.

    Args:
        archive: source of the packages, whose lists are here.
        packages: their names.
        locked: names to versions of an earlier result, which are taken again; else the archive's.

    Raises:
        EnvironmentFault: a version is not, or no longer, in the archive.
    """
    essential = archive.essential()
    pins = {name: version for name, version in locked.items() if name not in FAKEROOT}
    found = archive.resolve({**dict.fromkeys([*essential, *APT, *packages]), **pins})
    base = archive.resolve({name: found[name].version for name in essential})
    # The same versions as in the whole: dpkg of the base installs it.
    base = {name: found[name] for name in base}
    apart = archive.resolve({name: locked.get(name) for name in FAKEROOT}, list(base.values()))
    return Resolved(base, found, apart)


def install(
    tar: Path,
    archive: Archive,
    packages: Resolved,
    tools: Toolchain,
    *,
    log: Path,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    commands: Sequence[str] = (),
    layer: bytes = b"",
    say: Say = quiet,
) -> None:
    """Install packages, with Debian's essential ones and apt, and pack their files into a tar with owners and modes.

    Args:
        tar: the new file; a folder beside it is used for the work.
        archive: source of the packages.
        packages: the packages, resolved from its lists.
        tools: a toolchain, whose sandbox is used.
        log: file for the output of dpkg.
        exclude: dpkg's path-exclude.
        include: dpkg's path-include.
        commands: shell commands, run as root of the new system after the installation of all packages.
        layer: tar of files that are laid over those of the packages before the commands run.
        say: receives each step.

    Raises:
        EnvironmentFault: the network, a package or disk space is missing, or dpkg failed.
    """
    root, shared = tar.with_name("root"), tar.with_name("shared")
    shared.mkdir()
    base, found, apart = packages.base, packages.found, packages.apart
    say("downloading packages")
    debs = archive.download(list({**apart, **found}.values()), shared / "debs")
    say("unpacking the base")
    first = [FIRST, *(name for name in base if name != FIRST)]
    archive.extract([debs[name] for name in first], root, Rules(exclude, include))
    archive.extract([debs[name] for name in FAKEROOT], shared / "fakeroot", Rules())
    _prepare(root, archive, exclude, include)
    (shared / "layer.tar").write_bytes(layer)
    lists = {
        "FIRST": [debs[FIRST].name],
        "EARLY": [debs[name].name for name in EARLY],
        "REST": [debs[name].name for name in base if name not in EARLY],
        "OTHERS": [debs[name].name for name in found if name not in base],
    }
    (shared / "install").write_text(_script(lists, commands), encoding="utf-8")
    programs = SHARED / "fakeroot/usr/bin"
    library = SHARED / "fakeroot" / Path(architecture(DEFAULT).loader).parent / "libfakeroot/libfakeroot-sysv.so"
    fakeroot: list[str | Path] = [programs / "fakeroot-sysv", "--lib", library, "--faked", programs / "faked-sysv"]
    grant = Grant(
        "image: packages",
        over={Path("/"): root, SHARED: shared},
        named=True,
        limits=limits.kernel(),
    )

    def show(line: str) -> None:
        if line.startswith(SIGN):
            say(line.removeprefix(SIGN))

    def failure(code: int, tail: str) -> R4LError:
        return EnvironmentFault(f"dpkg ended with {code} while {log.stem} was made", f"see {log}", detail=tail)

    tools.run_logged(
        [*fakeroot, "--", "sh", "-e", SHARED / "install"],
        grant,
        log,
        failure,
        cwd=Path("/"),
        env=ENVIRONMENT,
        what="dpkg",
        say=show,
    )
    with home.no_full_disk():
        (shared / "root.tar").rename(tar)
    home.remove(root)
    home.remove(shared)


def script() -> str:
    """Return the part of the script in the new system that is equal for all images."""
    return (importlib.resources.files(__package__) / "images/install.sh").read_text(encoding="utf-8")


def _prepare(root: Path, archive: Archive, exclude: Sequence[str], include: Sequence[str]) -> None:
    """Write the settings of dpkg and apt."""
    lines = [f"path-exclude={path}\n" for path in exclude] + [f"path-include={path}\n" for path in include]
    sources = "".join(
        SOURCES.format(address=archive.mirror.shown, suite=suite, components=" ".join(archive.components))
        for suite in filter(None, (archive.suite, archive.backports))
    )
    files: Mapping[str, str] = {
        # What is excluded stays excluded when the guest installs more packages.
        "etc/dpkg/dpkg.cfg.d/r4l": "".join(lines),
        "etc/apt/sources.list": sources,
        "etc/apt/preferences.d/r4l": archive.preferences,
        "var/lib/dpkg/status": "",
        # No service is started while packages are installed (Debian's policy-rc.d specification).
        "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        # Whatever the user's umask is.
        path.chmod(0o644)
        for folder in path.relative_to(root).parents:
            (root / folder).chmod(0o755)
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (root / "usr/bin/awk").unlink(missing_ok=True)
    (root / "usr/bin/awk").symlink_to("mawk")


def _script(lists: Mapping[str, Sequence[str]], commands: Sequence[str]) -> str:
    """Return the script that runs in the new system.

    Args:
        lists: the variables of images/install.sh, each with the files of its packages.
        commands: shell commands after the installation.
    """
    head = "".join(f"{name}={shlex.quote(' '.join(names))}\n" for name, names in lists.items())
    return head + script().replace("# The commands stand here.\n", "".join(f"{command}\n" for command in commands))
