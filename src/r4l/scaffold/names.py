# SPDX-License-Identifier: MIT
"""Rules for the name of a driver."""

from __future__ import annotations

import re
from pathlib import Path

from r4l import resources
from r4l.errors import UsageError

NAME = re.compile(r"[a-z][a-z0-9_]*")

LONGEST = 50
"""Characters of a name.

MODULE_NAME_LEN (include/linux/moduleparam.h) is 64 bytes less a pointer; file names add a suffix.
"""

INTERFACE_LONGEST = 12
"""Characters of an interface's name.

IFNAMSIZ (include/uapi/linux/if.h) is 16, less three digits and the closing zero.
"""

WHY = {
    "keyword": "a keyword of Rust",
    "crate": "the name of a crate that every Rust module is compiled with",
    "file": "a name that Kbuild has a file of its own for",
    "list": "the name of one of Kbuild's own lists, such as obj-y and ccflags-y",
    "device": "the name of something in /dev that Linux has already",
}


def require_name(name: str) -> str:
    """Return the name if a module, its crate and its files can have it.

    Raises:
        UsageError: the name is not usable; the cause says why.
    """
    if "/" in name or name in (".", "..", ""):
        raise UsageError(f"{name!r} is not a plain name", "change to the parent folder, and give a name without /")
    if not NAME.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        fit = NAME.fullmatch(better) and not _reserved(better)
        raise UsageError(
            f"{name!r} cannot be the name of a Rust module: only small letters, digits and _, a letter first",
            f"use {better}" if fit else "use a name such as my_driver",
        )
    if len(name) > LONGEST:
        raise UsageError(f"{name} is too long for a module: {len(name)} characters", f"use at most {LONGEST}")
    reason = _reserved(name)
    if reason:
        raise UsageError(f"{name!r} is {reason}", f"use another name, such as {name}_driver")
    return name


def require_free(name: str, modules: Path) -> None:
    """Refuse the name of a module that the kernel has itself: modprobe and udev would load that one.

    Args:
        modules: the kernel's folder with modules.dep and modules.builtin.

    Raises:
        UsageError: the kernel has a module of that name.
    """
    for index, how in (("modules.dep", "a module"), ("modules.builtin", "a built-in driver")):
        file = modules / index
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        paths = [line.split(":")[0] for line in lines]
        if any(Path(path).name.split(".ko")[0].replace("-", "_") == name for path in paths):
            raise UsageError(
                f"the kernel {modules.name} has {how} called {name} already", f"use another name, such as my_{name}"
            )


def _reserved(name: str) -> str | None:
    table = resources.table(__package__, "reserved.toml", {key: [str] for key in WHY})
    return next((WHY[reason] for reason, names in table.items() if name in names), None)
