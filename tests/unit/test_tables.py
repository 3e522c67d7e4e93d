# SPDX-License-Identifier: MIT
"""TOML tables: every key is known, and names are given once."""

from __future__ import annotations

import copy
import datetime
import functools
import operator
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docs import hosts

import r4l
from r4l import arch, known, resources, scaffold, tables, toolchain
from r4l.bench import workloads
from r4l.camp import rows
from r4l.camp.labs import matrix
from r4l.camp.labs.lab import Lab
from r4l.clean import rooms
from r4l.ide import default_subsystems
from r4l.kernel import abstractions, debian, describe, profile
from r4l.klog import blame, kinds, prefixes
from r4l.known import c_changes
from r4l.module import drift
from r4l.rootfs import disk
from r4l.scaffold import names
from r4l.selftest import parts
from r4l.sweep import phases
from r4l.tables import BadTable

SOURCE = Path(r4l.__file__).parent
ROOT = SOURCE.parents[1]
SHAPE = {
    "name": str,
    "size?": int,
    "part": [{"id!": str, "flag?": bool}],
    "more?": {"*": {"what": (str, list), "names?": [str]}},
}
WHOLE = 'name = "x"\n[[part]]\nid = "a"\n[[part]]\nid = "b"\nflag = true\n[more.one]\nwhat = ["w"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WHOLE + "colour = 1\n", "t: there is no key more.one.colour; it has names, what"),
        (WHOLE.replace("flag", "flog"), r"t: there is no key part\[1\].flog; it has flag, id"),
        ("colour = 1\n" + WHOLE, "t: there is no key colour; it has more, name, part, size"),
        (WHOLE.replace('id = "a"\n', ""), r"t: part\[0\] lacks id"),
        (WHOLE.replace('name = "x"\n', ""), "t: the table lacks name"),
        (WHOLE.replace('"b"', '"a"'), "t: part.id is 'a' twice"),
        (WHOLE.replace("true", '"yes"'), r"t: part\[1\].flag has to be true or false, not 'yes'"),
        ("size = true\n" + WHOLE, "t: size has to be a whole number, not True"),
        (WHOLE.replace('["w"]', "3"), "t: more.one.what has to be a text or a list, not 3"),
        ('part = "a"\nname = "x"', "t: part has to be a list, not 'a'"),
        (WHOLE + "names = ['a', 1]\n", "t: more.one.names has to be a list of texts, not \\['a', 1\\]"),
        (WHOLE + "names = true\n", "t: more.one.names has to be a list of texts, not True"),
        (WHOLE + WHOLE, "t: Cannot declare"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(BadTable, match=f"^{said}"):
        tables.read(text, SHAPE, "t")


def test_a_table_with_its_shape_is_read() -> None:
    assert tables.read(WHOLE, SHAPE, "t") == tomllib.loads(WHOLE)


def reads_toml(file: Path) -> bool:
    return re.search(r"\btomllib\.load", file.read_text(encoding="utf-8")) is not None


def test_tables_are_read_in_one_place() -> None:
    """The others read what users, or other checkouts, wrote."""
    readers = {str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.py") if reads_toml(file)}
    assert readers == {"tables.py", "user_tables.py", "clean/points.py"}


CACHES = (
    known.table, c_changes.table, toolchain.table, disk.table, profile.profiles, debian.tested_series, rooms,
    drift.changes, rows.table, arch.architectures,
)  # fmt: skip
LOADERS: dict[str, Callable[[], object]] = {
    **{f"known/{name}.toml": functools.partial(known.table, name) for name in known.TABLES},
    **{f"known/c_api/{file.name}": c_changes.table for file in (SOURCE / "known/c_api").glob("*.toml")},
    **{f"arch/{file.name}": arch.architectures for file in (SOURCE / "arch").glob("*.toml")},
    "toolchain/debian.toml": toolchain.table,
    "rootfs/images/images.toml": disk.table,
    "kernel/profiles/profiles.toml": profile.profiles,
    "kernel/abstractions.toml": lambda: abstractions.topics(ROOT, {}),
    "kernel/tested.toml": debian.tested_series,
    "kernel/options.toml": lambda: describe._options(SimpleNamespace(config={})),  # type: ignore[arg-type]
    "templates/templates.toml": scaffold.Template.all,
    "scaffold/reserved.toml": lambda: names._reserved("x"),
    "clean/rooms.toml": rooms,
    "module/changes.toml": drift.changes,
    "ide/subsystems.toml": default_subsystems,
    "camp/rows/rows.toml": rows.table,
    "bench/workloads.toml": workloads._table,
    "sweep/phases.toml": phases._table,
    "klog/kinds.toml": lambda: resources.table("r4l.klog", "kinds.toml", kinds._SHAPE),
    "klog/prefixes.toml": lambda: resources.table("r4l.klog", "prefixes.toml", prefixes._SHAPE_OF_FILE),
    "klog/messengers.toml": lambda: resources.table("r4l.klog", "messengers.toml", blame._SHAPE),
    "lab.toml": lambda: Lab.read(resources.labs() / "03-hello"),
    "mutants/hello.toml": lambda: matrix.variants(Lab.named("hello")),
    "hosts.toml": hosts.tables_of_hosts,
    "replays.toml": hosts.tables_of_hosts,
    "parts.toml": lambda: parts.table(ROOT),
}


def test_all_tables_have_a_loader_here() -> None:
    files = {str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.toml")}
    assert files == {name for name in LOADERS if (SOURCE / name).is_file()}


Place = list[str | int]
STRANGE = datetime.date(2026, 11, 29)
"""A value that no table has."""


def places(table: Any, path: Place) -> Iterator[Place]:
    """Yield the paths of all tables inside one, itself among them."""
    if isinstance(table, dict):
        yield path
    for key, inner in table.items() if isinstance(table, dict) else enumerate(table):
        if isinstance(inner, dict | list):
            yield from places(inner, [*path, key])


def at(table: Any, path: Place) -> Any:
    return functools.reduce(operator.getitem, path, table)


def checked_by(load: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, tables.Shape, str]]:
    """Return the tables that a loader checks, each with its shape and the name of its file."""
    found = []
    check = tables.check

    def note(table: Any, shape: tables.Shape, where: str, path: str = "") -> None:
        if not path:
            found.append((copy.deepcopy(table), shape, where))
        check(table, shape, where, path)

    for cached in CACHES:
        cached.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(tables, "check", note)
        load()
    return found


@pytest.mark.parametrize("name", LOADERS)
def test_a_strange_key_and_a_value_of_another_type_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the last table of each kind, which tables with the same keys at the same depth are of."""
    found = checked_by(LOADERS[name], monkeypatch)
    whole, shape, where = next(one for one in found if one[2].endswith(Path(name).name))
    kinds = {(len(path), *sorted(at(whole, path))): path for path in places(whole, [])}
    for path in kinds.values():
        for key in ("a_strange_key", *at(whole, path)):
            changed = copy.deepcopy(whole)
            at(changed, path)[key] = STRANGE
            with pytest.raises(BadTable, match=f"^{re.escape(where)}: .*{re.escape(key)}"):
                tables.check(changed, shape, where)
            if isinstance(value := at(whole, [*path, key]) if key in at(whole, path) else None, list):
                at(changed, path)[key] = [*value, STRANGE]
                with pytest.raises(BadTable, match=f"^{re.escape(where)}: .*{re.escape(key)}"):
                    tables.check(changed, shape, where)
