# SPDX-License-Identifier: MIT
"""TOML tables with a shape: an unknown or missing key, a wrong type, or a name given twice is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from typing import Any

Shape = Mapping[str, Any]
"""Keys of a table, with the content of each: a type (`object`: any); several contents as a tuple; a shape, for a table;
a list with one content, for an array. A key that may be missing ends with `?`; a key that differs in all rows of an
array ends with `!`; `*` stands for any other key."""

TYPES: dict[type, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "a table"
}  # fmt: skip


class BadTable(ValueError):
    """A table that does not have its shape: a mistake of its author."""


class UnknownKey(BadTable):
    """A table with a key that its shape does not have.

    Attributes:
        key: the unknown key.
        path: path of its table, empty or ending with a dot.
        known: the keys of that table.
    """

    def __init__(self, where: str, path: str, key: str, known: Collection[str]) -> None:
        super().__init__(f"{where}: there is no key {path}{key}; it has {', '.join(sorted(known))}")
        self.key, self.path, self.known = key, path, known


def read(text: str, shape: Shape, where: str) -> dict[str, Any]:
    """Read a text of TOML.

    Args:
        text: the table.
        shape: its shape.
        where: name of the file, for the error.

    Raises:
        BadTable: the text does not have the shape, or is not TOML.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadTable(f"{where}: {error}") from error
    check(table, shape, where)
    return table


def check(table: Mapping[str, Any], shape: Shape, where: str, path: str = "") -> None:
    """Check a table against a shape.

    Args:
        table: the table.
        shape: its shape.
        where: name of the file, for the error.
        path: path of the table in the file, empty or ending with a dot.

    Raises:
        UnknownKey: the table has a key that its shape does not have.
        BadTable: the table lacks a key, or a value does not have its shape.
    """
    known = {key.rstrip("?!"): key for key in shape}
    for key, value in table.items():
        if key not in known and "*" not in shape:
            raise UnknownKey(where, path, key, known)
        _check_value(value, shape[known.get(key, "*")], where, f"{path}{key}")
    missing = [name for name, key in known.items() if name not in table and name != "*" and not key.endswith("?")]
    if missing:
        raise BadTable(f"{where}: {path.rstrip('.') or 'the table'} lacks {', '.join(missing)}")


def _check_value(value: Any, wanted: Any, where: str, name: str) -> None:
    if not _fits(value, wanted):
        raise BadTable(f"{where}: {name} has to be {_name(wanted)}, not {value!r}")
    if isinstance(wanted, tuple):
        wanted = next(one for one in wanted if _fits(value, one))
    if isinstance(wanted, Mapping):
        check(value, wanted, where, f"{name}.")
    elif isinstance(wanted, list) and isinstance(wanted[0], Mapping):
        (row,) = wanted
        for number, entry in enumerate(value):
            _check_value(entry, row, where, f"{name}[{number}]")
        for key in (key.rstrip("!") for key in row if key.endswith("!")):
            _check_unique([entry[key] for entry in value], where, f"{name}.{key}")


def _fits(value: Any, wanted: Any) -> bool:
    """Return True if a value has a content's type; rows and tables are not looked into."""
    if isinstance(wanted, tuple):
        return any(_fits(value, one) for one in wanted)
    if isinstance(wanted, list):
        return type(value) is list and (isinstance(wanted[0], Mapping) or all(_fits(one, wanted[0]) for one in value))
    # In Python, true is a whole number.
    return wanted is object or type(value) is (dict if isinstance(wanted, Mapping) else wanted)


def _name(wanted: Any) -> str:
    """Return a content's name in an error."""
    if isinstance(wanted, tuple):
        return " or ".join(_name(one) for one in wanted)
    if isinstance(wanted, list):
        inner = "a list" if isinstance(wanted[0], list) else _name(wanted[0])
        return "a list" if isinstance(wanted[0], Mapping) else f"a list of {inner.removeprefix('a ')}s"
    return TYPES[dict if isinstance(wanted, Mapping) else wanted]


def _check_unique(values: list[Any], where: str, name: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise BadTable(f"{where}: {name} is {value!r} twice")
