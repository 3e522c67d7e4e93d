# SPDX-License-Identifier: MIT
"""KTAP, the format of the kernel's test results: parse a guest's output, write pytest's results.

Format: Documentation/dev-tools/ktap.rst in the kernel's source. TAP 13, printed by older kselftests, is parsed too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

RESULT = re.compile(r"^(not ok|ok)\b *(\d+)? *(?:- )?(.*)$", re.IGNORECASE)
DIRECTIVE = re.compile(r"# *(SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b *(.*)$", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d{1,9})")
SUBTEST = re.compile(r"^# Subtest: (.*)")
FAILS = ("TIMEOUT", "ERROR")
IGNORED = ("SKIP", "TODO", "XFAIL")


@dataclass(frozen=True)
class KtapResult:
    """Result of one test; tests that only sum up others are left out.

    Attributes:
        name: suite and case, joined by dots.
        ok: True if the test passed.
        skipped: reason why the test does not count (`# SKIP`, `# TODO`, `# XFAIL`); empty if it does.
        said: diagnostic lines before the result.
        error: reason why the test could not be run or judged (`# ERROR`); empty if it was.
        seconds: wall clock on the host, where it is known.
    """

    name: str
    ok: bool
    skipped: str = ""
    said: str = ""
    error: str = ""
    seconds: float = 0.0


@dataclass
class _Level:
    """The tests at one indentation: the number announced, and the results so far."""

    indent: int
    planned: int = 0
    seen: int = 0
    results: list[KtapResult] = field(default_factory=list)

    def end(self) -> list[KtapResult]:
        """Return the results, with a failure added if fewer tests ended than were announced."""
        missing = f"{self.planned} tests were announced, {self.seen} came to an end"
        return self.results + ([KtapResult("missing", ok=False, said=missing)] if self.seen < self.planned else [])


def parse(lines: Iterable[str]) -> list[KtapResult]:
    """Parse a guest's output. A test that was announced and did not report counts as failed."""
    levels = [_Level(-1)]
    said: list[str] = []
    for line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if plan := PLAN.match(text):
            before = _close(levels, indent - 1)
            levels[-1].results += before
            levels.append(_Level(indent, int(plan[1])))
        elif match := RESULT.match(text):
            verdict, _number, rest = match.groups()
            told = DIRECTIVE.search(rest)
            name = rest[: told.start()].rstrip(" ") if told else rest
            directive, reason = told.groups() if told else ("", "")
            nested = _close(levels, indent)
            level = levels[-1]
            level.seen += 1
            if nested:
                if verdict != "ok" and all(result.ok or result.skipped for result in nested):
                    nested.append(KtapResult("", ok=False, said="\n".join(said)))
                level.results += [_below(name, result) for result in nested]
            else:
                level.results.append(_result(name, verdict == "ok", directive.upper(), reason, said))
            said = []
        elif text and not SUBTEST.match(text) and not text.startswith(("KTAP version", "TAP version")):
            said.append(text.removeprefix("# "))
    return levels[0].results + _close(levels, -1)


def _close(levels: list[_Level], indent: int) -> list[KtapResult]:
    """End the levels indented further than `indent`, and return their results."""
    found: list[KtapResult] = []
    while levels[-1].indent > indent:
        found = levels.pop().end() + found
    return found


def _result(name: str, ok: bool, directive: str, reason: str, said: list[str]) -> KtapResult:
    skipped = (reason or directive.lower()) if directive in IGNORED else ""
    words = [*said, reason] if directive in FAILS else said
    return KtapResult(name, ok and directive not in FAILS, skipped, "\n".join(words))


def _below(suite: str, result: KtapResult) -> KtapResult:
    name = f"{suite}.{result.name}" if result.name else suite
    return KtapResult(name, result.ok, result.skipped, result.said)


def text(results: Iterable[KtapResult]) -> str:
    """Format results as KTAP."""
    every = list(results)
    lines = ["KTAP version 1", f"1..{len(every)}"]
    for number, result in enumerate(every, 1):
        lines += [f"# {line}" for line in result.said.splitlines()]
        end = f" # SKIP {' '.join(result.skipped.split())}" if result.skipped else ""
        if result.error:
            end = f" # ERROR {' '.join(result.error.split())}"
        # `#` begins a directive; a name must not hold one.
        name = result.name.replace("#", "_").replace("\n", " ")
        lines.append(f"{'ok' if result.ok or result.skipped else 'not ok'} {number} {name}{end}")
    return "\n".join(lines) + "\n"
