# SPDX-License-Identifier: MIT
"""Runs of make for a module folder: the outer pass, Kbuild, once more with programs that were missing; failures."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.errors import BuildError, R4LError, UsageError
from r4l.kernel import Kernel, stock, unfinished
from r4l.known import Explanation
from r4l.module import sandbox, unfetched
from r4l.module.calls import MISSING, NOTES, KbuildCall, kbuild_calls, missing_programs
from r4l.module.diagnose import diagnose
from r4l.module.kbuild_records import modules_of
from r4l.module.make_setup import MakeSetup
from r4l.module.makefiles import folders_below, kbuild_of
from r4l.module.outer import built_by, does_more, outer_pass
from r4l.module.paths_in import MOST, entered, whole
from r4l.module.products import is_within, require_own
from r4l.process import Say
from r4l.toolchain import Grant

COLORS = {"TERM": "xterm", "TERM_URLS": "no"}
"""Environment with which rustc and gcc colour their output for a terminal, gcc without links to its manual."""
NO_PROGRAM = "no-program"
"""Name of the known failure that a program is missing."""
LONGEST_NOTE = 1000
"""Number of characters of make's output in a note."""


class MakeRuns:
    """Runs of make for a module folder and a kernel. The lock of the output folder is held meanwhile.

    Args:
        setup: the arguments and surroundings of make.
        log: file for its output.
        say: receives its output.
        color: True to give `say` the compilers' output coloured for a terminal.
    """

    def __init__(self, setup: MakeSetup, log: Path, say: Say, color: bool) -> None:
        self._setup, self._log, self._say, self._color = setup, log, say, color
        self._folder, self._kernel, self._output = setup.folder, setup.kernel, setup.output

    def modules(self, grant: Grant, targets: tuple[str, ...]) -> tuple[Grant, list[Path], list[Explanation]]:
        """Run make, and once more if it called programs that the toolchain lacks and that could be fetched.

        Returns:
            The grant of the last run, and the folders and notes of `_make_once`.

        Raises:
            BuildError: no module was made.
        """
        home.remove(self._output / MISSING)
        failed, places, told = None, list[Path](), list[Explanation]()
        try:
            places, told = self._make_once(grant, targets)
        except (BuildError, UsageError) as error:
            failed = error
        missing = missing_programs(self._output)
        if missing and sandbox.EXTRA not in sandbox.build_toolchain(self._kernel, self._output).extras:
            without = unfetched.fetch(self._kernel.toolchain, sandbox.EXTRA, missing, self._say)
            if without:
                text = self._log.read_text(encoding="utf-8", errors="replace")
                if isinstance(failed, BuildError) and for_want_of(missing, failed, text):
                    raise BuildError(
                        f"{self._folder.name} does not build: {without.cause}",
                        without.remedy,
                        detail=failed.detail,
                        known=without.name,
                        explanations=(without, *failed.explanations[1:]),
                    )
                told.append(without)
            else:
                sandbox.remember_call(self._output)
                # make would take files that were made without them as up to date.
                home.remove(self._output)
                grant, failed = self._setup.grant(), None
                self._log.write_bytes(b"")
                places, told = self._make_once(grant, targets)
        if failed:
            failed.detail = "\n".join([failed.detail, *(f"{note.cause}\n{note.remedy}" for note in told)])
            raise failed
        return grant, places, told

    def _make_once(self, grant: Grant, targets: tuple[str, ...]) -> tuple[list[Path], list[Explanation]]:
        """Run make: the Makefile's own outer pass if it does more than to call Kbuild for the folder, else Kbuild.

        Returns:
            The folders on the host in which Kbuild has made modules, and notes about the outer pass.

        Raises:
            BuildError: no module was made.
        """
        told: list[Explanation] = []
        direct = kbuild_of(self._folder)
        makefile = outer_pass(self._folder) or (None if direct else built_by(self._folder))
        if makefile and targets == ("modules",) and (direct is None or does_more(makefile)):
            failed, calls = self._outer(grant)
            places = [place for call in calls if not call.code and (place := grant.stand_in(call.folder))]
            if any(call.code for call in calls) and (failed or not places):
                # A Makefile may ignore the failure.
                raise failed or self._failure(grant)
            if places:
                return list(dict.fromkeys(places)), [_after(makefile, failed)] if failed else []
            if direct is None:
                raise failed or self._calls_nothing(makefile)
            told = [_before(makefile, failed)]
        # With -k the errors of all files are seen in one go.
        argv = self._setup.argv("-k", f"-j{os.cpu_count() or 1}", *targets)
        failed = self._make(grant, argv)
        if failed:
            raise failed
        return [self._output], told

    def _outer(self, grant: Grant) -> tuple[BuildError | None, list[KbuildCall]]:
        """Run make's outer pass; return its failure, and the calls of Kbuild that make modules.

        A rule for the .ko, or for a file that says that it was made, calls Kbuild only if the file is missing, whatever
        has changed. So products of the build before are removed then.
        """
        before = [call for call in kbuild_calls(self._output) if call.makes_modules]

        def run() -> tuple[BuildError | None, list[KbuildCall]]:
            failed = self._make(grant, ["make", *self._for_outer()])
            return failed, [call for call in kbuild_calls(self._output) if call.makes_modules]

        failed, calls = run()
        if before and not (failed or calls):
            for place in filter(None, (grant.stand_in(call.folder) for call in before)):
                for file in modules_of(place):
                    if is_within(file, [self._output]):
                        home.remove(file)
            failed, calls = run()
        if before and not (failed or calls):
            home.remove(self._output)
            self._setup.grant()
            failed, calls = run()
        return failed, calls

    def _calls_nothing(self, makefile: Path) -> UsageError:
        below = ", ".join(map(str, folders_below(self._folder)[:4]))
        return UsageError(
            f"the default goal of {makefile} does not call Kbuild",
            f"give the folder of the module: {below}" if below else "write a Kbuild with one line: `obj-m := NAME.o`",
        )

    def _for_outer(self) -> list[str]:
        """Return the variables that a user gives to make for a kernel of another architecture, and for options."""
        table = architecture(self._kernel.arch)
        cross = [] if self._kernel.arch == DEFAULT else [f"ARCH={table.kbuild}", f"CROSS_COMPILE={table.gnu}-"]
        return [*cross, *(f"{name}={value}" for name, value in self._setup.config)]

    def _make(self, grant: Grant, argv: Sequence[str | Path]) -> BuildError | None:
        """Run make; return the explained failure, or None after success."""
        failed: list[BuildError] = []

        def failure(_code: int, _tail: str) -> R4LError:
            failed.append(self._failure(grant))
            return failed[0]

        def tell(line: str) -> None:
            entering.extend(entered(line, self._folder))
            del entering[:-MOST]
            self._say(whole(line, *reversed(entering), self._folder))

        entering: list[Path] = []
        home.remove(self._output / NOTES)
        try:
            with unfinished.noted(self._setup.mark):
                sandbox.build_toolchain(self._kernel, self._output).run_logged(
                    argv,
                    grant,
                    self._log,
                    failure,
                    cwd=self._folder,
                    env={**self._setup.environment(), **(COLORS if self._color else {})},
                    what=f"the build of {self._folder.name}",
                    say=tell,
                    color=self._color,
                )
        except BuildError as error:
            if error not in failed:
                raise
        self._require_own(grant)
        return failed[0] if failed else None

    def _require_own(self, grant: Grant) -> None:
        """Check all copies that make can write to, before any file of theirs is read."""
        # Links of r4l's own in the copies lead to the folders, as the build sees them beside the copies.
        views = [view for view, folder in grant.over_reads.items() if folder in grant.over]
        for copy in grant.over.values():
            require_own(copy, (self._folder, *grant.reads, *grant.over.values(), *views))

    def _failure(self, grant: Grant) -> BuildError:
        """Return the failure that make's output tells, explained."""
        self._require_own(grant)
        text = self._log.read_text(errors="replace", encoding="utf-8")
        places = self.places(text)
        why = diagnose(text, places[0], self._kernel, lambda: _others(self._kernel))
        told = f"{self._folder.name} does not build: {whole(why.cause, *places)}"
        detail = whole(why.text, *places)
        return BuildError(told, why.remedy, detail=detail, known=why.known, explanations=why.explanations)

    def places(self, said: str) -> list[Path]:
        """Return the folders in whose terms compilers name files in make's output, that of a failed call first."""
        calls = [call for call in kbuild_calls(self._output) if call.folder.is_relative_to(self._folder)]
        found = [call.folder for call in sorted(calls, key=lambda call: not call.code)]
        return list(dict.fromkeys([*found[:MOST], *entered(said, self._folder), self._folder]))


def for_want_of(programs: Sequence[str], failed: BuildError, log: str) -> bool:
    """True if a build failed because one of these programs is missing, and has no other known cause."""
    if any(why.name != NO_PROGRAM for why in failed.explanations[:1]):
        return False
    names = "|".join(map(re.escape, programs))
    # The program in its place says so, or a shell for it.
    return (
        re.search(rf"^(?:\S.*: )?(?:{names}): not found\n(?:.*\n){{0,5}}?make.* Error 127$", log, re.MULTILINE)
        is not None
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
