# SPDX-License-Identifier: MIT
"""A kernel to modify: a copy of one built from source, and of that source.

Build products contain the paths of both, so inside the sandbox the copies appear at the originals' places, and make
only builds the differences. The source is copied by hard links: a changed file is replaced by renaming (`put`), and
make sees the source read-only.

A copy is complete or absent, and so is each kernel built from it. A killed make may leave a partial file that is newer
than its sources; the build is then copied again.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from r4l import home
from r4l.arch import architecture
from r4l.errors import BuildError, R4LError, UsageError
from r4l.kernel import kconfig
from r4l.kernel.make import kernel_make
from r4l.kernel.model import Kernel
from r4l.limits import LimitExceeded
from r4l.paths import require_text
from r4l.process import Say, quiet

ORIGINAL = "original"
"""File that identifies the original of a copy."""
CONFIG = "config"
"""Folder of the configurations: the original's, and a folder with a .config for each that was derived from it."""
RESULTS = "results"
VMLINUX = "vmlinux"
BUILTIN = ("modules.builtin", "modules.builtin.modinfo")
UNFINISHED = "unfinished"
"""File that exists while make runs."""
MOST_RESULTS = 9
"""Number of kept kernels built from a copy; each has a vmlinux or a few modules."""
MAKE_SAYS = re.compile(r"(?:: warning: |make\[\d+\]: (?:Entering|Leaving)|^make: )")


