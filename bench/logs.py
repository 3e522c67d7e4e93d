# SPDX-License-Identifier: MIT
"""Measure `r4l log` on kernel reports with known titles: `python bench/logs.py FOLDER [--misses] [--json]`.

FOLDER, or an archive of one, holds `N.log` and beside each `N.expect`, lines of `name: value`: `title` (of the first
report in the log; empty for none), `frame` (the function to blame, else the title's last word after "in"),
`corrupted: Y` (the report is torn, no function can be blamed), `suppressed: Y` (not worth a report, not counted). Such
is the test data of syzkaller, pkg/report/testdata/linux/report. Four figures:

    recall       logs with a report in which a report is found
    kind         of those titles that name a kind, share whose first complaint is of it (titles.toml)
    culprit      of those that name a function, share whose first complaint blames it
    false alarms logs in which a report is found, share of those that hold none

and the speed, of all files read one after the other by one process.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
import tempfile
import time
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from r4l.klog import Splat
from r4l.klog.blame import plain_symbol
from r4l.klog.packed import opened
from r4l.klog.reader import complaints

TITLES = [
    (re.compile(entry["pattern"]), set(entry["kinds"]))
    for entry in tomllib.loads((Path(__file__).parent / "titles.toml").read_text(encoding="utf-8"))["title"]
]


@dataclass
class Share:
    """A share: part and whole."""

    part: int = 0
    whole: int = 0

    def count(self, fine: bool) -> None:
        """Add one to the whole, and to the part if `fine`."""
        self.part += fine
        self.whole += 1

    def __str__(self) -> str:
        return f"{100 * self.part / max(1, self.whole):.1f} % ({self.part} of {self.whole})"


@dataclass
class Figures:
    """The results."""

    recall: Share = field(default_factory=Share)
    kind: Share = field(default_factory=Share)
    culprit: Share = field(default_factory=Share)
    false_alarms: Share = field(default_factory=Share)
    lines: int = 0
    seconds: float = 0.0


def expected(file: Path) -> dict[str, str]:
    """Read the expectation for a log."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(": ") for line in lines) if value}


def judge(figures: Figures, want: dict[str, str], found: list[Splat]) -> str:
    """Count a log; return the fault of its first complaint, or an empty text."""
    title = want.get("title", "")
    if found:
        figures.false_alarms.count(not title)
    if not title:
        return "a complaint" if found else ""
    figures.recall.count(bool(found))
    wrong = [] if found else ["nothing"]
    if kinds := next((kinds for pattern, kinds in TITLES if pattern.search(title)), None):
        right = bool(found) and found[0].splat_kind in kinds
        figures.kind.count(right)
        wrong += [f"kind {found[0].splat_kind}"] if found and not right else []
    blamed = want.get("frame") or (title.rsplit(" in ", 1)[1] if " in " in title else "")
    if blamed and blamed != "corrupted" and want.get("corrupted") != "Y":
        culprit = found[0].culprit if found else None
        name = plain_symbol(culprit.symbol) if culprit else ""
        right = name in {plain_symbol(word.strip()) for word in blamed.split(" / ")}
        figures.culprit.count(right)
        wrong += [f"culprit {name or 'nobody'}"] if found and not right else []
    return ", ".join(wrong)


def measure(folder: Path, *, misses: bool) -> Figures:
    """Read all logs of a folder."""
    figures = Figures()
    for file in sorted(folder.rglob("*.log"), key=lambda path: (len(path.name), path.name)):
        begin = time.process_time()
        with opened(file) as stream:
            found = sorted(complaints(stream, file), key=lambda splat: splat.first)
        # The culprit is looked for when it is asked for.
        _ = [splat.culprit for splat in found]
        figures.seconds += time.process_time() - begin
        figures.lines += file.read_bytes().count(b"\n")
        want = expected(file.with_suffix(".expect"))
        if want.get("suppressed") == "Y":
            continue
        wrong = judge(figures, want, found)
        if wrong and misses:
            print(f"{file.name}: {want.get('title', '')!r}: {wrong}")
    return figures


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with N.log and N.expect, or an archive of it")
    parser.add_argument("--misses", action="store_true", help="say which logs were read wrongly")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = asked.folder
        if folder.is_file():
            with tarfile.open(folder) as archive:
                archive.extractall(temporary, filter="data")
            folder = Path(temporary)
        figures = measure(folder, misses=asked.misses)
    if not figures.lines:
        sys.exit(f"{asked.folder}: there are no logs there")
    if asked.json:
        print(json.dumps(asdict(figures)))
        return
    print(f"recall        {figures.recall}\nkind          {figures.kind}\nculprit       {figures.culprit}")
    print(f"false alarms  {figures.false_alarms}")
    print(f"speed         {figures.lines / figures.seconds:,.0f} lines a second")


if __name__ == "__main__":
    main()
