# SPDX-License-Identifier: MIT
"""Runs inside gdb: connects, and tells gdb where a module lies at the moment when the kernel is about to start it.

It stops at the kernel's do_init_module(struct module *). There the module is in memory and its symbols are relocated,
but nothing of it has run: breakpoints in its init are in time. Read again at each load, so that rmmod and insmod do no
harm.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gdb

SYMBOL_SIZE, VALUE_AT = 24, 8
"""Of an Elf64_Sym, include/uapi/linux/elf.h."""

PLAN: dict[str, Any] = json.loads(Path(os.environ["R4L_PLAN"]).read_text(encoding="utf-8"))


def offset(field: str) -> int:
    """Where a field of a structure is, such as `module.kallsyms`, from the module's debug information."""
    structure, _, name = field.partition(".")
    return int(gdb.parse_and_eval(f"(unsigned long)&((struct {structure} *)0)->{name}"))


def pointer(address: int) -> int:
    """The eight bytes at an address of the guest's."""
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")


class Load(gdb.Breakpoint):  # type: ignore[misc]
    """The kernel is about to start a module."""

    def __init__(self) -> None:
        super().__init__(f"*{PLAN['load_address']:#x}", internal=True)
        self.silent = True
        self.loaded: set[str] = set()

    def stop(self) -> bool:
        """Called by gdb; True where the user shall see it."""
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
