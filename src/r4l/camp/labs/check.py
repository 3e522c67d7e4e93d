# SPDX-License-Identifier: MIT
"""Check a workspace: build it, run the lab's checks in virtual machines, read the answers.

The student's files are copied to a folder of the home, beside the lab's own, so that Kbuild and Makefile are the
original ones and the path contains no space. Products of the build run in virtual machines only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from r4l import home
from r4l.camp.labs import configured, plain
from r4l.camp.labs.checkpoints import HIDDEN
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import KernelRun, Outcome, merged_outcomes
from r4l.camp.labs.printable import shortened
from r4l.camp.labs.running import Checks, DidNotRun
from r4l.camp.labs.workspace import Workspace
from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.process import SGR, Say, quiet

LONGEST_ANSWER = 4000
"""Characters of an answer that are judged and kept; the questions ask for a word or a sentence."""
LONGEST_OUTPUT = 100_000
"""Characters kept of the compiler's output, which may be megabytes."""


@dataclass(frozen=True)
class Verdict:
    """Result of a check.

    Attributes:
        lab: name of the lab.
        kernel: releases of the kernels that it was checked on.
        outcomes: of all checkpoints and questions, in the lab's order.
        build: output of the compiler if the module does not build; else empty.
        warnings: the compiler's warnings if the module builds; they do not count.
    """

    lab: str
    kernel: str
    outcomes: tuple[Outcome, ...]
    build: str = ""
    warnings: str = ""

    @property
    def reached(self) -> int:
        """Number of checkpoints and questions passed."""
        return sum(outcome.passed is True for outcome in self.outcomes)

    @property
    def full(self) -> bool:
        """True if all checkpoints and questions passed."""
        return self.reached == len(self.outcomes)

    @property
    def unjudged(self) -> tuple[Outcome, ...]:
        """Outcomes that this machine could not judge. They count neither for nor against the student."""
        return tuple(outcome for outcome in self.outcomes if outcome.fault)

    @property
    def missed(self) -> bool:
        """True if a judged checkpoint or question did not pass."""
        return self.reached + len(self.unjudged) < len(self.outcomes)

    @property
    def score(self) -> str:
        """The result in words."""
        rest = f", {len(self.unjudged)} could not be judged" if self.unjudged else ""
        return f"{self.reached} of {len(self.outcomes)} reached{rest}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        counts = {"reached": self.reached, "of": len(self.outcomes), "full": self.full, "unjudged": len(self.unjudged)}
        return {**asdict(self), **counts}


