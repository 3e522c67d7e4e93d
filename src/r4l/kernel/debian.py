# SPDX-License-Identifier: MIT
"""Debian's kernels: releases in the archive, and their packages unpacked (not installed)."""

from __future__ import annotations

import contextlib
import dataclasses
import lzma
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from r4l import home, resources
from r4l.arch import DEFAULT, architecture
from r4l.debian.extract import Rules
from r4l.debian.mirror import Absent
from r4l.debian.unpack import a_worker
from r4l.errors import EnvironmentFault, UsageError, disk_full
from r4l.kernel import kbuild
from r4l.kernel.config import read_config
from r4l.process import Say, dying, quiet
from r4l.threads import guarded
from r4l.toolchain import Archive, suites

VERSIONED = re.compile(r"\d+\.\d+")
"""Beginning of a release's name."""
FLAVOURS = ("rt", "cloud")
"""Flavours of Debian's kernels besides the default one: configurations of the same source, with packages of their own.
Each is a name for `--kernel`, for the newest release of the flavour."""

SUITE = "suite"
"""File in an unpacked kernel's folder that names its suite; absent for the default one."""

NEEDED_MIB = 2600
"""Free space, in MiB, that the source, the modules and the packages need while they are unpacked."""
COMPLAINTS = 4096
"""Bytes kept of tar's error output."""


@dataclass(frozen=True)
class PackagedKernel:
    """A kernel in the archive.

    Attributes:
        name: `uname -r`, such as `7.2.12+deb13-amd64`.
        version: Debian's package version, such as `7.2.12-1~bpo13+1`.
        binary: name of the package with the kernel image.
        suite: suite that it is from, as in `toolchain.suites()`; empty for the default one.
    """

    name: str
    version: str
    binary: str
    suite: str = ""

    @property
    def folder(self) -> str:
        """Name of the kernel's folder in the home."""
        return f"{self.name}_{self.version}"

    def packages(self) -> dict[str, str]:
        """Return the packages of this kernel besides its source, names to versions."""
        names = [self.binary, f"linux-base-{self.name}", f"linux-modules-{self.name}"]
        return dict.fromkeys(names, self.version)


def names() -> tuple[str, ...]:
    """Return the names for `--kernel` of Debian's kernels besides releases."""
    return ("stock", *FLAVOURS, *suites())


def is_debian(name: str) -> bool:
    """True if a name for `--kernel` is that of a Debian kernel: `stock`, a flavour, a suite or a release."""
    return name in names() or bool(VERSIONED.match(name))


def suite_named(wanted: str | None) -> str:
    """Return the suite that a name for `--kernel` means; empty for the default one, and for a release."""
    return wanted if wanted in suites() else ""


def suite_in(folder: Path) -> str:
    """Return the suite that an unpacked kernel is from."""
    note = folder / SUITE
    return note.read_text(encoding="utf-8") if note.is_file() else ""


def flavour_of(release: str) -> str:
    """Return the flavour of a release: `rt` of `7.3.4+deb13-rt-amd64`, empty for the default one."""
    return next((flavour for flavour in FLAVOURS if f"-{flavour}-" in release), "")


def in_flavour(release: str, flavour: str) -> str:
    """Return the release of a flavour that was built with another release: `7.3.4+deb13-rt-amd64` for
    `7.3.4+deb13-amd64`."""
    series, _, debian_architecture = release.rpartition("-")
    return f"{series.removesuffix(f'-{flavour_of(release)}')}-{flavour}-{debian_architecture}"


def is_wanted(release: str, wanted: str | None) -> bool:
    """True if a release is the wanted one, or of the wanted flavour; None, or a suite, is the default flavour."""
    if wanted is None or wanted in names():
        return flavour_of(release) == (wanted if wanted in FLAVOURS else "")
    return release == wanted


def newest(archive: Archive, debian_architecture: str, wanted: str | None = None) -> PackagedKernel:
    """Return the kernel that a name for `--kernel` means in an archive, which is that of its suite.

    Args:
        wanted: None or a flavour, for the newest of a tested series, else the newest of all; a suite, for its newest.

    Raises:
        EnvironmentFault: the archive has no such kernel.
    """
    suite = suite_named(wanted)
    releases = [name for name in available(archive, debian_architecture) if is_wanted(name, wanted)]
    for name in sorted(releases, key=version_key if suite else preference, reverse=True):
        found = _find(archive, name)
        if found:
            return dataclasses.replace(found, suite=suite)
    which = f" of Debian {suite}" if suite else f" of the flavour {wanted}" if wanted else ""
    raise EnvironmentFault(
        f"the mirror has no kernel{which} for {debian_architecture}",
        "see `r4l kernel list --available`, or name another mirror in R4L_MIRROR",
    )


