# SPDX-License-Identifier: MIT
"""TOML tables that say what they hold: an unknown or missing key, a wrong type, a name given twice is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

Shape = Mapping[str, Any]
"""Keys of a table, with the content of each: a type, or several as a tuple; a shape, for a table; a list with one
shape, for an array of tables. A key that may be missing ends with `?`; a key that differs in all rows of an array ends
with `!`; `*` stands for any other key."""


class BadTable(ValueError):
    """A table that does not have its shape. It is a mistake of its author's."""


def read(text: str, shape: Shape, where: str) -> dict[str, Any]:
    """Read a text of TOML.

    Args:
        shape: of the table.
        where: name of the file, for the error.

    Raises:
        BadTable: the text does not have the shape, or is no TOML.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadTable(f"{where}: {error}") from error
    _check(table, shape, where, "")
    return table


def _check(table: Mapping[str, Any], shape: Shape, where: str, path: str) -> None:
    known = {key.rstrip("?!"): key for key in shape}
    for key, value in table.items():
        name = f"{path}{key}"
        if key not in known and "*" not in shape:
            raise BadTable(f"{where}: there is no key {name}; it has {', '.join(sorted(known))}")
        _check_value(value, shape[known.get(key, "*")], where, name)
    missing = [name for name, key in known.items() if name not in table and name != "*" and not key.endswith("?")]
    if missing:
        raise BadTable(f"{where}: {path.rstrip('.') or 'the table'} lacks {', '.join(missing)}")


def _check_value(value: Any, wanted: Any, where: str, name: str) -> None:
    if isinstance(wanted, Mapping):
        _check_value(value, dict, where, name)
        _check(value, wanted, where, f"{name}.")
    elif isinstance(wanted, list):
        _check_value(value, list, where, name)
        (row,) = wanted
        for number, entry in enumerate(value):
            _check_value(entry, row, where, f"{name}[{number}]")
        for key in (key.rstrip("!") for key in row if key.endswith("!")):
            _check_unique([entry[key] for entry in value], where, f"{name}.{key}")
    # In Python, true is a whole number.
    elif not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
        types = wanted if isinstance(wanted, tuple) else (wanted,)
        raise BadTable(f"{where}: {name} has to be {' or '.join(one.__name__ for one in types)}, not {value!r}")


def _check_unique(values: list[Any], where: str, name: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise BadTable(f"{where}: {name} is {value!r} twice")
