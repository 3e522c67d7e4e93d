# SPDX-License-Identifier: MIT
"""The project file: kernel, machine and parameters for a driver's folder, which then need not be typed.

The file is `r4l.toml`, or the table `[tool.r4l]` of pyproject.toml; docs/machine.md lists its keys. Its author may be a
stranger: the file can name no file of this computer for QEMU to open, and no Python to run.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r4l import tables, user_tables
from r4l.arch import architecture
from r4l.errors import UsageError
from r4l.paths import followed

FILE = "r4l.toml"
SHARED_FILE = "pyproject.toml"
"""Python's own project file (PEP 518); r4l's part of it is `[tool.r4l]`."""

MACHINE = {
    "memory?": int,
    "cpus?": int,
    "nics?": int,
    "nic_model?": str,
    "modules?": [str],
    "devices?": [str],
    "append?": str,
    "snapshot?": bool,
}
"""Shape of `[machine]`; its keys are named as the words of pytest's marker `machine`."""
SHAPE = {
    "mirror?": str,
    "kernel?": (str, [str]),
    "arch?": str,
    "machine?": MACHINE,
    "parameters?": {"*": object},
    "config?": {"*": object},
}
MACHINE_KEYS = tuple(key.rstrip("?") for key in MACHINE)
NAMES_A_FILE = re.compile(r"/|\\u002f|\.py:", re.IGNORECASE)
"""Part of a device or a card that names a file: a slash, also as JSON may write one, or the file of a model."""


@dataclass(frozen=True)
class Settings:
    """The content of a project file; nothing is set where there is none.

    Attributes:
        file: where it was read from.
        mirror: address of a Debian mirror, as in `R4L_MIRROR`; empty for none.
        kernel: names as for `--kernel`; a path is absolute.
        arch: the guest's architecture.
        machine: values by the keys of `MACHINE`.
        parameters: of the module, as for `--param`.
        config: options of Kconfig that the module is built with, as for `--config`.
    """

    file: Path | None = None
    mirror: str = ""
    kernel: tuple[str, ...] = ()
    arch: str | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def near(cls, folder: Path) -> Settings:
        """Return the settings of the nearest project file, in `folder` or above it.

        The search ends with the folder that has a `.git`, and before the user's home.

        Raises:
            UsageError: the file cannot be read, or says what it cannot say.
        """
        # The parents of a path with `..` are not those of its folder.
        start = followed(folder) if ".." in folder.parts else folder.absolute()
        for place in (start, *start.parents):
            if place in (Path.home(), Path(place.anchor)):
                break
            own, shared = place / FILE, place / SHARED_FILE
            if own.is_file():
                return cls.of(user_tables.load(own), own)
            if shared.is_file() and (table := _shared(shared)) is not None:
                return cls.of(table, shared)
            if (place / ".git").exists():
                break
        return cls()

    @classmethod
    def of(cls, table: Mapping[str, Any], file: Path) -> Settings:
        """Return the settings that a table of the file holds.

        Raises:
            UsageError: a key is unknown, or a value is not of its type.
        """
        try:
            tables.check(table, SHAPE, str(file))
        except tables.UnknownKey as error:
            raise UsageError(f"{file}: there is no key {error.path}{error.key}", _nearest(error)) from error
        except tables.BadTable as error:
            raise UsageError(str(error), "correct the file") from error
        machine = table.get("machine", {})
        _check_values(machine, file)
        kernel = table.get("kernel", ())
        names = (kernel,) if isinstance(kernel, str) else kernel
        return cls(
            file,
            table.get("mirror", ""),
            tuple(str(file.parent / name) if "/" in name or name in (".", "..") else name for name in names),
            architecture(table["arch"]).name if "arch" in table else None,
            machine,
            {name: _parameter(name, value, file) for name, value in table.get("parameters", {}).items()},
            {name: _option(name, value, file) for name, value in table.get("config", {}).items()},
        )

    @property
    def pairs(self) -> tuple[str, ...]:
        """The module's parameters as `--param` takes them."""
        return tuple(f"{name}={value}" for name, value in self.parameters.items())


def _shared(file: Path) -> dict[str, Any] | None:
    """Return r4l's table of a file that several tools share; None if it has none.

    Raises:
        UsageError: the file cannot be read, or something else stands in the place of the table.
    """
    found: Any = user_tables.load(file)
    for key, path in (("tool", "tool"), ("r4l", "tool.r4l")):
        found = found.get(key)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise UsageError(f"{file}: {path} is no table", f"write [{path}]")
    return dict(found)


def _nearest(unknown: tables.UnknownKey) -> str:
    """Return the remedy for an unknown key."""
    key, before = unknown.key, unknown.path
    places = {name: f"{before}{name}" for name in unknown.known}
    if not before:
        places |= {name: f"machine.{name}" for name in MACHINE_KEYS}
    if key in places:
        return f"it belongs into [machine]: {places[key]}"
    close = difflib.get_close_matches(key.replace("-", "_"), places, 1, 0.6)
    return f"did you mean {places[close[0]]}?" if close else f"its keys are {', '.join(unknown.known)}"


def _check_values(machine: Mapping[str, Any], file: Path) -> None:
    """Refuse numbers that make no machine, and devices and cards that would reach this computer's files.

    Raises:
        UsageError: there is one.
    """
    for key, least in (("memory", 1), ("cpus", 1), ("nics", 0)):
        if machine.get(key, least) < least:
            raise UsageError(f"{file}: machine.{key} is {machine[key]}", f"give at least {least}")
    parts = [("device", "--device", spec) for spec in machine.get("devices", ())]
    for what, option, spec in [*parts, ("card", "--nic-model", machine.get("nic_model", ""))]:
        if NAMES_A_FILE.search(spec):
            raise UsageError(
                f"{file}: the {what} {spec!r} names a file of this computer, which a project file cannot",
                f"give it on the command line, with {option}, or in a test's marker",
            )


def _parameter(name: str, value: object, file: Path) -> str:
    """Return a value as the kernel takes it (kernel/params.c): 1 and 0 for true and false, arrays with commas."""
    if isinstance(value, list):
        return ",".join(_parameter(name, one, file) for one in value)
    if not isinstance(value, bool | int | str):
        raise UsageError(f"{file}: parameters.{name} cannot be {value!r}", "give a text, a number, or a list of these")
    return str(int(value)) if isinstance(value, bool) else str(value)


def _option(name: str, value: object, file: Path) -> str:
    """Return the value of an option of Kconfig as make takes it: y and n for true and false."""
    if isinstance(value, bool):
        return "y" if value else "n"
    if not isinstance(value, int | str):
        raise UsageError(f"{file}: config.{name} cannot be {value!r}", 'give "m", "y", "n", a text or a number')
    return str(value)
