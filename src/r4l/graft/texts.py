# SPDX-License-Identifier: MIT
"""The texts that make a driver a part of the kernel: Kconfig entry, Makefile, and what names them."""

from __future__ import annotations

import re
import textwrap

from r4l.graft.depends import Needs
from r4l.graft.driver import Driver
from r4l.graft.place import Place

LICENSE = "# SPDX-License-Identifier: GPL-2.0-only\n"
KIT_IN_TREE = "$(srctree)/rust/kit"


def kconfig_entry(driver: Driver, symbol: str, needs: Needs) -> str:
    """The option, with which it is built in (y), built as a module (m), or left out."""
    lines = [f"config {symbol}", f'\ttristate "{driver.description}"']
    lines += [f"\tdepends on {expression}" for expression in needs.depends]
    lines += [f"\tselect {option}" for option in needs.selects]
    lines.append("\thelp")
    about = f"{driver.description}. The driver is written in {'Rust' if driver.rust else 'C'}."
    module = f"To compile this as a module, choose M here: the module will be called {driver.name}."
    for paragraph in (about, module, "If unsure, say N."):
        lines += [f"\t  {line}" for line in textwrap.wrap(paragraph, 62)] + [""]
    return "\n".join(lines)


def makefile(driver: Driver, symbol: str) -> str:
    """The Makefile of the driver's own folder: its Kbuild, for a choice instead of a module."""
    text = re.sub(r"^ifndef R4L_KIT\n.*?^endif\n", "", driver.kbuild, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\s*(?:export\s+)?R4L_KIT\s*[?:]?=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(\s*)obj-m\b", rf"\1obj-$(CONFIG_{symbol})", text, flags=re.MULTILINE)
    text = re.sub(r"^include \$[({]R4L_KIT[)}]/", f"include {KIT_IN_TREE}/", text, flags=re.MULTILINE)
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
    """What the parent's Kconfig gets for a driver with a folder of its own."""
    return f'source "{place.folder}/Kconfig"\n'


def makefile_line(driver: Driver, place: Place) -> str:
    """What the parent's Makefile gets."""
    return f"obj-$(CONFIG_{place.symbol}) += {place.folder.name + '/' if place.own else driver.name + '.o'}\n"


def insertion(text: str, block: str) -> tuple[int, str]:
    """Where a block goes into a Kconfig or a Makefile, and how it stands there.

    Before the end of the `if` or the `menu` that the file is wrapped in, at its end where it is in none.
    """
    last = text.rstrip().rpartition("\n")[2]
    if re.match(r"(endif|endmenu)\b", last):
        return text.rstrip().rfind(last), block + ("" if block.endswith("\n\n") else "\n")
    return len(text), block if text.endswith("\n") or not text else "\n" + block