@cache
def tested_series() -> tuple[str, ...]:
    """Return the series in tested.toml, such as `7.2`."""
    return tuple(resources.table(__package__, "tested.toml", {"series": [str]})["series"])


def preference(release: str) -> tuple[bool, tuple[int, ...]]:
    """Return a sort key for releases: tested series last, then by number, so that `max` selects the best."""
    return series_of(release) in tested_series(), version_key(release)


def series_of(release: str) -> str:
    """Return the first two numbers of a release: `7.2` of `7.2.12+deb13-amd64`."""
    return ".".join(str(number) for number in version_key(release)[:2])


def available(archive: Archive, debian_architecture: str) -> list[str]:
    """Return the releases of all flavours in the archive with headers, oldest first."""
    pattern = re.compile(rf"^linux-headers-(\d+\.\S+-{debian_architecture})$")
    matches = (pattern.match(name) for name in archive.names("linux-headers-"))
    names = {match[1] for match in matches if match}
    return sorted(names, key=lambda name: (version_key(name), flavour_of(name)))


def version_key(release: str) -> tuple[int, ...]:
    """Return a sort key for releases by number: 7.2.12 after 7.2.9."""
    return tuple(int(number) for number in re.findall(r"\d+", release.split("+")[0]))


def find(archive: Archive, name: str, version: str | None = None) -> PackagedKernel:
    """Return the release of that name and, if given, of that package version.

    Raises:
        EnvironmentFault: the archive does not have it, or no longer.
    """
    found = _find(archive, name, version)
    if found:
        return found
    raise absent(name, version)


def absent(
    name: str, version: str | None = None, *, without: Mapping[str, EnvironmentFault] | None = None
) -> EnvironmentFault:
    """Return the error for a release that the mirror does not have.

    Args:
        version: of its packages, if a certain one was wanted.
        without: suites that could not be searched, with the reasons.
    """
    faults = without or {}
    lacking = [suite for suite, fault in faults.items() if isinstance(fault, Absent)]
    unread = [f"; {suite} was not searched: {fault.cause}" for suite, fault in faults.items() if suite not in lacking]
    return EnvironmentFault(
        f"the Debian mirror does not have the kernel {name}{f' in version {version}' if version else ''}"
        + (f", and has no {', '.join(lacking)}" if lacking else "")
        + "".join(unread),
        "run `r4l kernel list --available` for those it has, or `r4l setup --update` for the newest",
    )


def _find(archive: Archive, name: str, version: str | None = None) -> PackagedKernel | None:
    versions = [there for there in archive.versions(f"linux-headers-{name}") if version in (None, there)]
    for binary in (f"linux-binary-{name}", f"linux-binary-unsigned-{name}", f"linux-image-{name}"):
        if versions and versions[0] in archive.versions(binary):
            return PackagedKernel(name, versions[0], binary)
    return None


def require_rust(headers: Path, name: str) -> None:
    """Refuse a kernel that was built without Rust.

    Args:
        headers: its unpacked linux-headers package.

    Raises:
        UsageError: CONFIG_RUST is not set.
    """
    config = read_config(next(headers.glob("usr/src/linux-headers-*/.config")))
    if config.get("CONFIG_RUST") != "y":
        raise UsageError(
            f"the kernel {name} was built without Rust (CONFIG_RUST is not set), so no Rust module can be built for it",
            "use a newer kernel: Debian's have CONFIG_RUST since 7.x; `r4l setup` takes the newest",
        )


def unpack(archive: Archive, release: PackagedKernel, final: Path, say: Say = quiet) -> None:
    """Download and unpack a kernel's packages at `final`: `packages/` unchanged, and `source/`.

    The caller holds the lock.

    Raises:
        EnvironmentFault: the network, disk space or a package version is missing.
        UsageError: the kernel has no Rust.
    """
    with home.space(final.parent, NEEDED_MIB, "a Debian kernel with its source"):
        _unpack(archive, release, final, say)


