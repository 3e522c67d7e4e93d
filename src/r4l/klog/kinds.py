# SPDX-License-Identifier: MIT
"""How the kernel's complaints begin, go on and end. The kinds are data: kinds.toml."""

from __future__ import annotations

import re

from r4l import resources

_FILE = resources.table(__package__, "kinds.toml")
_TABLE = _FILE["kind"]

HEADLINES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (entry["name"], re.compile("|".join(entry["patterns"]))) for entry in _TABLE
)
_DEATHS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (entry["of"], re.compile("|".join(entry["patterns"]))) for entry in _FILE["death"]
)
SINGLE = frozenset(entry["name"] for entry in _TABLE if entry.get("single"))
RULED = frozenset(entry["name"] for entry in _TABLE if entry.get("ruled"))
PREFIX = {entry["name"]: re.compile(entry["prefix"]) for entry in _TABLE if "prefix" in entry}
"""Kinds of which every line begins in the same way."""
NOISE = re.compile("(?:" + "|".join(_FILE["noise"]) + ")$")
"""Functions of the kernel that say nothing about a complaint."""

ANY = re.compile("|".join(pattern.pattern for _, pattern in HEADLINES))
"""Any headline: most lines are told to be none by this alone."""

CUT_HERE = "------------[ cut here ]------------"
END = re.compile(r"^---\[ end (?:trace|Kernel panic)")
TRACE_END = "</TASK>"
RULE = re.compile(r"^={20,}$")

_AFTERWARDS = (
    r"\s",
    r"Call [Tt]race:",
    r"CPU: \d+",
    r"Hardware name: ",
    r"Modules linked in:",
    r"Tainted: ",
    r"Workqueue: ",
    r"note: \S+\[\d+\] exited",
    r"Fixing recursive fault",
    r"---\[ end ",
    r"Kernel Offset: ",
    r"Kernel panic - not syncing",
    r"Rebooting in ",
    r"ACPI MEMORY or I/O RESET",
    r"SMP: stopping",
    r"Dumping ftrace",
    r"Oops: ",
    # registers: x86, then arm64
    r"R(?:IP|SP|[0-9A-D][0-9XIP]|BP|SI|DI): ",
    r"(?:[C-G]S|CR\d|DR\d|PKRU|EFLAGS|ORIG_RAX|Code|PGD|#PF): ?",
    r"(?:pc|lr|sp) : ",
    r"x\d+\s?: ",
    r"pstate: ",
    r"(?:Mem|Data) abort info",
    r"user pgtable",
    r"\[[0-9a-f]{16}\] pgd",
    # lockdep
    r"(?:irq event stamp|hardirqs last|softirqs last)",
)
BELONGS = re.compile("^(?:" + "|".join(_AFTERWARDS) + ")")
"""Lines that belong to a complaint even after its end mark or its call trace."""


def classify(text: str) -> str | None:
    """The kind of complaint that a line begins, or None."""
    if not ANY.search(text):
        return None
    for kind, pattern in HEADLINES:
        if pattern.search(text):
            return kind
    return None


def death(text: str) -> str:
    """The death that a line of a complaint shows: of the `machine`, of a `task`; empty where it shows none."""
    return next((of for of, pattern in _DEATHS if pattern.search(text)), "")
