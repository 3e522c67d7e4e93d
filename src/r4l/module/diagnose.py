# SPDX-License-Identifier: MIT
"""Cause of a failed build from the output of make: the failure if it is known, and the compiler's own text."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from r4l import known
from r4l.kernel import Kernel
from r4l.kernel.kdir import explain_kdir
from r4l.known import Explanation, KnownFailure, c_messages
from r4l.module import cdrift, drift
from r4l.module.errors_in import CompilerError, errors_in, with_notes
from r4l.module.rusttree import RustTree
from r4l.module.unseen import unseen
from r4l.paths import text_or_none

FIRST_ERROR = re.compile(
    r"^(error(\[E\d+\])?: .*|.*: (fatal )?error: .*|ERROR: modpost: .*|make(\[\d+\])?: \*\*\* No rule .*"
    r"|.*ld: error: .*|.*Kbuild:\d+: .*|.*Makefile:\d+: \*\*\* .*)$",
    re.MULTILINE,
)
COMMAND_LINE = re.compile(r"^\$ .*\n", re.MULTILINE)
"""First line of the log: the command that was run."""

MAKE_NOISE = re.compile(
    r"^(make(\[\d+\])?: (Entering|Leaving) directory.*|make(\[\d+\])?: \*\*\* .*"
    r"|make(\[\d+\])?: Target .* not remade because of errors\."
    r"|[ \t]+(RUSTC|CC|LD|MODPOST|BTF|BINDGEN|UPD|AR|CLEAN)[ \t].*|Skipping BTF generation.*)\n?",
    re.MULTILINE,
)

ABSENT = re.compile(
    r"^(?:\S+: (?:line )?\d+: (?P<program>[A-Za-z0-9][\w.+-]*): (?:command )?not found"
    r"|make(?:\[\d+\])?: (?P<other>[A-Za-z0-9][\w.+-]*): No such file or directory)$",
    re.MULTILINE,
)
"""Message of a shell, or of make, which starts simple commands itself, about a program."""
GENERAL = frozenset({"header-not-found", "undefined-symbol"})
"""Entries with little information, to which the kernel's headers may add some."""
GUESSES = frozenset({"c-guess", "c-include", *GENERAL})
MOST_ERRORS = 500
"""Number of errors of one build that are explained."""


@dataclass(frozen=True)
class Diagnosis:
    """Cause of a failed build.

    Attributes:
        cause, remedy: texts for the known failure; else the first error's own line and a general remedy.
        text: output of the programs from the first error on, without make's own lines; each explanation but the first
            stands under the error that it explains.
        known: entry in the table; empty for an unknown failure.
        explanations: explanations of all known errors, each once; the first is the one of `cause`.
    """

    cause: str
    remedy: str
    text: str
    known: str = ""
    explanations: tuple[Explanation, ...] = ()


def explain(output: str) -> tuple[str, str]:
    """Return the first error in one line and the compiler's own text, from all output of make."""
    output = COMMAND_LINE.sub("", output)
    first = FIRST_ERROR.search(output)
    if first is None:
        return "make failed", output[-4000:]
    text = MAKE_NOISE.sub("", output[first.start() :]).rstrip()
    return first[0].strip(), text or first[0]


def diagnose(output: str, folder: Path, kernel: Kernel, others: Callable[[], Sequence[Kernel]]) -> Diagnosis:
    """Recognise the failure of a module's build.

    Args:
        output: all output of make.
        folder: folder of the module.
        kernel: kernel that the module was built for.
        others: returns the other kernels that are ready, whose API the module may have been written for.
    """
    output = known.bounded(COMMAND_LINE.sub("", output))
    first, _text = explain(output)
    found = _Explained(output, folder, kernel, others)
    text = explain(found.annotated())[1]
    if not found.all:
        return Diagnosis(first, "correct the lines that the compiler shows", text)
    why = found.all[0]
    return Diagnosis(why.cause, why.remedy, text, why.name, tuple(found.all))