def _unpack(archive: Archive, release: PackagedKernel, final: Path, say: Say) -> None:
    partial = home.temporary(final)
    partial.mkdir()
    try:
        packages = partial / "packages"
        say("checking the kernel's configuration")
        archive.unpack({f"linux-headers-{release.name}": release.version}, packages, say)
        require_rust(packages, release.name)
        twin = next(final.parent.glob(f"[0-9]*_{release.version}/source"), None)
        wanted = release.packages()
        builder = dataclasses.replace(archive, architecture=architecture(DEFAULT).debian)
        if builder == archive:
            wanted |= kbuild.package(builder, release.version)
        if twin is None:
            say("downloading the kernel source")
            archive.unpack({f"linux-source-{series_of(release.name)}": release.version}, packages, say)
            tarball = next(packages.glob("usr/src/linux-source-*.tar.xz"))
            with unpacked_beside(tarball, partial / "source"):
                archive.unpack(wanted, packages, say)
                say("unpacking the kernel source")
            tarball.unlink()
        else:
            say("downloading the kernel")
            archive.unpack(wanted, packages, say)
            # The same source, unpacked for another architecture. It is never written to, so hard links suffice.
            say("linking the kernel source")
            home.copy(twin, partial / "source", "-al")
        if builder != archive:
            builder.unpack(kbuild.package(builder, release.version), packages, say)
        if release.suite:
            (partial / SUITE).write_text(release.suite, encoding="utf-8")
        home.publish(partial, final)
    finally:
        if partial.exists():
            home.remove(partial)


@contextlib.contextmanager
def unpacked_beside(tarball: Path, folder: Path) -> Iterator[None]:
    """Unpack a tar while the `with` block runs; an error in the block ends that.

    xz is read by one thread, which would leave the other processors without work for half a minute.
    """
    stop = threading.Event()
    errors: list[BaseException] = []

    work = partial(unpack_tar_xz, tarball, folder, stop)
    thread = threading.Thread(target=guarded(work, errors.append), daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        stop.set()
        raise
    finally:
        thread.join()
    if errors:
        raise errors[0]


def unpack_tar_xz(tarball: Path, folder: Path, stop: threading.Event | None = None) -> None:
    """Unpack a tar without its top folder. Python's lzma feeds tar, since a bare machine has no xz.

    Args:
        stop: ends the work when it is set.

    Raises:
        EnvironmentFault: the disk is full, the file is damaged, or the work was ended.
    """
    folder.mkdir()
    if not shutil.which("tar"):
        # Twice as slow.
        with a_worker() as worker:
            worker.unpack(tarball, folder, Rules(strip=1))
        return
    tar = subprocess.Popen(
        [*dying("KILL"), "tar", "-C", str(folder), "--strip-components=1", "-xf", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tar.stdin is not None
    said: list[bytes] = []
    # Read while tar runs: on a full disk it prints an error for each file, and a full pipe would block both sides.
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        failures.append(error)
        tar.kill()

    reader = threading.Thread(target=guarded(_hear, failed), args=(tar, said), daemon=True)
    reader.start()
    broken = ""
    try:
        with tar.stdin, lzma.open(tarball) as data:
            _copy(data.read, tar.stdin.write, stop or threading.Event())
    except BrokenPipeError:
        # tar has ended; its own error output names the cause.
        pass
    except (lzma.LZMAError, EOFError) as error:
        broken = str(error)
    except BaseException:
        tar.kill()
        raise
    code = tar.wait()
    reader.join()
    if failures:
        raise failures[0]
    why = b"".join(said).decode(errors="replace")
    why += broken
    if "No space left" in why:
        raise disk_full(why)
    if code or broken:
        raise EnvironmentFault(f"tar cannot unpack {tarball.name}", "run the command again", detail=why)


def _hear(tar: subprocess.Popen[bytes], said: list[bytes]) -> None:
    """Collect the first error output of tar. On a full disk tar is ended, since every further file would fail."""
    assert tar.stderr is not None
    heard = 0
    for line in tar.stderr:
        if heard < COMPLAINTS:
            said.append(line[:COMPLAINTS])
            heard += len(line)
        if b"No space left" in line:
            tar.kill()


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], object], stop: threading.Event) -> None:
    while not stop.is_set() and (chunk := read(1 << 20)):
        write(chunk)
