# SPDX-License-Identifier: MIT
"""Out-of-tree modules: a folder with a standard Kbuild, built to .ko files.

The folder is not changed: everything made lies under the home, in a copy of the folder for each kernel, which is
mounted in its place while make runs (`mirror.py`).

Plain `make -C KDIR M=$PWD` builds the same folder too; `r4l kernel show --kdir` names KDIR.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from r4l import home, inuse, resources
from r4l.errors import BuildError, UsageError
from r4l.kernel import Kernel, unfinished
from r4l.module import sandbox, unchanged, warnings
from r4l.module.around import read_around
from r4l.module.calls import kbuild_calls, missing_programs
from r4l.module.diagnose import notes
from r4l.module.kbuild_records import exported, modules_of, symbols_of_others
from r4l.module.make_runs import MakeRuns
from r4l.module.make_setup import MakeSetup
from r4l.module.makefiles import folders_below, kbuild_of, options, options_of, variables_of
from r4l.module.mirror import OF_MODPOST, SYMBOLS
from r4l.module.modinfo import BuiltModule
from r4l.module.order import in_load_order
from r4l.module.outer import built_by
from r4l.module.paths_in import whole
from r4l.module.places import FOLDER, NOTHING, VIEW, build_key, output_folder
from r4l.module.products import is_within
from r4l.module.repository import repository_of
from r4l.module.shipped import with_kernels_own
from r4l.module.view import visible
from r4l.paths import followed, require_folder, require_for_make
from r4l.process import Say, quiet

__all__ = ["BuiltModule", "Module", "built_by", "kbuild_of", "visible"]

CONFIGURED = ("configure", "autogen.sh", "configure.ac", "CMakeLists.txt", "meson.build")
"""Files of projects whose Makefiles are written by a program."""


@dataclass(frozen=True)
class Module:
    """A module folder.

    Args:
        folder: folder with a `Kbuild` or a `Makefile` with `obj-m`. Links are followed: make is given the folder
            itself.
        config: options of Kconfig, names with or without `CONFIG_` to values such as `m`: given to make as variables.
            Builds with other options lie in another place.
    """

    folder: Path
    config: tuple[tuple[str, str], ...] = ()

    def __init__(self, folder: str | Path, config: Mapping[str, str] | None = None) -> None:
        object.__setattr__(self, "folder", followed(Path(folder)))
        object.__setattr__(self, "config", options(config or {}))

    def require_kbuild(self) -> Path:
        """Return the Kbuild file of the folder.

        Raises:
            UsageError: the folder does not exist, or holds no module.
        """
        require_folder(self.folder, "give the folder that holds the module's Kbuild")
        require_for_make(self.folder, "move the module to another folder")
        file = built_by(self.folder)
        if file:
            return file
        below = folders_below(self.folder)
        remedy = "write a Kbuild with one line: `obj-m := NAME.o` for NAME.rs"
        configured = next((name for name in CONFIGURED if (self.folder / name).exists()), None)
        if below:
            remedy = f"give the folder of the module: {', '.join(map(str, below[:4]))}"
        elif configured:
            remedy = (
                f"{configured} writes its Makefiles: run it for the KDIR that `r4l kernel show --kdir` names, "
                "then give the folder with obj-m"
            )
        raise UsageError(f"{self.folder} holds no module: no Kbuild, and no Makefile with obj-m", remedy)

    def output(self, kernel: Kernel) -> Path:
        """Return the copy of the folder in which the module is built for a kernel, with all that was made in it."""
        return output_folder(self.folder, self.config, kernel)

    def key(self, kernel: Kernel) -> str:
        """Return the name of the build for a kernel, beside builds for other kernels or with other options."""
        return build_key(self.config, kernel)

    def log(self, kernel: Kernel) -> Path:
        """Return the file with the output of make's last build for a kernel."""
        output = self.output(kernel)
        return output.with_name(f"{output.name}.build.log")

    def build(self, kernel: Kernel, *, say: Say = quiet) -> BuiltModule:
        """Build the folder's one module. See `build_all` for folders with several.

        Raises:
            BuildError: the module does not compile, or does not fit the kernel.
            UsageError: the folder has no Kbuild, or several modules.
        """
        built = self.build_all(kernel, say=say)
        if len(built) != 1:
            raise UsageError(
                f"{self.folder.name} builds {len(built)} modules: {', '.join(b.path.name for b in built)}",
                "use Module.build_all, or name the .ko",
            )
        return built[0]

    def build_all(
        self, kernel: Kernel, *, say: Say = quiet, targets: tuple[str, ...] = ("modules",), color: bool = False
    ) -> list[BuiltModule]:
        """Build all modules of the folder; return them in the order in which they can be loaded (`order.py`).

        The kernel's own modules that they need are in their `needs`, which `VM.insmod` loads before them.

        The `notes` of each module explain the known warnings of make in this build. Its `warnings` are all warnings of
        the compilers, from this build or from the last one that compiled the file.

        Args:
            kernel: kernel to build for.
            say: receives the output of make.
            targets: targets of make.
            color: True to give `say` the compilers' output coloured for a terminal.

        Raises:
            BuildError: a module does not compile, or does not fit the kernel.
            UsageError: the folder has no Kbuild, or nothing to build.
        """
        file = self.require_kbuild()
        if targets == ("modules",) and (known := unchanged.recall(self.folder, self.key(kernel))):
            return known
        output, log = self.output(kernel), self.log(kernel)
        with self.lock(kernel):
            setup = MakeSetup(self.folder, self.config, kernel)
            runs = MakeRuns(setup, log, say, color)
            grant = setup.grant()
            log.write_bytes(b"")
            outside = setup.outside(grant)
            outside.forget_stale()
            begun = time.time_ns()
            try:
                grant, places, told = runs.modules(grant, targets)
            finally:
                # Also after a failure: files compiled before it are not compiled again.
                text = log.read_text(errors="replace", encoding="utf-8")
                warned = whole(warnings.keep(output, text), *runs.places(text))
                outside.note(begun)
            said = (*told, *notes(text, self.folder, kernel, missing_programs(output)))
            paths = [path for place in places for path in modules_of(place)]
            # Kbuild lists no module that is asked for by its name.
            calls = [call for call in kbuild_calls(output) if not call.code]
            paths += [place / name for call in calls for name in call.modules if (place := grant.stand_in(call.folder))]
            built = [BuiltModule(path, said, warned) for path in dict.fromkeys(paths)]
            if not all(is_within(module.path, grant.over.values()) for module in built):
                raise BuildError("modules.order names a file outside the build's folder", "have Kbuild write it")
            for module in built:
                # A wildcard (`$(wildcard *.c)`) must not find it in the next build. make keeps the object made from it.
                home.remove(module.path.with_suffix(OF_MODPOST))
        if not built:
            raise self._nothing(file)
        own = [symbol for place in places for symbol in exported(place / SYMBOLS)]
        others = [symbol for place in places for symbol in symbols_of_others(kernel, place, grant)]
        siblings = frozenset((*own, *others))
        for module in built:
            module.check(kernel, siblings)
        return [with_kernels_own(kernel, module) for module in in_load_order(built)]

    def _nothing(self, kbuild: Path) -> UsageError:
        options = sorted(options_of(kbuild) - {name for name, _ in self.config})
        if options:
            return UsageError(
                f"the {kbuild.name} of {self.folder} builds no module: {', '.join(options[:8])} "
                f"{'is' if len(options) == 1 else 'are'} not set",
                f"give `--config {options[0]}=m`",
            )
        variables = variables_of(kbuild)
        if variables:
            return UsageError(
                f"the {kbuild.name} of {self.folder} builds no module: {', '.join(variables[:8])}, of which it makes "
                "obj-m, is empty",
                f"give it a value there: `{variables[0]} ?= NAME.o`",
            )
        return UsageError(f"the {kbuild.name} of {self.folder} builds no module", "add `obj-m := NAME.o`")

    def lock(self, kernel: Kernel) -> FileLock:
        """Make the output folder and return the lock that a build in it holds."""
        output = self.output(kernel)
        inuse.make(output.parent)
        output.mkdir(exist_ok=True)
        (output.parent / NOTHING).mkdir(exist_ok=True)
        note, view = output.parent / FOLDER, output.parent / VIEW
        if not note.exists():
            home.replace_text(note, str(self.folder))
        with suppress(FileExistsError):
            view.symlink_to(self.folder)
        return home.lock(f"module-{output.parent.name}-{output.name}")

    def reads_repository(self, kernel: Kernel) -> bool:
        """Return True if the folder's build for a kernel may call git and sees the repository: a commit may change
        what it makes."""
        return sandbox.has_called(self.output(kernel)) and repository_of(self.folder) is not None

    def inputs(self) -> tuple[Path, ...]:
        """Return the folders with all of the user's files that a build may read: the folder, those around it that the
        sandbox shows, and the kit. `is_self_contained` tells whether nothing else counts."""
        roots = dict.fromkeys(followed(root) for root in (*visible(self.folder), self.folder, resources.kit()))
        return tuple(root for root in roots if not any(root.is_relative_to(other) for other in roots if other != root))

    def is_self_contained(self, kernel: Kernel) -> bool:
        """Return True if the last build for a kernel read nothing that changes without a change in `inputs`: neither a
        kernel's tree of the user's, nor the symbols of modules that r4l builds in folders beside."""
        own = home.home().resolve()
        if not all(followed(place).is_relative_to(own) for place in (kernel.build, kernel.source)):
            return False
        return not MakeSetup(self.folder, self.config, kernel).takes_others_symbols

    def read_around(self, kernel: Kernel) -> frozenset[Path]:
        """Return the files and folders outside of the folder that its builds for a kernel are known to read."""
        return read_around(self.folder, MakeSetup(self.folder, self.config, kernel).outside_record)

    def kbuild_folders(self, kernel: Kernel) -> list[Path]:
        """Return the folders for which the last build called Kbuild: the module's own, or those that its Makefile
        names (`M=$(PWD)/src`)."""
        calls = kbuild_calls(self.output(kernel))
        named = [call.folder for call in calls if call.makes_modules and call.folder.is_relative_to(self.folder)]
        return list(dict.fromkeys(named)) or [self.folder]

    def plan(self, kernel: Kernel, folder: Path | None = None) -> str:
        """Return the commands that make would run to build a folder, without running them (`make --dry-run`).

        Args:
            kernel: kernel to build for.
            folder: the module's own by default, or one of `kbuild_folders`.

        Returns:
            Make's output, in which surrogates stand for bytes that are not UTF-8 (PEP 383).
        """
        done = self.make(kernel, f"M={folder or self.folder}", "-n", "V=1", "modules")
        return done.stdout.decode(errors="surrogateescape")

    def make(self, kernel: Kernel, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run make for the folder to its end, whatever its exit status, with its output captured as bytes.

        Args:
            kernel: kernel to build for.
            arguments: options, variables and targets of make.
        """
        with self.lock(kernel):
            setup = MakeSetup(self.folder, self.config, kernel)
            argv, grant = setup.argv(*arguments), setup.grant()
            tools = sandbox.build_toolchain(kernel, setup.output)
            with unfinished.noted(setup.mark):
                return tools.run(argv, grant, cwd=self.folder, env=setup.environment(), check=False)
