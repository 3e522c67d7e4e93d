# SPDX-License-Identifier: MIT
"""Citations of Intel's manual by the e1000 driver and by the card in Python: manual.toml has the numbers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4l import resources
from r4l.pci.models import e1000

TABLE = tomllib.loads((Path(__file__).parent / "manual.toml").read_text(encoding="utf-8"))
DRIVER, MODEL = resources.rust("drivers/e1000"), Path(e1000.__file__).parent
CHAPTERS = 15
"""Number of the manual's last chapter; sections of IEEE 802.3 that are cited have larger ones."""
NUMBER = re.compile(r"(?<![\w.%-])(\d{1,2})((?:\.\d{1,2})+)(?![\w.]*\w|%)")


def comments(path: Path) -> Iterator[str]:
    """Yield the comments of a file in Rust, or all lines of one in Python, after the line of the licence."""
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        yield line if path.suffix == ".py" else line.partition("//")[2]


def cited(text: str) -> list[str]:
    """Return the numbers of sections in a text."""
    return [chapter + rest for chapter, rest in NUMBER.findall(text) if 3 <= int(chapter) <= CHAPTERS]


def exists(section: str) -> bool:
    """Return True if the manual has the section."""
    above, _, last = section.rpartition(".")
    count: int = TABLE["sections"].get(above, 0)
    return 1 <= int(last) <= count


def test_numbers_of_sections_are_found() -> None:
    assert cited("as in 13.4.1 and 3.3 (IEEE 802.3, 22.2.4; 5.6.35).") == ["13.4.1", "3.3", "5.6.35"]
    assert exists("13.4.47")
    assert not exists("13.4.48")
    assert not exists("13.9.4")


@pytest.mark.parametrize("path", sorted([*DRIVER.glob("*.rs"), *MODEL.glob("*.py")]), ids=lambda path: path.name)
def test_each_cited_section_exists(path: Path) -> None:
    unknown = [section for line in comments(path) for section in cited(line) if not exists(section)]
    assert not unknown


def sections_of_registers() -> dict[str, set[str]]:
    """Return the sections that the comments of `regs.rs` name for each register; "13.4.25 to 13.4.29" names all."""
    found: dict[str, set[str]] = {}
    named: set[str] = set()
    for line in (DRIVER / "regs.rs").read_text(encoding="utf-8").splitlines():
        if re.match(r"    ///", line):
            named = set(cited(line))
            if " to " in line and len(named) == 2:
                first, last = sorted(int(section.rpartition(".")[2]) for section in named)
                above = named.pop().rpartition(".")[0]
                named = {f"{above}.{number}" for number in range(first, last + 1)}
        elif register := re.match(r"    pub\(crate\) (\w+)\(u32\)", line):
            found[register[1]] = named
    return found


def test_each_register_has_its_own_section() -> None:
    found = sections_of_registers()
    assert len(found) > 40
    assert {name for name, sections in found.items() if not sections} == {"CTRL_DUP"}
    wrong = {
        name: sections for name, sections in found.items() if sections and TABLE["registers"].get(name) not in sections
    }
    assert not wrong
