# SPDX-License-Identifier: MIT
"""A .ko file's description of itself: its `.modinfo` section and the symbols that it needs from others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from elftools.elf.enums import ENUM_E_MACHINE

from r4l.arch import architecture
from r4l.elf import BoundedElf, BoundlessElf, UnfitElf
from r4l.errors import BuildError, UsageError
from r4l.kernel import Kernel
from r4l.kernel.proof import symvers
from r4l.known import Explanation

LARGEST = 512 << 20
"""Bytes of a module: half of the largest file that a build may write."""
LARGEST_MODINFO = 1 << 20
"""Bytes of `.modinfo`: the longest in Debian's kernel 7.3, of the driver `option`, has 76 KB."""
MACHINES = {number: name for name, number in ENUM_E_MACHINE.items() if isinstance(number, int)}


@dataclass(frozen=True)
class BuiltModule:
    """A .ko file.

    Attributes:
        path: the file, with debug information if it was built with it.
        notes: explanations of the known warnings of its build, with remedies.
        warnings: all warnings of the compilers in its folder, as printed.
        needs: modules of the same folder, and of the kernel's own, that must be loaded before it, in their order.
    """

    path: Path
    notes: tuple[Explanation, ...] = field(default=(), compare=False)
    warnings: str = field(default="", compare=False)
    needs: tuple[BuiltModule, ...] = field(default=(), compare=False)

    @cached_property
    def modinfo(self) -> dict[str, list[str]]:
        """The fields of `.modinfo` (`vermagic`, `license`, `depends`, `parm` …), each with all its values.

        Raises:
            UsageError: the file is not a kernel module.
            BuildError: it has far more than any honest one.
        """
        fields: dict[str, list[str]] = {}
        with self._opened() as elf:
            section = elf.section(".modinfo")
            data = elf.data(section, LARGEST_MODINFO) if section else b""
        for entry in data.split(b"\0"):
            name, equals, value = entry.decode(errors="replace").partition("=")
            if equals:
                fields.setdefault(name, []).append(value)
        if "vermagic" not in fields:
            raise UsageError(
                f"{self.path} is not a kernel module: it has no vermagic", "give a folder with a Kbuild, or a .ko"
            )
        return fields

    @property
    def name(self) -> str:
        """Name of the module in lsmod."""
        return self.modinfo.get("name", [self.path.stem.replace("-", "_")])[0]

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters in its `parm` and `parmtype` fields (linux/moduleparam.h)."""
        said = [*self.modinfo.get("parm", []), *self.modinfo.get("parmtype", [])]
        return list(dict.fromkeys(text.partition(":")[0] for text in said))

    @property
    def vermagic(self) -> str:
        """The version magic, such as `7.2.12+deb13-amd64 SMP preempt mod_unload`."""
        return self.modinfo["vermagic"][0].strip()

    @property
    def of_pci(self) -> bool:
        """True if it has a table of PCI devices (scripts/mod/file2alias.c, do_pci_entry)."""
        return any(alias.startswith("pci:") for alias in self.modinfo.get("alias", []))

    @property
    def in_tree(self) -> bool:
        """True for one of the kernel's own modules (scripts/mod/modpost.c, add_header)."""
        return "intree" in self.modinfo

    @property
    def depends(self) -> list[str]:
        """Names of modules that must be loaded first."""
        return [name for name in ",".join(self.modinfo.get("depends", [])).split(",") if name]

    @property
    def soft_depends(self) -> dict[str, list[str]]:
        """Names of modules that should be loaded before (`pre`) and after it (`post`): MODULE_SOFTDEP."""
        found: dict[str, list[str]] = {"pre": [], "post": []}
        for text in self.modinfo.get("softdep", []):
            order = ""
            for word in text.split():
                if word.rstrip(":") in found and word.endswith(":"):
                    order = word.rstrip(":")
                elif order:
                    found[order].append(word.replace("-", "_"))
        return found

    @cached_property
    def machine(self) -> str:
        """The ELF machine, as in `EM_X86_64`."""
        with self._opened() as elf:
            return MACHINES.get(elf.machine, str(elf.machine))

    @cached_property
    def undefined(self) -> list[str]:
        """Symbols that the kernel or another module must export."""
        with self._opened() as elf:
            return sorted({symbol.name for symbol in elf.symbols(undefined=True) if symbol.name})

    @contextmanager
    def _opened(self) -> Iterator[BoundedElf]:
        """Yield the file, which a stranger may have written without a compiler.

        Raises:
            UsageError: the file is no ELF file.
            BuildError: it has far more than any honest one.
        """
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > LARGEST:
                    raise BoundlessElf(f"it has {size >> 20} MiB, and {LARGEST >> 20} is the most")
                yield BoundedElf(file)
        except BoundlessElf as error:
            raise BuildError(
                f"{self.path.name} is no module that a compiler makes: {error}", "build it from its source only"
            ) from error
        except (UnfitElf, OSError) as error:
            raise UsageError(
                f"{self.path} is not a kernel module: {error}", "give a folder with a Kbuild, or a .ko"
            ) from error

    def check(self, kernel: Kernel, siblings: frozenset[str] = frozenset()) -> None:
        """Refuse, before any boot, a module that this kernel would refuse.

        Args:
            kernel: kernel that is to load the module.
            siblings: symbols exported by modules that are loaded before it.

        Raises:
            BuildError: the module is for another machine, has another kernel's version magic, or needs symbols that
                nothing exports.
        """
        vermagic = self.vermagic
        wanted = architecture(kernel.arch).elf
        if self.machine != wanted:
            raise BuildError(
                f"{self.path.name} is for another machine ({self.machine}): "
                f"the kernel {kernel.release} is for {kernel.arch} ({wanted})",
                f"build it again for this kernel: `r4l build DIR` (kernel {kernel.release})",
            )
        if vermagic.split() != kernel.vermagic.split():
            raise BuildError(
                f"{self.path.name} is for another kernel: its version magic is '{vermagic}', "
                f"the kernel's is '{kernel.vermagic}'",
                f"build it again for this kernel: `r4l build DIR` (kernel {kernel.release})",
            )
        known = symvers(kernel.build / "Module.symvers")
        missing = [name for name in self.undefined if name not in known and name not in siblings]
        if missing:
            raise BuildError(
                f"{self.path.name} needs symbols that nothing exports: {', '.join(missing[:8])}",
                "load the module that exports them first, or check the spelling",
            )
