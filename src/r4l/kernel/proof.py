# SPDX-License-Identifier: MIT
"""The proof that regenerated Rust metadata fits the packaged kernel.

A v0-mangled Rust symbol contains the hash of its crate, which depends on the compiler, its flags and the source. So if
every symbol exported by the regenerated crates is in the Module.symvers of Debian's kernel, the metadata describe that
kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

EXPORT = re.compile(r"EXPORT_SYMBOL_RUST_GPL\((\w+)\)")


@dataclass(frozen=True)
class Proof:
    """Result of the comparison.

    Attributes:
        exported: number of exported symbols per crate (`core`, `bindings`, `kernel`, `helpers`).
        missing: symbols absent from the packaged Module.symvers.
    """

    exported: dict[str, int]
    missing: tuple[str, ...]

    @property
    def total(self) -> int:
        """Number of exported symbols."""
        return sum(self.exported.values())

    @property
    def holds(self) -> bool:
        """True if the metadata fit the kernel."""
        return self.total > 0 and not self.missing

    def __str__(self) -> str:
        crates = ", ".join(f"{name} {count}" for name, count in sorted(self.exported.items()))
        return f"{self.total - len(self.missing)} of {self.total} exported Rust symbols match ({crates})"


def symvers(path: Path) -> dict[str, str]:
    """Return the symbols of a Module.symvers, each with its module (`vmlinux` for the kernel itself)."""
    found: dict[str, str] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            _crc, symbol, module = line.split("\t")[:3]
            found[symbol] = module
    return found


def prove(build: Path, packaged: Path) -> Proof:
    """Compare `rust/exports_*_generated.h` of a build folder with a packaged Module.symvers."""
    known = symvers(packaged)
    exported: dict[str, int] = {}
    missing: list[str] = []
    for header in sorted(build.glob("rust/exports_*_generated.h")):
        symbols = EXPORT.findall(header.read_text(encoding="utf-8"))
        exported[header.name.removeprefix("exports_").removesuffix("_generated.h")] = len(symbols)
        missing += [symbol for symbol in symbols if symbol not in known]
    return Proof(exported, tuple(missing))
