# SPDX-License-Identifier: MIT
"""The tables of known failures: complete, each entry with a case that really fails, and texts that can be filled in."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest

from r4l import known

FIXTURES = Path(__file__).parents[2] / "fixtures/known"
RUST: dict[str, list[list[str]]] = tomllib.loads((FIXTURES.parent / "drift/rust/told.toml").read_text())
CASES = {
    "build": "cases.toml",
    "note": "cases.toml",
    "load": "loads.toml",
    "rustavailable": "rustavailable.toml",
    "kdir": "kdir.toml",
}
FACTS = {
    "build": {"release", "arch", "kdir", "folder", "cc", "rustc"},
    "note": {"release", "arch", "kdir", "folder", "cc", "rustc"},
    "load": {"kernel", "arch"},
    "rustavailable": set(),
    "kdir": {"kdir", "release", "rustc", "ours", "missing"},
}
LOOKED_UP = {"verdict", "expected", "found", "now", "path"}


def entries() -> list[tuple[str, known.KnownFailure]]:
    return [(kind, entry) for kind in known.TABLES for entry in known.table(kind)]


@pytest.mark.parametrize("kind", known.TABLES)
def test_every_entry_has_a_case(kind: str) -> None:
    cases = {case["error"] for case in tomllib.loads((FIXTURES / CASES[kind]).read_text())["case"]}
    if kind == "build":
        cases |= {entry for told in RUST.values() for entry, _words in told}
    names = [entry.name for entry in known.table(kind)]
    assert len(names) == len(set(names))
    assert not set(names) - cases


def test_every_case_is_of_an_entry() -> None:
    names = {entry.name for _, entry in entries()}
    for file in set(CASES.values()):
        cases = {case["error"] for case in tomllib.loads((FIXTURES / file).read_text())["case"]}
        assert cases <= names
    assert {entry for told in RUST.values() for entry, _words in told} <= names


@pytest.mark.parametrize("file", sorted(set(CASES.values())))
def test_the_head_of_the_cases_explains_their_keys(file: str) -> None:
    """A key that the tests do not know is a typing error."""
    text = (FIXTURES / file).read_text()
    head = text.partition("[[case]]")[0]
    explained = re.findall(r"^# (\w+) {2,}\S", head, re.MULTILINE)
    used = {key for case in tomllib.loads(text)["case"] for key in case}
    assert len(set(explained)) == len(explained)
    assert used == set(explained)


def test_every_rust_file_of_another_time_has_its_words() -> None:
    files = {file.stem for file in (FIXTURES.parent / "drift/rust").glob("*.rs")}
    assert files - {"camp2"} == set(RUST)


@pytest.mark.parametrize(("kind", "entry"), entries(), ids=[f"{kind}-{entry.name}" for kind, entry in entries()])
def test_the_texts_can_be_filled_in_whichever_pattern_matched(kind: str, entry: known.KnownFailure) -> None:
    fields = {
        name
        for text in (entry.cause, entry.remedy)
        for _, name, _, _ in string.Formatter().parse(text)
        if name is not None
    }
    looked_up = LOOKED_UP if entry.lookup not in ("", "kdir") else set()
    assert entry.patterns or kind == "kdir"
    for pattern in entry.patterns or (re.compile(""),):
        assert fields <= FACTS[kind] | set(pattern.groupindex) | looked_up


def test_what_comes_first_in_the_text_is_the_cause() -> None:
    text = "x.c:1:2: fatal error: linux/gone.h: No such file or directory\nerror[E0463]: can't find crate for `core`\n"
    found = [entry.name for entry, _ in known.matches("build", text)]
    assert found == ["unseen-file", "header-not-found", "no-core"], "the first applies if the user has that file"


def test_the_special_comes_before_the_general_where_the_table_decides() -> None:
    text = (
        "insmod: can't insert '/x.ko': unknown symbol in module, or unknown parameter\nx: Unknown symbol y (err -2)\n"
    )
    explanation = known.explain("load", text, {"kernel": "7.2", "arch": "x86_64"}, order="table")
    assert explanation is not None
    assert explanation.name == "unknown-symbol"
    assert "`y`" in explanation.cause


def test_both_forms_that_modpost_has_had() -> None:
    facts = {"release": "7", "arch": "x86_64", "kdir": "/k", "folder": "/f", "cc": "", "rustc": ""}
    for old, new, name in (
        ('"f" [x.ko] undefined!', "x.ko: symbol 'f' undefined!", "undefined-symbol"),
        ('"rust_build_error" [x.ko] undefined!', "x.ko: symbol 'rust_build_error' undefined!", "build-assert"),
        ("missing MODULE_LICENSE() in x.o", "x.ko: missing MODULE_LICENSE()", "no-license"),
        (
            "GPL-incompatible module x.ko uses GPL-only symbol 'f'",
            "x.ko: GPL-incompatible module uses GPL-only symbol 'f'",
            "gpl-only-symbol",
        ),
    ):
        for text in (old, new):
            explanation = known.explain("build", f"ERROR: modpost: {text}\n", facts)
            assert explanation is not None
            assert explanation.name == name, text


def test_nothing_known() -> None:
    assert known.explain("build", "error[E0308]: mismatched types\n") is None


def test_what_other_kernels_say_of_a_load() -> None:
    cases = tomllib.loads((FIXTURES / "loads.toml").read_text())["case"]
    for case in (case for case in cases if "said" in case):
        explanation = known.explain("load", case["said"], {"kernel": "7.3", "arch": "x86_64"}, order="table")
        assert explanation is not None
        assert explanation.name == case["error"]
        assert all(words in explanation.cause for words in case["cause"])
