# SPDX-License-Identifier: MIT
"""Kconfig entry and Makefile of a driver in the kernel's tree, and the lines that name them."""

from __future__ import annotations

import re
import textwrap
from pathlib import PurePosixPath

from r4l.graft.depends import Needs
from r4l.graft.driver import Driver
from r4l.graft.kconfig_file import wrapped
from r4l.graft.place import Place

LICENSE = "# SPDX-License-Identifier: GPL-2.0-only\n"
CHECK = re.compile(r"^ifndef R4L_KIT\n", re.MULTILINE)
KIT_IN_TREE = "$(srctree)/rust/kit"


def kconfig_entry(driver: Driver, symbol: str, needs: Needs) -> str:
    """Return the Kconfig entry of a tristate option: built in (y), as a module (m), or left out."""
    lines = [f"config {symbol}", f'\ttristate "{quoted(driver.description)}"']
    lines += [f"\tdepends on {expression}" for expression in needs.depends]
    lines += [f"\tselect {option}" for option in needs.selects]
    lines.append("\thelp")
    about = f"{driver.description}. The driver is written in {'Rust' if driver.rust else 'C'}."
    module = f"To compile this as a module, choose M here: the module will be called {driver.name}."
    for paragraph in (about, module, "If unsure, say N."):
        lines += [f"\t  {line}" for line in textwrap.wrap(paragraph, 62)] + [""]
    return "\n".join(lines)


def quoted(text: str) -> str:
    """Return a text as it stands between the quotes of a string in Kconfig.

    `$(shell,…)` in a string runs on the host at each `make *config` (scripts/kconfig/lexer.l).
    """
    return re.sub(r"[\\$]", r"\\\g<0>", text.replace('"', "'"))


def makefile(driver: Driver, symbol: str) -> str:
    """Return the Makefile of the driver's own folder: its Kbuild with `obj-m` replaced by the option."""
    text = _without_check(driver.kbuild)
    text = re.sub(r"^[ \t]*+(?:export[ \t]++)?R4L_KIT[ \t]*+[?:]?=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^([ \t]*+)obj-m\b", rf"\1obj-$(CONFIG_{symbol})", text, flags=re.MULTILINE)
    text = re.sub(r"^include \$[({]R4L_KIT[)}]/", f"include {KIT_IN_TREE}/", text, flags=re.MULTILINE)
    # The name by which scripts/Makefile.lib has the flags of an object: its path in the folder.
    stem = driver.root.removesuffix(".rs")
    if driver.rust and stem != driver.name:
        # The crates of two drivers may both be called main. Built into one kernel, their symbols must differ.
        flag = f"RUSTFLAGS_{stem}.o += -Cmetadata={driver.name}\n"
        text = re.sub(
            rf"^{re.escape(driver.name)}-(?:y|objs)\b(?:.*\\\n)*.*\n",
            rf"\g<0>{flag}",
            text,
            count=1,
            flags=re.MULTILINE,
        )
    if "SPDX-License-Identifier" not in text:
        text = LICENSE + "\n" + text
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def kconfig_line(place: Place) -> str:
    """Return the line of the parent's Kconfig for a driver with a folder of its own."""
    return f'source "{place.folder}/Kconfig"\n'


def makefile_line(driver: Driver, place: Place) -> str:
    """Return the line of the parent's Makefile."""
    return f"obj-$(CONFIG_{place.symbol}) += {place.folder.name + '/' if place.own else driver.name + '.o'}\n"


def _without_check(text: str) -> str:
    """Return a Kbuild without its checks that R4L_KIT is set (templates of `r4l new` have one)."""
    kept: list[str] = []
    at = 0
    while match := CHECK.search(text, at):
        end = text.find("\nendif\n", match.end() - 1)
        if end < 0:
            break
        kept.append(text[at : match.start()])
        at = end + len("\nendif\n")
    return "".join([*kept, text[at:]])


def insertion(text: str, block: str, path: str) -> tuple[int, str]:
    """Return the offset of a block in a Kconfig or Makefile, and the block with its blank lines.

    The place is the file's end; in a Kconfig, it is before the final line that closes a menu or a condition around the
    whole file (`wrapped`).

    Args:
        path: the file's.
    """
    if PurePosixPath(path).name.startswith("Kconfig") and (at := wrapped(text)) is not None:
        return at, block + ("" if block.endswith("\n\n") else "\n")
    # The backslash of the last line would take the block for its own.
    goes_on = text.rstrip("\r\n").endswith("\\")
    return len(text), ("" if text.endswith("\n") or not text else "\n") + ("\n" if goes_on else "") + block