@dataclass
class Check:
    """A check of a workspace.

    Attributes:
        workspace: the workspace.
        kernels: kernels to check on, one after the other; if the lab has a `config`, the kernel that it is applied to.
        hidden: folders with additional checks.
        only: checkpoints to check; None for all.
    """

    workspace: Workspace
    kernels: Sequence[Kernel]
    hidden: Sequence[Path] = ()
    say: Say = field(default=quiet)
    only: Collection[str] | None = None

    @property
    def evidence(self) -> Path:
        """Folder with results.json, the console logs and the captures of each check of the last run."""
        return place(self.workspace).with_suffix(".evidence")

    def run(self) -> Verdict:
        """Build, run the checks, read the answers, and return the verdict."""
        lab = self.workspace.lab
        # Answers come first: a syntax error in them must not discard the results of a long run.
        answers = list(self._answers())
        folder, own = place(self.workspace), self.workspace.folder
        # A kernel of the students' is one for the whole lab.
        kernel = home.lock(f"lab-{lab.name}") if lab.config else contextlib.nullcontext()
        with home.lock(f"lab-{folder.name}"), kernel:
            fill(folder, lab, self.workspace.sources())
            home.remove(self.evidence)
            self.evidence.mkdir(parents=True)
            runs = self._runs(folder)
        outcomes = [_shown_outcome(outcome, folder, own) for outcome in merged_outcomes(lab.checkpoints, runs)]
        lost = next((run.fault for run in runs if run.fault), "")
        if lost and self.hidden and HIDDEN not in (outcome.id for outcome in outcomes):
            # Without a run, the number and names of hidden checks are unknown.
            outcomes.append(Outcome(HIDDEN, "all hidden checks were run", "hidden", None, fault=lost))
        outcomes += answers
        build = _shown(next((run.build for run in runs if run.build), ""), folder, own)
        warned = _shown("\n\n".join(dict.fromkeys(run.warnings for run in runs if run.warnings)), folder, own)
        build, warned = shortened(build, LONGEST_OUTPUT), shortened(warned, LONGEST_OUTPUT)
        return Verdict(lab.name, ", ".join(kernel.release for kernel in self.kernels), tuple(outcomes), build, warned)

    def not_judged(self, fault: str) -> Verdict:
        """Return the verdict for a machine that could not even begin the check."""
        lab = self.workspace.lab
        outcomes = [*merged_outcomes(lab.checkpoints, [KernelRun(fault=fault)])]
        if self.hidden:
            outcomes.append(Outcome(HIDDEN, "all hidden checks were run", "hidden", None, fault=fault))
        outcomes += self._answers()
        return Verdict(lab.name, ", ".join(kernel.release for kernel in self.kernels), tuple(outcomes))

    def _runs(self, folder: Path) -> list[KernelRun]:
        """Build for all kernels, then check on each, so that compile errors are reported before any machine boots."""
        lab, kernels, modules = self.workspace.lab, list(self.kernels), []
        with contextlib.ExitStack() as begun:
            checks = []
            for number, kernel in enumerate(kernels):
                self.say(f"building {self._where(kernel)}".rstrip(": "))
                try:
                    if lab.config:
                        kernels[number] = kernel = configured.build(self.workspace, kernel, self.say)
                    evidence = self._evidence(kernel)
                    evidence.mkdir(exist_ok=True)
                    checks.append(begun.enter_context(Checks(lab, kernel, self.hidden, evidence, folder, self.only)))
                    modules.append(self._module(kernel, folder))
                except BuildError as error:
                    return [KernelRun(self._where(kernel), build=self._where(kernel) + _compiler(error, folder, lab))]
            self.say("checking")
            ran = []
            for kernel, check, module in zip(kernels, checks, modules, strict=True):
                path = module.path if module else None
                warned = module.warnings if module else ""
                try:
                    results, fault = check.run(path), check.fault
                except DidNotRun as error:
                    results, fault = self._without_hidden(kernel, folder, path, error)
                ran.append(KernelRun(self._where(kernel), results, fault=fault, warnings=warned))
            return ran

    def _without_hidden(
        self, kernel: Kernel, folder: Path, module: Path | None, error: DidNotRun
    ) -> tuple[dict[str, dict[str, Any]], str]:
        """Run the lab's own checks alone, after hidden ones have kept all from running.

        Raises:
            DidNotRun: there are no hidden checks, or the others do not run either.
        """
        if not self.hidden:
            raise error
        evidence = self._evidence(kernel)
        home.remove(evidence)
        evidence.mkdir(parents=True)
        with Checks(self.workspace.lab, kernel, (), evidence, folder, self.only) as own:
            results, fault = own.run(module), own.fault
        names = ", ".join(str(path) for path in self.hidden)
        reason = f"the hidden checks in {names} keep all checks from running: {error.reason}"
        entry = {"checkpoint": HIDDEN, "title": "all hidden checks were run", "passed": None, "skipped": ""}
        return {**results, HIDDEN: {**entry, "fault": reason}}, fault

    def _module(self, kernel: Kernel, folder: Path) -> BuiltModule | None:
        """Build the module under test; None if the lab has none or leaves the build to its checks."""
        lab = self.workspace.lab
        if lab.config or not lab.builds:
            return None
        for name in self.workspace.sources():
            plain.require(folder / name)
        return Module(folder).build(kernel, say=self.say)

    def _evidence(self, kernel: Kernel) -> Path:
        return self.evidence / f"{kernel.name}-{kernel.arch}" if len(self.kernels) > 1 else self.evidence

    def discard(self) -> None:
        """Remove all files of a run, for a workspace that will not be checked again."""
        folder = place(self.workspace)
        outputs = [Module(folder).output(kernel).parent for kernel in self.kernels]
        for path in (self.evidence, *outputs, folder):
            home.remove(path)

    def _where(self, kernel: Kernel) -> str:
        return f"for {kernel.release} ({kernel.arch}): " if len(self.kernels) > 1 else ""

    def _answers(self) -> Iterator[Outcome]:
        answers = self.workspace.answers()
        for question in self.workspace.lab.questions:
            answer = answers.get(question.id)
            right = question.right(answer[:LONGEST_ANSWER]) if answer else None
            read = "" if right is None else str(question.why if right else question.read)
            seen = shortened(answer or "", LONGEST_ANSWER)
            yield Outcome(question.id, str(question.ask), "question", right, seen=seen, read=read)


def place(workspace: Workspace) -> Path:
    """Return the folder in the home where a workspace is built, with a path that the kernel's Makefiles can handle."""
    key = home.content_key(str(workspace.folder))
    return home.room("labs", f"{workspace.lab.name}-{key}")


def fill(folder: Path, lab: Lab, sources: Mapping[Path, bytes]) -> None:
    """Copy the lab's own files and the student's into a folder.

    Unchanged files are not touched, so that make does not rebuild.
    """
    own = {name: path.read_bytes() for name, path in lab.files().items() if not lab.is_students(name)}
    wanted = {**own, **sources}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folder) not in wanted:
            path.unlink()
    for name, data in wanted.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def _compiler(error: BuildError, folder: Path, lab: Lab) -> str:
    """Describe a failed build: the known cause, if any, then the compiler's output."""
    if error.detail and not error.known:
        return error.detail
    return f"{error.cause.replace(folder.name, lab.name)}\n{error.detail}"


def _shown_outcome(outcome: Outcome, folder: Path, workspace: Path) -> Outcome:
    return replace(
        outcome,
        expected=_shown(outcome.expected, folder, workspace),
        seen=_shown(outcome.seen, folder, workspace),
        fault=_shown(outcome.fault, folder, workspace),
        detail=_shown(outcome.detail, folder, workspace),
    )


def _shown(text: str, folder: Path, workspace: Path) -> str:
    """Replace the build folder in a text by the student's own path, and remove colours."""
    return SGR.sub("", text).replace(str(folder), str(workspace))
