# SPDX-License-Identifier: MIT
"""Kconfig entry and Makefile of a driver in the kernel's tree, and the lines that name them."""

from __future__ import annotations

import re
import textwrap

from r4l.graft.depends import Needs
from r4l.graft.driver import Driver
from r4l.graft.place import Place

LICENSE = "# SPDX-License-Identifier: GPL-2.0-only\n"
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
    """Return the line of the parent's Kconfig for a driver with a folder of its own."""
    return f'source "{place.folder}/Kconfig"\n'


def makefile_line(driver: Driver, place: Place) -> str:
    """Return the line of the parent's Makefile."""
    return f"obj-$(CONFIG_{place.symbol}) += {place.folder.name + '/' if place.own else driver.name + '.o'}\n"


def insertion(text: str, block: str) -> tuple[int, str]:
    """Return the offset of a block in a Kconfig or Makefile, and the block with its blank lines.

    The place is before the final `endif` or `endmenu` that wraps the file, else its end.
    """
    last = text.rstrip().rpartition("\n")[2]
    if re.match(r"(endif|endmenu)\b", last):
        return text.rstrip().rfind(last), block + ("" if block.endswith("\n\n") else "\n")
    return len(text), block if text.endswith("\n") or not text else "\n" + block
