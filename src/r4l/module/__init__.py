# SPDX-License-Identifier: MIT
"""Out-of-tree modules: a folder with a standard Kbuild, built to .ko files.

The folder is not changed: everything made lies under the home, in a copy of the folder for each kernel, which is
mounted in its place while make runs (`mirror.py`).

Plain `make -C KDIR M=$PWD` builds the same folder too; `r4l kernel show --kdir` names KDIR.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from r4l import home, inuse, limits, resources
from r4l.arch import DEFAULT, architecture
from r4l.errors import BuildError, EnvironmentFault, R4LError, UsageError
from r4l.kernel import Kernel, stock
from r4l.known import Explanation
from r4l.module import sandbox, unchanged, warnings
from r4l.module.calls import MISSING, NOTES, KbuildCall, kbuild_calls, missing_programs
from r4l.module.diagnose import diagnose, notes
from r4l.module.makefiles import beside, folders_below, is_makefile, kbuild_of, options, options_of
from r4l.module.mirror import OF_MODPOST, SYMBOLS, FolderMirror
from r4l.module.modinfo import BuiltModule
from r4l.module.order import in_load_order
from r4l.module.outer import built_by, does_more, outer_pass
from r4l.module.paths_in import entered, whole
from r4l.module.products import require_own
from r4l.module.view import git_folders, visible
from r4l.paths import require_for_make
from r4l.process import Say, quiet
from r4l.toolchain import Grant

__all__ = ["BuiltModule", "Module", "built_by", "kbuild_of", "visible"]

FOLDER = "folder"
"""File beside the output folders with the path of the module's own folder."""
NOTHING = "nothing"
"""Empty folder beside the output folders, mounted over git's own folders."""
VIEW = "source"
"""Link beside the output folders to the module's own folder, where a build sees the folder unchanged."""
COLORS = {"TERM": "xterm", "TERM_URLS": "no"}
"""Environment with which rustc and gcc colour their output for a terminal, gcc without links to its manual."""
CONFIGURED = ("configure", "autogen.sh", "configure.ac", "CMakeLists.txt", "meson.build")
"""Files of projects whose Makefiles are written by a program."""
LONGEST_NOTE = 1000
"""Number of characters of make's output in a note."""
LINES = ("KCFLAGS=-g1", "KRUSTFLAGS=-Cdebuginfo=1")
"""Flags for line numbers in modules for a kernel without debug information, so that complaints name the line.

The kernel loads such a module like any other; it skips those sections.
"""


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
        object.__setattr__(self, "folder", Path(folder).resolve())
        object.__setattr__(self, "config", options(config or {}))

    def require_kbuild(self) -> Path:
        """Return the Kbuild file of the folder.

        Raises:
            UsageError: the folder does not exist, or holds no module.
        """
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder} is not a folder", "give the folder that holds the module's Kbuild")
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
        place = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        return home.home() / "modules" / f"{self.folder.name}-{place}" / self.key(kernel)

    def key(self, kernel: Kernel) -> str:
        """Return the name of the build for a kernel, beside builds for other kernels or with other options."""
        return f"{kernel.key}-{home.content_key(repr(self.config))[:8]}" if self.config else kernel.key

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
            grant = self._grant(kernel, output)
            log.write_bytes(b"")
            try:
                grant, places, told = self._make_with_programs(kernel, grant, targets, say, color)
            finally:
                # Also after a failure: files compiled before it are not compiled again.
                text = log.read_text(errors="replace", encoding="utf-8")
                warned = whole(warnings.keep(output, text), *self._places(output, text))
            said = (*told, *notes(text, self.folder, kernel))
            paths = [(place / name).with_suffix(".ko") for place in places for name in _in_order(place)]
            # Kbuild lists no module that is asked for by its name.
            calls = [call for call in kbuild_calls(output) if not call.code]
            paths += [place / name for call in calls for name in call.modules if (place := grant.stand_in(call.folder))]
            built = [BuiltModule(path, said, warned) for path in dict.fromkeys(paths)]
            copies = [place.resolve() for place in grant.over.values()]
            if not all(any(module.path.resolve().is_relative_to(copy) for copy in copies) for module in built):
                raise BuildError("modules.order names a file outside the build's folder", "have Kbuild write it")
            for module in built:
                # A wildcard (`$(wildcard *.c)`) must not find it in the next build. make keeps the object made from it.
                home.remove(module.path.with_suffix(OF_MODPOST))
        if not built:
            raise self._nothing(file)
        exported = [symbol for place in places for symbol in _exported(place / SYMBOLS)]
        others = [symbol for place in places for symbol in self._of_others(kernel, place, grant)]
        siblings = frozenset((*exported, *others))
        for module in built:
            module.check(kernel, siblings)
        return in_load_order(built)

    def _make_with_programs(
        self,
        kernel: Kernel,
        grant: Grant,
        targets: tuple[str, ...],
        say: Say,
        color: bool,
    ) -> tuple[Grant, list[Path], list[Explanation]]:
        """Run make, and once more if it called programs that the toolchain lacks and that could be fetched.

        Returns:
            The grant of the last run, and the folders and notes of `_make_all`.

        Raises:
            BuildError: no module was made.
        """
        output = self.output(kernel)
        home.remove(output / MISSING)
        failed, places, told = None, list[Path](), list[Explanation]()
        try:
            places, told = self._make_all(kernel, grant, targets, say, color)
        except (BuildError, UsageError) as error:
            failed = error
        missing = missing_programs(output)
        if missing and sandbox.EXTRA not in sandbox.tools(kernel, output).extras:
            try:
                say(f"fetching programs that the build calls: {', '.join(missing)}")
                kernel.toolchain.extended(sandbox.EXTRA, say=say)
            except EnvironmentFault as fault:
                told.append(_not_fetched(missing, fault))
            else:
                sandbox.remember_call(output)
                # make would take files that were made without them as up to date.
                home.remove(output)
                grant, failed = self._grant(kernel, output), None
                self.log(kernel).write_bytes(b"")
                places, told = self._make_all(kernel, grant, targets, say, color)
        if failed:
            failed.detail = "\n".join([failed.detail, *(f"{note.cause}\n{note.remedy}" for note in told)])
            raise failed
        return grant, places, told

    def _make_all(
        self,
        kernel: Kernel,
        grant: Grant,
        targets: tuple[str, ...],
        say: Say,
        color: bool,
    ) -> tuple[list[Path], list[Explanation]]:
        """Run make: the Makefile's own outer pass if it does more than to call Kbuild for the folder, else Kbuild.

        Returns:
            The folders on the host in which Kbuild has made modules, and notes about the outer pass.

        Raises:
            BuildError: no module was made.
        """
        told: list[Explanation] = []
        direct = kbuild_of(self.folder)
        makefile = outer_pass(self.folder) or (None if direct else built_by(self.folder))
        if makefile and targets == ("modules",) and (direct is None or does_more(makefile)):
            failed, calls = self._outer(kernel, grant, say, color)
            places = [place for call in calls if not call.code and (place := grant.stand_in(call.folder))]
            if any(call.code for call in calls) and (failed or not places):
                # A Makefile may ignore the failure.
                raise failed or self._failure(kernel, grant)
            if places:
                return list(dict.fromkeys(places)), [_after(makefile, failed)] if failed else []
            if direct is None:
                raise failed or self._calls_nothing(makefile)
            told = [_before(makefile, failed)]
        # With -k the errors of all files are seen in one go.
        argv = self._argv(kernel, "-k", f"-j{os.cpu_count() or 1}", *targets)
        failed = self._make(kernel, grant, argv, say, color)
        if failed:
            raise failed
        return [self.output(kernel)], told

    def _outer(self, kernel: Kernel, grant: Grant, say: Say, color: bool) -> tuple[BuildError | None, list[KbuildCall]]:
        """Run make's outer pass; return its failure, and the calls of Kbuild that make modules.

        A rule for the .ko, or for a file that says that it was made, calls Kbuild only if the file is missing, whatever
        has changed. So products of the build before are removed then.
        """
        output = self.output(kernel)
        before = [call for call in kbuild_calls(output) if call.makes_modules]

        def run() -> tuple[BuildError | None, list[KbuildCall]]:
            failed = self._make(kernel, grant, ["make", *self._for_outer(kernel)], say, color)
            return failed, [call for call in kbuild_calls(output) if call.makes_modules]

        failed, calls = run()
        if before and not (failed or calls):
            for place in filter(None, (grant.stand_in(call.folder) for call in before)):
                for file in ((place / name).with_suffix(".ko") for name in _in_order(place)):
                    if file.resolve().is_relative_to(output.resolve()):
                        file.unlink(missing_ok=True)
            failed, calls = run()
        if before and not (failed or calls):
            home.remove(output)
            self._grant(kernel, output)
            failed, calls = run()
        return failed, calls

    def _calls_nothing(self, makefile: Path) -> UsageError:
        below = ", ".join(map(str, folders_below(self.folder)[:4]))
        return UsageError(
            f"the default goal of {makefile} does not call Kbuild",
            f"give the folder of the module: {below}" if below else "write a Kbuild with one line: `obj-m := NAME.o`",
        )

    def _for_outer(self, kernel: Kernel) -> list[str]:
        """Return the variables that a user gives to make for a kernel of another architecture, and for options."""
        table = architecture(kernel.arch)
        cross = [] if kernel.arch == DEFAULT else [f"ARCH={table.kbuild}", f"CROSS_COMPILE={table.gnu}-"]
        return [*cross, *(f"{name}={value}" for name, value in self.config)]

    def _of_others(self, kernel: Kernel, place: Path, grant: Grant) -> Iterator[str]:
        """Yield the symbols of modules of other folders, from the files that KBUILD_EXTRA_SYMBOLS names.

        Kbuild records modpost's command, in which they are (scripts/Makefile.modpost).
        """
        record = place / f".{SYMBOLS}.cmd"
        text = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
        seen = [root.resolve() for root in (*grant.reads, *grant.over.values())]
        [folder] = [shown / place.relative_to(copy) for shown, copy in grant.over.items() if place.is_relative_to(copy)]
        for name in re.findall(r" -i (\S+)", text):
            named = Path(os.path.normpath(folder / name))
            if named == kernel.build / SYMBOLS:
                continue
            file = grant.stand_in(named) or named
            if any(file.resolve().is_relative_to(root) for root in seen):
                yield from _exported(file)

    def _nothing(self, kbuild: Path) -> UsageError:
        options = sorted(options_of(kbuild) - {name for name, _ in self.config})
        if options:
            return UsageError(
                f"the {kbuild.name} of {self.folder} builds no module: {', '.join(options[:8])} "
                f"{'is' if len(options) == 1 else 'are'} not set",
                f"give `--config {options[0]}=m`",
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

    def kbuild_folders(self, kernel: Kernel) -> list[Path]:
        """Return the folders for which the last build called Kbuild: the module's own, or those that its Makefile
        names (`M=$(PWD)/src`)."""
        calls = kbuild_calls(self.output(kernel))
        named = [call.folder for call in calls if call.makes_modules and call.folder.is_relative_to(self.folder)]
        return list(dict.fromkeys(named)) or [self.folder]

    def _places(self, output: Path, said: str) -> list[Path]:
        """Return the folders in whose terms compilers name files in make's output, that of a failed call first."""
        calls = [call for call in kbuild_calls(output) if call.folder.is_relative_to(self.folder)]
        found = [call.folder for call in sorted(calls, key=lambda call: not call.code)]
        return list(dict.fromkeys([*found, *entered(said, self.folder), self.folder]))

    def plan(self, kernel: Kernel, folder: Path | None = None) -> str:
        """Return the commands that make would run to build a folder, without running them (`make --dry-run`).

        Args:
            kernel: kernel to build for.
            folder: the module's own by default, or one of `kbuild_folders`.
        """
        return self.make(kernel, f"M={folder or self.folder}", "-n", "V=1", "modules").stdout.decode(errors="replace")

    def make(self, kernel: Kernel, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run make for the folder to its end, whatever its exit status, with its output captured as bytes.

        Args:
            kernel: kernel to build for.
            arguments: options, variables and targets of make.
        """
        with self.lock(kernel):
            argv, grant = self._argv(kernel, *arguments), self._grant(kernel, self.output(kernel))
            tools = sandbox.tools(kernel, self.output(kernel))
            return tools.run(argv, grant, cwd=self.folder, env=self._environment(kernel), check=False)

    def _environment(self, kernel: Kernel) -> dict[str, str]:
        kbuild = self._argv(kernel, "-k", f"-j{os.cpu_count() or 1}")[1:]
        return sandbox.environment(kernel, self.folder, (word for word in kbuild if not str(word).startswith("M=")))

    def _mirrors(self, kernel: Kernel, output: Path) -> list[FolderMirror]:
        """Return the up-to-date copies of the folder and of those beside it with sources of its own, outer ones first.

        Call it with the lock held.
        """
        seen = tuple(visible(self.folder))
        record = output.with_name(f"{output.name}.mirror.json")
        own = FolderMirror(self.folder, output, record, output.parent / VIEW, seen, home.home().resolve())
        # Few of thousands: links, and what make reads.
        telling = [name for name, entry in own.update().items() if isinstance(entry, str) or is_makefile(name)]
        folders = beside(self.folder, telling, seen)
        points = frozenset({self.folder, *folders})
        room = output.with_name(f"{output.name}.beside")
        mirrors = [own]
        for folder in folders:
            place = room / home.content_key(str(folder))
            room.mkdir(exist_ok=True)
            files = (place.with_suffix(".json"), place.with_suffix(".view"))
            mirrors.append(FolderMirror(folder, place, *files, seen, own.apart, points - {folder}))
            mirrors[-1].update()
            symbols = Module(folder, dict(self.config)).output(kernel) / SYMBOLS
            if symbols.is_file():
                # The symbols of r4l's own build are for this kernel; those of the user's make are in the copy already.
                shutil.copyfile(symbols, place / SYMBOLS)
        return sorted(mirrors, key=lambda mirror: mirror.folder)

    def _make(
        self,
        kernel: Kernel,
        grant: Grant,
        argv: Sequence[str | Path],
        say: Say,
        color: bool,
    ) -> BuildError | None:
        """Run make; return the explained failure, or None after success."""
        output = self.output(kernel)
        failed: list[BuildError] = []

        def failure(_code: int, _tail: str) -> R4LError:
            failed.append(self._failure(kernel, grant))
            return failed[0]

        def tell(line: str) -> None:
            entering.extend(entered(line, self.folder))
            say(whole(line, *reversed(entering), self.folder))

        entering: list[Path] = []
        home.remove(output / NOTES)
        try:
            sandbox.tools(kernel, output).run_logged(
                argv,
                grant,
                self.log(kernel),
                failure,
                cwd=self.folder,
                env={**self._environment(kernel), **(COLORS if color else {})},
                what=f"the build of {self.folder.name}",
                say=tell,
                color=color,
            )
        except BuildError as error:
            if error not in failed:
                raise
        require_own(output, (self.folder, *grant.reads))
        return failed[0] if failed else None

    def _failure(self, kernel: Kernel, grant: Grant) -> BuildError:
        """Return the failure that make's output tells, explained."""
        output = self.output(kernel)
        require_own(output, (self.folder, *grant.reads))
        text = self.log(kernel).read_text(errors="replace", encoding="utf-8")
        places = self._places(output, text)
        why = diagnose(text, places[0], kernel, lambda: _others(kernel))
        told = f"{self.folder.name} does not build: {whole(why.cause, *places)}"
        detail = whole(why.text, *places)
        return BuildError(told, why.remedy, detail=detail, known=why.known, explanations=why.explanations)

    def _grant(self, kernel: Kernel, output: Path) -> Grant:
        """Return the resources that the folder's make may use, the copies up to date. Call it with the lock held."""
        mirrors = self._mirrors(kernel, output)
        around = [folder for folder in visible(self.folder) if folder != self.folder]
        views = {mirror.view: mirror.folder for mirror in mirrors}
        shown = {**{folder: folder for folder in around}, **views}
        own = sandbox.mounts(kernel, self.folder, output)
        git = [place / path for place, real in shown.items() for path in git_folders(real, deep=real != self.folder)]
        return Grant(
            "module: build",
            reads=(*around, resources.kit(), kernel.source, kernel.build),
            over={mirror.folder: mirror.place for mirror in mirrors},
            over_reads={
                **views,
                **dict.fromkeys(git, output.parent / NOTHING),
                **own,
            },
            limits=limits.build(),
        )

    def _argv(self, kernel: Kernel, *arguments: str) -> list[str | Path]:
        return [
            # By its path: it has no need of the program that stands in its way.
            "/usr/bin/make",
            "-C",
            kernel.build,
            *kernel.make_arguments,
            *_lines(kernel),
            f"M={self.folder}",
            *(f"{name}={value}" for name, value in self.config),
            f"R4L_KIT={resources.kit()}",
            *arguments,
        ]


def _in_order(place: Path) -> list[str]:
    """Return the modules that Kbuild has made in a folder, in its own order."""
    order = place / "modules.order"
    return order.read_text(encoding="utf-8").split() if order.exists() else []


def _not_fetched(missing: Sequence[str], fault: EnvironmentFault) -> Explanation:
    names = ", ".join(missing)
    return Explanation(
        "programs-not-fetched",
        f"the build calls programs that the toolchain does not have yet ({names}), and they cannot be fetched: "
        f"{fault.cause}. What a Makefile takes from them is empty",
        fault.remedy,
    )


def _after(makefile: Path, failed: BuildError) -> Explanation:
    return Explanation(
        "outer-after",
        f"the default goal of {makefile} fails, but Kbuild, which it calls, made the modules",
        f"to see a plain `make` succeed, mend: {failed.cause.partition(': ')[2]}",
        failed.detail[-LONGEST_NOTE:],
    )


def _before(makefile: Path, failed: BuildError | None) -> Explanation:
    does = "fails before it calls Kbuild" if failed else "calls no Kbuild"
    return Explanation(
        "outer-before",
        f"the default goal of {makefile} {does}: r4l called Kbuild for the folder without it",
        f"mend: {failed.cause.partition(': ')[2]}" if failed else "nothing, if the modules are complete",
        failed.detail[-LONGEST_NOTE:] if failed else "",
    )


def _others(kernel: Kernel) -> list[Kernel]:
    """Return the kernels of the same architecture that are ready besides this one."""
    ready = stock.all_ready(kernel.toolchain)
    return [other for other in ready if other.arch == kernel.arch and other.release != kernel.release]


def _exported(file: Path) -> list[str]:
    """Return the symbols that modules export, from the Module.symvers of their folder; empty without one."""
    if not file.is_file():
        return []
    lines = (line.split("\t") for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return [words[1] for words in lines if len(words) > 1]


def _lines(kernel: Kernel) -> tuple[str, ...]:
    """Return make's arguments with which a module has line numbers."""
    try:
        return () if kernel.config.get("CONFIG_DEBUG_INFO") == "y" else LINES
    except FileNotFoundError:
        # Not the build folder of a kernel: make names what is missing.
        return ()
