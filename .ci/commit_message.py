#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check commit messages by the rules of CONTRIBUTING.md: `room: what`, 72 characters, a body that says why.

`commit_message.py FILE` checks a message that is being written (the hook commit-msg), and
`commit_message.py --range A..B` those of the commits in a range.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LONGEST = 72
"""Characters of the subject."""
SUBJECT = re.compile(r"[\w.-]+(, [\w.-]+)*: \S")
"""The rooms, or the files of the root, that the commit is about; then what it does."""
UNJUDGED = re.compile(r"Merge |Revert |(fixup|squash|amend)! ")
"""Subjects that git wrote."""
SCISSORS = "# ------------------------ >8 ------------------------"


def faults(message: str) -> list[str]:
    """The rules that a message breaks, each as a sentence; none where it keeps all."""
    text = message.split(SCISSORS)[0]
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("#")]
    subject, *rest = lines or [""]
    if UNJUDGED.match(subject):
        return []
    found = []
    if not SUBJECT.match(subject):
        found.append(f"the subject is not `room: what`: {subject!r}")
    if len(subject) > LONGEST:
        found.append(f"the subject has {len(subject)} characters, and {LONGEST} are shown")
    if rest and rest[0]:
        found.append("the second line is not empty")
    if not any(rest[1:]):
        found.append("no body says why")
    return found


def main(arguments: list[str]) -> int:
    """Print the faults of the messages that the arguments name; 1 where there are any, 2 where they name none."""
    if len(arguments) == 2 and arguments[0] == "--range":
        argv = ["git", "log", "-z", "--no-merges", "--format=%B", arguments[1], "--"]
        done = subprocess.run(argv, capture_output=True, check=True, encoding="utf-8")
        messages = [message for message in done.stdout.split("\0") if message]
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        messages = [Path(arguments[0]).read_text(encoding="utf-8")]
    else:
        print(__doc__, file=sys.stderr)
        return 2
    bad = 0
    for message in messages:
        for fault in faults(message):
            print(f"{message.splitlines()[0] if message.strip() else '(empty)'}\n    {fault}", file=sys.stderr)
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
