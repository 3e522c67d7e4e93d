# SPDX-License-Identifier: MIT
"""From what make printed to why it failed: the failure recognised where it is known, and the compiler's own text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l import known
from r4l.kernel import Kernel
from r4l.kernel.kdir import explain_kdir
from r4l.known import Explanation
from r4l.module import drift

FIRST_ERROR = re.compile(
    r"^(error(\[E\d+\])?: .*|.*: (fatal )?error: .*|ERROR: modpost: .*|make(\[\d+\])?: \*\*\* No rule .*"
    r"|.*ld: error: .*|.*Kbuild:\d+: .*|.*Makefile:\d+: \*\*\* .*)$",
    re.MULTILINE,
)
COMMAND_LINE = re.compile(r"^\$ .*\n", re.MULTILINE)
"""The log's own first line: the command that was run."""

MAKE_NOISE = re.compile(
    r"^(make(\[\d+\])?: (Entering|Leaving) directory.*|make(\[\d+\])?: \*\*\* .*"
    r"|[ \t]+(RUSTC|CC|LD|MODPOST|BTF|BINDGEN|UPD|AR|CLEAN)[ \t].*|Skipping BTF generation.*)\n?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Diagnosis:
    """Why a build failed.

    Attributes:
        cause, remedy: of the known failure; the first error's own line and a general remedy where it is not known.
        text: what the programs printed from the first error on, without make's own lines.
        known: the entry in the table; empty where the failure is not known.
    """

    cause: str
    remedy: str
    text: str
    known: str = ""


def explain(output: str) -> tuple[str, str]:
    """The first error in one line and the compiler's own text, from everything that make printed."""
    output = COMMAND_LINE.sub("", output)
    first = FIRST_ERROR.search(output)
    if first is None:
        return "make failed", output[-4000:]
    text = MAKE_NOISE.sub("", output[first.start() :]).rstrip()
    return first[0].strip(), text or first[0]


def diagnose(output: str, folder: Path, kernel: Kernel, others: Callable[[], Sequence[Kernel]]) -> Diagnosis:
    """Recognise the failure of a module's build.

    Args:
        output: everything that make printed.
        folder: the module's.
        kernel: that it was built for.
        others: gives the kernels that are ready too, whose API the module may have been written for.
    """
    output = known.bounded(COMMAND_LINE.sub("", output))
    first, text = explain(output)
    explanation = _recognise(output, folder, kernel, others)
    if explanation is None:
        return Diagnosis(first, "mend what the compiler shows", text)
    return Diagnosis(explanation.cause, explanation.remedy, text, explanation.name)


def _recognise(output: str, folder: Path, kernel: Kernel, others: Callable[[], Sequence[Kernel]]) -> Explanation | None:
    """The first known failure in the output whose lookup confirms it."""
    facts = known_facts(folder, kernel)
    for entry, match in known.matches("build", output):
        found = {**facts, **known.groups(match)}
        if entry.lookup == "kdir":
            return explain_kdir(kernel.build, kernel.toolchain) or entry.explain(found, match[0])
        if entry.lookup:
            seen = drift.look_up(entry.lookup, drift.block(output, match.start()), found, folder, kernel, others)
            if seen is None:
                continue
            found |= seen
        return entry.explain(found, match[0])
    return None


def notes(output: str, folder: Path, kernel: Kernel) -> tuple[Explanation, ...]:
    """The warnings in the output of a build that succeeded which are worth a word, each once."""
    facts = known_facts(folder, kernel)
    return tuple(
        entry.explain({**facts, **known.groups(match)}, match[0]) for entry, match in known.matches("note", output)
    )


def known_facts(folder: Path, kernel: Kernel) -> dict[str, object]:
    """What the texts of the tables may name."""
    configured = (kernel.build / ".config").exists()
    return {
        "release": kernel.release,
        "arch": kernel.arch,
        "kdir": kernel.build,
        "folder": folder,
        "cc": kernel.config.get("CONFIG_CC_VERSION_TEXT", "") if configured else "",
        "rustc": kernel.config.get("CONFIG_RUSTC_VERSION_TEXT", "") if configured else "",
    }
