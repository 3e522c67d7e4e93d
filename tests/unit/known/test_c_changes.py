# SPDX-License-Identifier: MIT
"""Changes of the kernel's C API, recognised in recorded messages of gcc and clang (tests/fixtures/drift/record.py)."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from r4l.known import c_changes
from r4l.known.c_changes import CApiChange, recognise
from r4l.module.errors_in import errors_in

FIXTURES = Path(__file__).parents[2] / "fixtures/drift"
CASE = re.compile(r"// (?P<id>(?:name|call|value|member|callback|readonly|include|export|header) .*)$")


def cases() -> dict[str, str]:
    """Return the entry that each line of the cases is about, by `FILE:LINE`."""
    wanted = {}
    for file in sorted((FIXTURES / "c").glob("*.c")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = CASE.search(line)
            if match:
                wanted[f"{file.name}:{number}"] = match["id"]
    headers = {name: change.id for change in c_changes.table()["header"] for name in change.old}
    return wanted | {"header_" + re.sub(r"\W", "_", name) + ".c:2": entry for name, entry in headers.items()}


def entries() -> list[CApiChange]:
    return [change for kind in c_changes.CHANGE_KINDS for change in c_changes.table()[kind]]


@cache
def told(compiler: str) -> dict[str, list[str]]:
    """Return the entry recognised first in each recorded error of a compiler, by place."""
    found = defaultdict(list)
    for error in errors_in((FIXTURES / f"{compiler}.txt").read_text()):
        for change, _name in recognise(error.text):
            found[error.place].append(change.id)
            break
    return found


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_each_case_is_recognised(compiler: str) -> None:
    found = told(compiler)
    missed = {place: (entry, found[place]) for place, entry in cases().items() if entry not in found[place]}
    assert missed == {}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_nothing_else_is_recognised_in_a_line(compiler: str) -> None:
    """Repeated errors for the same line, which the compiler reports twice, are excepted."""
    found = told(compiler)
    wrong = {place: found[place] for place, entry in cases().items() if found[place] and found[place][0] != entry}
    assert wrong == {}


def test_the_table_is_whole() -> None:
    ids = [change.id for change in entries()]
    assert len(ids) >= 80
    assert len({(change.id, change.type, change.result) for change in entries()}) == len(ids)
    untried = set(ids) - set(cases().values())
    assert sorted(entry for entry in untried if entry.split()[0] not in ("export", "makefile")) == [], "without a case"
    assert sorted(set(cases().values()) - set(ids)) == [], "cases without an entry"
    for change in entries():
        assert {name for name, _ in change.since_of} <= set(change.old), change.id
        assert change.now[0].islower() or change.now.startswith("READ_ONCE"), change.id


LAST = {(2, 6): 39, (3,): 19, (4,): 20, (5,): 19, (6,): 19}
"""The last release of each series that has ended."""


def release(text: str) -> tuple[int, ...]:
    """Return a release of Linux as numbers; empty for a text that names none, or one that never was."""
    if not re.fullmatch(r"2\.6\.[1-9]\d?|[3-9]\.(0|[1-9]\d?)", text):
        return ()
    *series, number = map(int, text.split("."))
    return (*series, number) if number <= LAST.get(tuple(series), number) else ()


def after(version: tuple[int, ...]) -> tuple[int, ...]:
    """Return the release after another one."""
    *series, number = version
    if LAST.get(tuple(series)) == number:
        return (3, 0) if series == [2, 6] else (series[0] + 1, 0)
    return (*series, number + 1)


def is_since(text: str) -> bool:
    """Return True for a release, and for two that have others between them; the older one may be missing."""
    last, several, first = text.partition("..")
    if not several or not last:
        return bool(release(first if several else text))
    return bool(release(last)) and after(release(last)) < release(first)


def test_releases_are_releases_and_the_older_one_comes_first() -> None:
    texts = [(change.id, change.since) for change in entries() if change.since]
    texts += [(change.id, text) for change in entries() for _, text in change.since_of]
    assert [(entry, text) for entry, text in texts if not is_since(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "6.2..",
        "6.12..6.2",
        "6.2..6.2",
        "6.2...6.4",
        "6.2-6.4",
        "5.20",
        "2.6",
        "2.6.40..3.1",
        "v6.2",
        "6.02",
        "6.2.1",
    ],
)
def test_no_other_text_is_a_release(text: str) -> None:
    assert not is_since(text)


@pytest.mark.parametrize("text", ["6.2", "2.6.39", "6.2..6.12", "2.6.39..3.1", "5.19..6.1", "..5.10"])
def test_these_texts_are_releases(text: str) -> None:
    assert is_since(text)


GONE = "Linux 7.3.4 does not have it"


@pytest.mark.parametrize(
    ("kind", "since", "said"),
    [
        ("name", "6.2", f"{GONE} (gone since Linux 6.2)"),
        ("name", "6.2..6.12", f"{GONE} (gone after Linux 6.2, in 6.12 at the latest)"),
        ("member", "..5.10", f"{GONE} (gone in Linux 5.10 at the latest)"),
        ("header", {"old": "2.6.39..3.1"}, f"{GONE} (gone after Linux 2.6.39, in 3.1 at the latest)"),
        ("header", {"other": "3.1"}, GONE),
        ("call", "6.2", "they changed (since Linux 6.2)"),
        ("call", "6.2..6.12", "they changed (after Linux 6.2, in 6.12 at the latest)"),
        ("call", "..5.10", "they changed (in Linux 5.10 at the latest)"),
        ("call", "", "they changed"),
    ],
)
def test_the_time_of_a_change_is_told(kind: c_changes.ChangeKind, since: str | dict[str, str], said: str) -> None:
    one, each = ("", tuple(since.items())) if isinstance(since, dict) else (since, ())
    assert CApiChange(kind, ("old", "other"), "drop it", ("x.h", "x"), one, each).found("old", "7.3.4") == said


@pytest.mark.parametrize("change", [change for kind in ("export", "name") for change in c_changes.table()[kind]][:40])
def test_modpost_says_the_same_in_two_forms(change: CApiChange) -> None:
    old = change.old[0].split()[-1]
    for text in (f'ERROR: modpost: "{old}" [x.ko] undefined!', f"ERROR: modpost: x.ko: symbol '{old}' undefined!"):
        if old == change.old[0]:
            assert (change, old) in list(recognise(text)), text


@pytest.mark.parametrize(
    "text",
    [
        "x.c:1:2: error: implicit declaration of function 'del_timers'\n    1 | del_timers(t);",
        "x.c:1:2: error: too many arguments to function 'mine'\n    1 | mine(class_create);",
        "x.c:1:2: error: 'struct mine' has no member named 'owner'\n    1 | .owner = 1,",
        "x.c:1:2: error: passing argument 1 of 'class_create' makes pointer from integer without a cast\n"
        "    1 | class_create(5);\nnote: expected 'const char *' but argument is of type 'int'",
        "x.c:1:2: error: initialization of 'void (*)(struct platform_device *)' from incompatible pointer type "
        "'int (*)(void)'\n    1 | .shutdown = f,\nx.c:1:2: note: (near initialization for 'd.shutdown')",
        "x.c:1:2: error: assignment of read-only member 'mine'\n    1 | p->mine = 1;",
        "x.c:1:2: error: invalid operands to binary + (have 'struct mine' and 'int')\n    1 | page->flags + 1",
        "x.c:1:2: error: invalid operands to binary + (have 'memdesc_flags_t' and 'int')\n    1 | mine + 1",
        "x.c:1:2: error: invalid use of undefined type 'struct mine'\n    1 | p->data = 1;",
        "x.c:1:2: error: invalid use of undefined type 'struct proc_dir_entry'\n    1 | p->mine = 1;",
        "x.c:1:2: fatal error: mine.h: No such file or directory",
        "x.c:1:2: error: expected ';' before 'y'\n    1 | int x y;",
    ],
)
def test_what_is_the_modules_own_is_left_alone(text: str) -> None:
    assert list(recognise(text)) == []


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("x.c:1:2: error: wrong type argument to increment\n    1 | inode->i_version++;", "value i_version"),
        (
            "x.c:1:2: error: invalid type argument of '->' (have 'struct ktermios')\n    1 | t->termios->c;",
            "value termios",
        ),
        ("x.c:1:2: error: incomplete definition of type 'struct proc_dir_entry'\n    1 | e->data = d;", "member"),
        ("x.c:1:2: error: invalid use of undefined type 'struct proc_dir_entry'\n    1 | e->data = d;", "member"),
        ("x.c:1:2: error: used 'kuid_t' type value where scalar is required\n    1 | if (current_uid())", "value uid"),
        (
            "k.h:480:9: error: too many arguments to function '__kmem_cache_create'\n  480 | __kmem_cache_create(x)\n"
            "x.c:1:2: note: in expansion of macro 'kmem_cache_create'\n    1 | kmem_cache_create(a, b, c, d, e, f);",
            "call kmem_cache_create",
        ),
    ],
)
def test_other_shapes_of_an_error(text: str, entry: str) -> None:
    assert next(change.id for change, _ in recognise(text)).startswith(entry)


def test_names_of_one_entry_may_have_changed_in_different_versions() -> None:
    told = {}
    for name in ("do_gettimeofday", "getnstimeofday"):
        [(change, found)] = recognise(f"x.c:1:2: error: implicit declaration of function '{name}'")
        told[found] = change.found(found, "9.9")
    assert told["do_gettimeofday"].endswith("(gone since Linux 5.0)")
    assert told["getnstimeofday"].endswith("(gone since Linux 5.6)")


def test_quotes_of_every_locale() -> None:
    text = "x.c:1:2: error: implicit declaration of function {}del_timer{}"
    for quotes in ("''", "‘’", "`'"):
        [(change, name)] = recognise(text.format(*quotes))
        assert (change.id, name) == ("name del_timer", "del_timer")


def test_an_entry_without_its_proof_is_not_true(tmp_path: Path) -> None:
    [(change, _)] = recognise("x.c:1:2: error: implicit declaration of function 'del_timer'")
    assert change.place(tmp_path) == ""
    (tmp_path / "include/linux").mkdir(parents=True)
    header = tmp_path / "include/linux/timer.h"
    header.write_text("int del_timer(struct timer_list *timer);\n")
    assert change.place(tmp_path) == ""
    header.write_text("\n\nextern int timer_delete(struct timer_list *timer);\n")
    assert change.place(tmp_path) == "include/linux/timer.h:3"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("EXTRA_CFLAGS += -DX\n", ["EXTRA_CFLAGS"]),
        ("  EXTRA_CFLAGS:=-I$(src)\n", ["EXTRA_CFLAGS"]),
        ("export EXTRA_LDFLAGS = -x\n", ["EXTRA_LDFLAGS"]),
        ("all:\n\tmake -C $(KDIR) SUBDIRS=$(PWD) modules\n", ["SUBDIRS"]),
        ("# EXTRA_CFLAGS += -DX\n", []),
        ("ccflags-y += $(EXTRA_CFLAGS)\n", []),
        ("MY_EXTRA_CFLAGS = 1\n", []),
    ],
)
def test_variables_that_kbuild_does_not_read(text: str, names: list[str]) -> None:
    assert [name for _, name in c_changes.makefile_variables(text)] == names
