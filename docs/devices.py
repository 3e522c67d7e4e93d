# SPDX-License-Identifier: MIT
"""Write the lists of names that are r4l's own in docs/devices.md, from the classes that models stand on.

`python docs/devices.py` does it.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Collection
from pathlib import Path

from r4l.pci import Device, NetworkCard, names

PAGE = Path(__file__).resolve().parent / "devices.md"
SECTION = re.compile(r"(?<=### Names that are taken\n).*?(?=\n## )", re.DOTALL)
LIST = re.compile(r"```text\n.*?```", re.DOTALL)
WIDTH = 118


def block(taken: Collection[str]) -> str:
    """Return a list of names, the public ones first."""
    ordered = sorted(taken, key=lambda name: (name.startswith("_"), name))
    return f"```text\n{textwrap.fill(' '.join(ordered), WIDTH)}\n```"


def page() -> str:
    """Return the text of the page with its lists as they are now: of devices, and of network cards beyond these."""
    devices = names.taken(Device)
    lists = iter((block(devices), block(names.taken(NetworkCard) - devices)))
    text = PAGE.read_text(encoding="utf-8")
    return SECTION.sub(lambda section: LIST.sub(lambda _: next(lists), section[0]), text, count=1)


def main() -> int:
    """Write the page; return the exit code."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