class _Explained:
    """The errors of a build with their explanations.

    Attributes:
        all: the explanations, each once, in the order of the errors; one that explains the others comes first.
    """

    def __init__(self, output: str, folder: Path, kernel: Kernel, others: Callable[[], Sequence[Kernel]]) -> None:
        self.output, self.folder, self.kernel = output, folder, kernel
        self.others = cache(others)
        self.tree = cache(RustTree)
        self.facts = known_facts(folder, kernel)
        self.errors = errors_in(output)
        self.under: dict[int, list[Explanation]] = {}
        self.winners: set[str] = set()
        found: list[tuple[int, Explanation]] = []
        of_tables = {error.start: said for error in self.errors[:MOST_ERRORS] if (said := self._of_table(error))}
        # A second error in an explained line is most often a consequence of the first.
        places = {error.place for error in self.errors if error.start in of_tables} - {""}
        # A header that was included by itself has errors of its own.
        inner = any(why.name == "inner-header" for said in of_tables.values() for why in said)
        of_members: set[str] = set()
        for error in self.errors[:MOST_ERRORS]:
            if error.place in of_members:
                # After an unknown member gcc goes on from a wrong one.
                continue
            told = error.place in places or (inner and Path(error.place).is_relative_to(kernel.source))
            said = of_tables.get(error.start) or ([] if told else self._of_headers(error))
            if said:
                found += [(error.start, why) for why in said]
                self.under[error.start] = said
                places |= {error.place} - {""}
                of_members |= {error.place} if c_messages.gone_member(error.head)[1] else set()
        found += self._outside()
        unique: dict[tuple[str, str], Explanation] = {}
        for _, why in sorted(found, key=lambda pair: pair[0]):
            unique.setdefault((why.name, why.cause), why)
        ordered = list(unique.values())
        flags = list(cdrift.makefile(folder, kernel))
        # If flags are lost, a missing header or an undefined name is most often a consequence.
        guessed = not ordered or ordered[0].name in GUESSES
        self.all = [*flags, *ordered] if flags and guessed else [*ordered, *flags]
        self.all.sort(key=lambda why: why.cause not in self.winners)

    def _of_table(self, error: CompilerError) -> list[Explanation]:
        said = (cdrift.explain(text, self.kernel) or self._known(text) for text in drift.apart(error.text))
        return [why for why in said if why]

    def _of_headers(self, error: CompilerError) -> list[Explanation]:
        why = cdrift.guess(error.text, self.kernel)
        return [why] if why else []

    def _known(self, text: str) -> Explanation | None:
        """Return the first entry of the table that matches and that its lookup confirms."""
        general = None
        for entry, match in known.matches("build", text):
            why = self._confirmed(entry, match, text)
            if why and entry.name in GENERAL:
                general = why
            elif why:
                return why
        more = cdrift.guess(text, self.kernel) if general else None
        return replace(general, cause=f"{general.cause}; {more.cause}") if general and more else general

    def _confirmed(self, entry: KnownFailure, match: re.Match[str], text: str) -> Explanation | None:
        found = {**self.facts, **known.groups(match)}
        if entry.lookup == "kdir":
            return explain_kdir(self.kernel.build, self.kernel.toolchain) or entry.explain(found, match[0])
        if entry.lookup == "symvers":
            # A symbol of this very crate can be missing, too, if it is one that the crate does not export.
            symvers = self.kernel.build / "Module.symvers"
            return None if str(found["hash"]) in text_or_none(symvers) else entry.explain(found, match[0])
        if entry.lookup == "unseen":
            missing = unseen(self.folder, str(found.get("place", "")), str(found["file"]))
            return entry.explain({**found, **missing}, match[0]) if missing else None
        if entry.lookup:
            error = drift.block(text, match.start())
            seen = drift.look_up(entry.lookup, error, found, self.folder, self.kernel, self.others, self.tree)
            if seen is None:
                return None
            found |= seen
            if seen.get("wins"):
                self.winners.add(entry.explain(found, match[0]).cause)
        return entry.explain(found, match[0])

    def _outside(self) -> list[tuple[int, Explanation]]:
        """Return the known failures outside the compilers' errors: messages of make, of the shell, of tools that
        died."""
        found = []
        for entry, match in known.matches("build", self.output):
            if not any(error.start <= match.start() < error.end for error in self.errors):
                why = self._confirmed(entry, match, self.output)
                found += [(match.start(), why)] if why else []
        return found

    def annotated(self) -> str:
        """Return the output with each explanation but the first under the first error that it explains."""
        causes = {why.cause for why in self.all[:1]}
        remedies = {why.remedy for why in self.all[:1]}

        def note(error: CompilerError) -> str:
            said = []
            for why in self.under.get(error.start, []):
                if why.cause in causes:
                    continue
                said.append(_note(why) if why.remedy not in remedies else _note(why).partition("\n")[0])
                causes.add(why.cause)
                remedies.add(why.remedy)
            return "\n".join(said)

        under = [why for said in self.under.values() for why in said]
        rest = [why for why in self.all[1:] if why not in under]
        return "\n".join([with_notes(self.output, self.errors, note).rstrip("\n"), *map(_note, rest)]) + "\n"


def _note(why: Explanation) -> str:
    cause = why.cause.removeprefix(f"{cdrift.ANOTHER}: ")
    return f"  why:    {cause}\n  remedy: {why.remedy}"


def absent_programs(output: str) -> list[str]:
    """Return the names of programs that make and its shells did not find, each once."""
    return list(dict.fromkeys(match["program"] or match["other"] for match in ABSENT.finditer(known.bounded(output))))


def notes(output: str, folder: Path, kernel: Kernel, told: Collection[str] = ()) -> tuple[Explanation, ...]:
    """Return explanations of the known warnings in the output of a build that succeeded, each once.

    Args:
        output: all output of make.
        folder: folder of the module.
        kernel: kernel that the module was built for.
        told: missing programs that another note names.
    """
    facts = known_facts(folder, kernel)
    said = [entry.explain({**facts, **known.groups(match)}, match[0]) for entry, match in known.matches("note", output)]
    absent = [name for name in absent_programs(output) if name not in told]
    if absent:
        cause = (
            f"the build calls programs that the toolchain does not have: {', '.join(absent)}. What a Makefile takes "
        )
        remedy = 'have it do without them, or put what they make into the folder (docs/building.md, "Programs")'
        said.append(Explanation("absent-programs", f"{cause}from them is empty", remedy))
    return (*said, *cdrift.makefile(folder, kernel))


def known_facts(folder: Path, kernel: Kernel) -> dict[str, object]:
    """Return the values that the texts of the tables may name."""
    configured = (kernel.build / ".config").exists()
    return {
        "release": kernel.release,
        "arch": kernel.arch,
        "kdir": kernel.build,
        "folder": folder,
        "cc": kernel.config.get("CONFIG_CC_VERSION_TEXT", "") if configured else "",
        "rustc": kernel.config.get("CONFIG_RUSTC_VERSION_TEXT", "") if configured else "",
    }
