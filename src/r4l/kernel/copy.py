# SPDX-License-Identifier: MIT
"""A kernel to change: a copy of one that was built from source, and of that source.

What was built holds the paths of both, so inside the sandbox the copies stand at the originals' places, and make does
only what differs. The source is copied by hard links: whoever changes a file of it gives the new one its name (`put`),
and make sees all of it read-only.

A copy is whole or absent, and so is each kernel that came of it. A make that was killed may leave a file that is half
written and yet newer than what it is made of: the build is then copied anew.
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
from r4l.process import Say, quiet

ORIGINAL = "original"
"""The file that says of what a folder is a copy."""
CONFIG = "config"
"""The original's configuration, and those that were laid over it: a folder each, with a .config."""
RESULTS = "results"
VMLINUX = "vmlinux"
BUILTIN = ("modules.builtin", "modules.builtin.modinfo")
UNFINISHED = "unfinished"
"""A file that is there while make runs."""
MOST_RESULTS = 9
"""Kernels that came of a copy and are kept; each has a vmlinux or a few modules."""
MAKE_SAYS = re.compile(r"(?:: warning: |make\[\d+\]: (?:Entering|Leaving)|^make: )")


@dataclass(frozen=True)
class Copy:
    """A copy of a kernel. For one user at a time: see `borrowed`.

    Attributes:
        kernel: the original.
        folder: holds `source`, `build`, and what came of them.
    """

    kernel: Kernel
    folder: Path

    @classmethod
    def make_at(cls, folder: Path, kernel: Kernel, say: Say = quiet) -> Copy:
        """Copy a kernel into a folder that is made by it.

        Raises:
            UsageError: it was not built from source.
            EnvironmentFault: no space.
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
        """Where a make was killed, begin again with the original's build."""
        if (self.folder / UNFINISHED).exists():
            say("an earlier make was killed: copying the build anew")
            with home.lock(f"build-{self.kernel.build.parent.name}"):
                partial = home.temporary(self.build)
                _copy_build(self.kernel, partial)
                home.publish(partial, self.build)
            (self.folder / UNFINISHED).unlink()

    @property
    def config(self) -> str:
        """The original's configuration."""
        return (self.folder / CONFIG / CONFIG).read_text(encoding="utf-8")

    def put(self, file: str | PurePosixPath, text: str) -> None:
        """Write a file of the source; one that is the same already is left alone, for make's sake."""
        path = self.source / file
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.r4l")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)

    def make(self, *arguments: str, say: Say = quiet, writes: Sequence[Path] = ()) -> str:
        """Run the kernel's make; returns what it printed.

        Args:
            writes: folders that it writes to, beside the build folder.

        Raises:
            BuildError: it fails; the detail is what it printed last.
        """
        kernel = self.kernel
        log = home.room("logs") / f"copy-{self.folder.name}.log"

        def failure(_code: int, tail: str) -> R4LError:
            said = [line for line in tail.splitlines() if not MAKE_SAYS.search(line)]
            first = next((line for line in said if re.search(r"\*\*\*|error", line, re.IGNORECASE)), "")
            what = f"the kernel's make {arguments[-1]} fails"
            return BuildError(f"{what}: {first.strip()}", "mend what it names", detail="\n".join(said))

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
        except BuildError:
            unfinished.unlink()
            raise
        unfinished.unlink()
        return said

    def settled(self, name: str, options: Mapping[str, str]) -> Path:
        """Lay options over the original's configuration and have the kernel's own Kconfig settle it (olddefconfig).

        The build folder stays as it is.

        Args:
            name: of the configuration; one of that name is gone then.
            options: `CONFIG_…` to `y`, `m`, `n` or what else stands behind the `=`.

        Returns:
            The `.config`.

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
        """What a configuration that was settled does not have as it was asked for, with the reasons."""
        kernel = self.kernel
        return kconfig.why_dropped(options, config.parent, self.source, architecture(kernel.arch), kernel.toolchain)

    def configure(self, config: str) -> None:
        """Have the next make go by a configuration, given as text. make itself settles it where it is not settled."""
        file = self.build / ".config"
        if file.read_text(encoding="utf-8") != config:
            home.replace_text(file, config)

    def built(self, name: str, *, link: bool = True, say: Say = quiet) -> Kernel:
        """Build the kernel as it is configured, and keep it under a name.

        Args:
            link: False builds modules only. What boots then is the original, which they fit as long as nothing that is
                built in differs.

        Raises:
            BuildError: it does not build.
        """
        result = self.folder / RESULTS / name
        self.make("all" if link else "modules", say=say)
        if not link:
            # An earlier link left its own there: of a kernel that had more built in, or less, than the one that boots.
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
        """What was built under a name, while it is kept."""
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
        """Keep the youngest results."""
        others = [path for path in newest.parent.iterdir() if path != newest]
        for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[MOST_RESULTS - 1 :]:
            home.remove(path)


@contextmanager
def borrowed(kernel: Kernel, name: str, say: Say = quiet) -> Iterator[Copy]:
    """The copy of that name in the home, for one user at a time: whoever asks meanwhile waits.

    It is made where there is none, and anew where the original was built anew.

    Raises:
        UsageError, EnvironmentFault: as `Copy.make_at`.
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
    """Names a kernel as it was built at its place: also where the user had his way with its configuration."""
    linked = (kernel.build / "vmlinux").stat()
    places = f"{kernel.source} {kernel.build}"
    return home.content_key(kernel.key, places, kernel.build / ".config", f"{linked.st_mtime_ns} {linked.st_size}")


def _copy_build(kernel: Kernel, into: Path) -> None:
    """With the times of the files: make goes by them."""
    home.copy(kernel.build, into)


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev
