# SPDX-License-Identifier: MIT
"""Memory that cannot be had: the n-th allocation on behalf of a driver fails.

A module in the guest does that (`no_memory/`), on any kernel with kprobes. It is what failslab
(Documentation/fault-injection/fault-injection.rst) does on kernels that are built for it, but counts only allocations
with the driver's code on the stack.
"""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from typing import Self

from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.klog import StackFrame, demangle
from r4l.module import BuiltModule, Module
from r4l.vm import VM

NAME = "r4l_no_memory"
PARAMETERS = f"/sys/module/{NAME}/parameters"
OFF = -1
FAILED = re.compile(
    rf"^{NAME}: (?P<function>\w+) fails for (?P<symbol>\S+)\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+) "
    r"\[(?P<module>\w+)\]"
)
"""The module's message about the allocation that failed: the allocator, and the driver's innermost function."""


def build(kernel: Kernel) -> BuiltModule | None:
    """Return the module for a kernel, or None if it cannot be built for it."""
    try:
        with as_file(files(__package__) / "no_memory") as folder:
            return Module(folder).build(kernel)
    except R4LError:
        return None


class GuestMemory:
    """Allocations of a driver in a guest.

    Args:
        vm: a running machine, in which the driver is not loaded yet.
        driver: name of the driver's module.
        module: result of `build`.
    """

    def __init__(self, vm: VM, driver: str, module: BuiltModule) -> None:
        self._vm = vm
        vm.insmod(module, target=driver)

    @classmethod
    def of(cls, vm: VM, driver: BuiltModule) -> Self:
        """Return the allocations of a driver in a running machine.

        Raises:
            R4LError: the machine's kernel has no kprobes.
        """
        with as_file(files(__package__) / "no_memory") as folder:
            return cls(vm, driver.name, Module(folder).build(vm.kernel))

    def fail(self, nth: int) -> None:
        """Have an allocation fail, and count from 0 again.

        Args:
            nth: its number from 1; 0: none fails.
        """
        self._vm.run(f"echo {nth} > {PARAMETERS}/nth", check=True)

    def stop(self) -> tuple[int, bool]:
        """End that; return the number of allocations, and True if one has failed."""
        said = self._vm.run(f"cat {PARAMETERS}/count {PARAMETERS}/came; echo {OFF} > {PARAMETERS}/nth", check=True)
        count, came = said.stdout.split()
        return int(count), came == "Y"

    def source(self) -> str:
        """Return the driver's source line, or function, for which the last allocation has failed; empty if none has."""
        found = [match for record in self._vm.klog.records() if (match := FAILED.match(record.text))]
        if not found:
            return ""
        symbol, module = found[-1]["symbol"], found[-1]["module"]
        offset, size = int(found[-1]["offset"], 16), int(found[-1]["size"], 16)
        frame = StackFrame(demangle(symbol), offset, size, module, True, symbol)
        located = self._vm.sources.locate([(frame, True)]).get(frame)
        where = f"{located.where} in {located.symbol}" if located else f"{frame.symbol}+{offset:#x}"
        return f"{where}: {found[-1]['function']} fails"
