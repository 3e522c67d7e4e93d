# SPDX-License-Identifier: MIT
"""Script that runs inside gdb: connects, and loads a module's symbols when the kernel is about to start it.

Its breakpoint is the kernel's do_init_module(struct module *). There the module is in memory with relocated symbols and
none of its code has run, so breakpoints in its init are in time. The addresses are read at each load, so rmmod and
insmod work.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gdb

SYMBOL_SIZE, VALUE_AT = 24, 8
"""Size of an Elf64_Sym and offset of st_value in it, in bytes (include/uapi/linux/elf.h)."""

PLAN: dict[str, Any] = json.loads(Path(os.environ["R4L_PLAN"]).read_text(encoding="utf-8"))


def offset(field: str) -> int:
    """Return the offset of a structure's field, such as `module.kallsyms`, from the module's debug information."""
    structure, _, name = field.partition(".")
    return int(gdb.parse_and_eval(f"(unsigned long)&((struct {structure} *)0)->{name}"))


def pointer(address: int) -> int:
    """Read the eight bytes at an address of the guest."""
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")


class Load(gdb.Breakpoint):  # type: ignore[misc]
    """Breakpoint where the kernel is about to start a module."""

    def __init__(self) -> None:
        super().__init__(f"*{PLAN['load_address']:#x}", internal=True)
        self.silent = True
        self.loaded: set[str] = set()

    def stop(self) -> bool:
        """Load the module's symbols. Called by gdb; returns True to give control to the user."""
        module = int(gdb.parse_and_eval(PLAN["argument"])) & (1 << 64) - 1
        name = gdb.selected_inferior().read_memory(module + NAME, 56).tobytes().split(b"\0")[0].decode()
        known = PLAN["modules"].get(name)
        if known is None:
            return False
        if name in self.loaded:
            gdb.execute(f"remove-symbol-file {known['path']}", to_string=True)
        table = pointer(pointer(module + KALLSYMS) + SYMTAB)
        places = ""
        for section, (index, value) in known["sections"].items():
            places += f" -s {section} {pointer(table + index * SYMBOL_SIZE + VALUE_AT) - value & (1 << 64) - 1:#x}"
        gdb.execute(f"add-symbol-file {known['path']}{places}", to_string=True)
        first = name not in self.loaded
        self.loaded.add(name)
        if first and not PLAN["breaks"]:
            gdb.write(f"{name} is in memory, and its init has not run: set breakpoints, then `continue`\n")
            return True
        return False


for setting in ("pagination off", "confirm off", "breakpoint pending on", "print thread-events off"):
    gdb.execute(f"set {setting}")
# Kbuild names the sources of a module as seen from its folder.
gdb.execute("set filename-display absolute")
gdb.execute("set language c")
gdb.execute(f"file {next(iter(PLAN['modules'].values()))['path']}", to_string=True)
NAME, KALLSYMS, SYMTAB = offset("module.name"), offset("module.kallsyms"), offset("mod_kallsyms.symtab")
gdb.execute(f"file {PLAN['symbols']}", to_string=True)
gdb.execute(f"target remote {PLAN['socket']}", to_string=True)
Load()
# A breakpoint keeps the language that it was set in.
gdb.execute("set language rust")
for place in PLAN["breaks"]:
    gdb.execute(f"break {place}", to_string=True)
gdb.execute("set language auto")
gdb.execute("continue")