@dataclass(frozen=True)
class Copy:
    """A copy of a kernel, for one user at a time (see `borrowed`).

    Attributes:
        kernel: the original.
        folder: contains `source`, `build`, and the kernels built from them.
    """

    kernel: Kernel
    folder: Path

    @classmethod
    def make_at(cls, folder: Path, kernel: Kernel, say: Say = quiet) -> Copy:
        """Copy a kernel into a new folder.

        Raises:
            UsageError: the kernel was not built from source.
            EnvironmentFault: the disk has not enough space.
        """
        if kernel.manifest.get("origin") != "source":
            raise UsageError(f"the kernel {kernel.release} was not built from source here", "use --kernel minimal")
        say(f"copying the kernel {kernel.name}")
        with home.lock(f"build-{kernel.build.parent.name}"):
            home.require_space(folder.parent, home.disk_usage(kernel.build) // 2**20 + 300, "a copy of a kernel")
            partial = home.temporary(folder)
            partial.mkdir()
            links = ["-al"] if _same_disk(kernel.source, folder.parent) else ["-a", "--reflink=auto"]
            home.copy(kernel.source, partial / "source", *links)
            _copy_build(kernel, partial / "build")
            (partial / CONFIG).mkdir()
            (partial / CONFIG / CONFIG).write_bytes((kernel.build / ".config").read_bytes())
            (partial / ORIGINAL).write_text(_stamp(kernel), encoding="utf-8")
            home.publish(partial, folder)
        return cls(kernel, folder)

    @property
    def source(self) -> Path:
        """The copy of the source."""
        return self.folder / "source"

    @property
    def build(self) -> Path:
        """The copy of the build folder."""
        return self.folder / "build"

    def repair(self, say: Say = quiet) -> None:
        """Copy the original's build again if an earlier make was killed."""
        if (self.folder / UNFINISHED).exists():
            say("an earlier make was killed: copying the build again")
            with home.lock(f"build-{self.kernel.build.parent.name}"):
                partial = home.temporary(self.build)
                _copy_build(self.kernel, partial)
                home.publish(partial, self.build)
            (self.folder / UNFINISHED).unlink()

    @property
    def config(self) -> str:
        """The original's configuration, as text."""
        return require_text(self.folder / CONFIG / CONFIG, "surrogateescape")

    def put(self, file: str | PurePosixPath, text: str) -> None:
        """Write a file of the source. A file with the same content is left alone, so that make does not rebuild."""
        path = self.source / file
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.r4l")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)

    def make(self, *arguments: str, say: Say = quiet, writes: Sequence[Path] = ()) -> str:
        """Run the kernel's make; return its output.

        Args:
            writes: folders that make writes to, beside the build folder.

        Raises:
            BuildError: make failed; the detail has the last lines of its output.
        """
        kernel = self.kernel
        log = home.room("logs") / f"copy-{self.folder.name}.log"

        def failure(_code: int, tail: str) -> R4LError:
            said = [line for line in tail.splitlines() if not MAKE_SAYS.search(line)]
            first = next((line for line in said if re.search(r"\*\*\*|error", line, re.IGNORECASE)), "")
            what = f"the kernel's make {arguments[-1]} failed"
            return BuildError(f"{what}: {first.strip()}", "correct the cause that it names", detail="\n".join(said))

        unfinished = self.folder / UNFINISHED
        unfinished.touch()
        try:
            said = kernel_make(
                kernel.toolchain,
                kernel.source,
                kernel.build,
                [*kernel.make_arguments, *arguments],
                log,
                failure,
                say,
                over={kernel.build: self.build},
                writes=writes,
                over_reads={kernel.source: self.source},
            )
        except LimitExceeded:
            raise
        except BuildError:
            unfinished.unlink()
            raise
        unfinished.unlink()
        return said

    def settled(self, name: str, options: Mapping[str, str]) -> Path:
        """Apply options to the original's configuration, run the kernel's olddefconfig, and return the `.config`.

        The build folder is not changed.

        Args:
            name: name of the configuration; an existing one of that name is replaced.
            options: `CONFIG_…` to `y`, `m`, `n` or another value after the `=`.

        Raises:
            BuildError: Kconfig cannot be read.
        """
        file = self.folder / CONFIG / name / ".config"
        file.parent.mkdir(exist_ok=True)
        lines = [f"{option}={value}\n" for option, value in options.items()]
        home.replace_text(file, self.config + "".join(lines))
        self.make(f"KCONFIG_CONFIG={file}", "olddefconfig", writes=[file.parent])
        return file

    def dropped(self, config: Path, options: Mapping[str, str]) -> list[kconfig.Dropped]:
        """Return the options whose values in a settled configuration differ from those wanted, with the reasons."""
        kernel = self.kernel
        return kconfig.why_dropped(options, config.parent, self.source, architecture(kernel.arch), kernel.toolchain)

    def configure(self, config: str) -> None:
        """Set the configuration for the next make, given as text. make itself completes it if needed."""
        file = self.build / ".config"
        if require_text(file, "surrogateescape") != config:
            home.replace_text(file, config)

    def built(self, name: str, *, link: bool = True, say: Say = quiet) -> Kernel:
        """Build the kernel with the present configuration, and keep it under a name.

        Args:
            link: False builds modules only. The original then boots; the modules fit it as long as nothing built in
                differs.

        Raises:
            BuildError: the build failed.
        """
        result = self.folder / RESULTS / name
        self.make("all" if link else "modules", say=say)
        if not link:
            # Tables of an earlier link may describe a kernel with other built-in modules than the one that boots.
            for table in BUILTIN:
                shutil.copy2(self.kernel.build / table, self.build)
        partial = home.temporary(result)
        partial.mkdir()
        self.make(f"INSTALL_MOD_PATH={partial}", "INSTALL_MOD_STRIP=1", "modules_install", writes=[partial])
        made = {"modules.order": "modules.order"}
        if link:
            image = architecture(self.kernel.arch).built
            made |= {"vmlinux": VMLINUX, BUILTIN[0]: BUILTIN[0], image: "image"}
        for file, name_there in made.items():
            shutil.copy2(self.build / file, partial / name_there)
        home.publish(partial, result)
        self._prune(result)
        return self._kernel(result)

    def kept(self, name: str) -> Kernel | None:
        """Return the kernel built under a name, or None if it is no longer kept."""
        result = self.folder / RESULTS / name
        return self._kernel(result) if result.is_dir() else None

    def _kernel(self, result: Path) -> Kernel:
        linked: dict[str, Any] = {}
        if (result / VMLINUX).exists():
            pvh = architecture(self.kernel.arch).direct == "pvh"
            linked = {"image": result / "image", "vmlinux": result / (VMLINUX if pvh else "image")}
        return dataclasses.replace(
            self.kernel,
            name=f"{self.folder.name}-{result.name}",
            version=str(result),
            build=self.build,
            modules=result / "lib/modules" / self.kernel.release,
            **linked,
        )

    def _prune(self, newest: Path) -> None:
        """Remove all but the newest results."""
        others = [path for path in newest.parent.iterdir() if path != newest]
        for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[MOST_RESULTS - 1 :]:
            home.remove(path)


@contextmanager
def borrowed(kernel: Kernel, name: str, say: Say = quiet) -> Iterator[Copy]:
    """Lock and yield the copy of that name in the home. Other users wait.

    The copy is made if it does not exist, or if the original was rebuilt.

    Raises:
        UsageError, EnvironmentFault: as for `Copy.make_at`.
    """
    folder = home.room("copies") / f"{name}-{kernel.name}-{kernel.arch}"
    with home.lock(f"copy-{folder.name}"):
        mark = folder / ORIGINAL
        if mark.is_file() and mark.read_text(encoding="utf-8") == _stamp(kernel):
            copy = Copy(kernel, folder)
            copy.repair(say)
        else:
            copy = Copy.make_at(folder, kernel, say)
        yield copy


def _stamp(kernel: Kernel) -> str:
    """Return a key of the kernel's present build, including configuration changes by the user."""
    linked = (kernel.build / "vmlinux").stat()
    places = f"{kernel.source} {kernel.build}"
    return home.content_key(kernel.key, places, kernel.build / ".config", f"{linked.st_mtime_ns} {linked.st_size}")


def _copy_build(kernel: Kernel, into: Path) -> None:
    """Copy a build with its time stamps, which make compares."""
    home.copy(kernel.build, into)


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev
