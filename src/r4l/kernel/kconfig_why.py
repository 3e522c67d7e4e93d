# SPDX-License-Identifier: MIT
"""Reasons why options of a configuration were dropped: a program that is run inside the toolchain.

It reads a question as JSON from stdin and prints the answer as JSON. It runs in the toolchain because Kconfig files
call the compiler.

The kernel's own programs have no answer to print: conf (scripts/kconfig/conf.c) drops a value silently, and the
dependencies that menuconfig shows after a search (get_relations_str in scripts/kconfig/menu.c) are on its screen only.
kconfiglib (ISC) reads the same files. Its last release is of 2020, so nothing else of r4l uses it, and `Kconfig` below
adds what the language has learned since, through `_tokenize`, which kconfiglib does not promise to keep. The test
`tests/unit/kernel/test_kconfig_why.py` would show if it went.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])  # The toolchain's Python has no kconfiglib: LIBRARY, as bound into the sandbox.

import kconfiglib

LIBRARY = Path(kconfiglib.__file__)
"""The library, a single file."""
VALUES = {"n": 0, "m": 1, "y": 2}
DEPENDS_IF = re.compile(r"(\s*)depends on ([^#]*) if ([^#]*)(#.*)?$")


class Kconfig(kconfiglib.Kconfig):  # type: ignore[misc]
    """Kconfig as described by Documentation/kbuild/kconfig-language.rst in Linux 7."""

    def _tokenize(self, line):  # type: ignore[no-untyped-def]
        word = line.strip()
        if word == "transitional":
            return (None,)
        if word == "modules":
            return super()._tokenize("\toption modules\n")
        conditional = DEPENDS_IF.match(line)
        if conditional:
            line = f"{conditional[1]}depends on ({conditional[2]}) || !({conditional[3]})\n"
        return super()._tokenize(line)


class Why:
    """Explanations for one configuration.

    Args:
        config: `CONFIG_…` to value.
    """

    def __init__(self, kconfig: Kconfig, config: dict[str, str]) -> None:
        self.kconfig = kconfig
        self.config = config

    def answer(self, option: str, wanted: str) -> dict[str, object]:
        """Return the reason for one option, and whether the kernel has that option."""
        name = option.removeprefix("CONFIG_")
        symbol = self.kconfig.syms.get(name)
        if symbol is None or not symbol.nodes:
            return {"known": False, "reason": "this kernel has no such option", "names": self._names()}
        return {"known": True, "reason": self._reason(symbol, wanted)}

    def _names(self) -> list[str]:
        return [symbol.name for symbol in self.kconfig.unique_defined_syms]

    def _reason(self, symbol: kconfiglib.Symbol, wanted: str) -> str:
        if symbol.orig_type not in (kconfiglib.BOOL, kconfiglib.TRISTATE):
            return self._unmet_or(symbol, f"the kernel has {self._value(symbol)!r} there")
        if wanted == "n":
            return self._who_selects(symbol)
        if wanted == "m" and symbol.orig_type == kconfiglib.BOOL:
            return "it is either y or n, and no module"
        if symbol.choice is not None:
            chosen = [other.name for other in symbol.choice.syms if self._level(other) == 2]
            if chosen:
                return f"of this choice only one can be set, and CONFIG_{chosen[0]} is"
        # A tristate that depends on an m can be m but not y; a bool can be y.
        need = VALUES.get(wanted, 1) if symbol.orig_type == kconfiglib.TRISTATE else 1
        return self._unmet_or(symbol, "nothing that Kconfig says stands against it; is it set twice?", need)

    def _unmet_or(self, symbol: kconfiglib.Symbol, otherwise: str, need: int = 1) -> str:
        unmet = self._unmet(symbol.direct_dep, need)
        if unmet:
            return f"it depends on {' and '.join(unmet)}"
        prompts = [node.prompt for node in symbol.nodes if node.prompt]
        if not prompts:
            selectors = [item.name for item in self._selectors(symbol)]
            by = f" ({', '.join('CONFIG_' + name for name in selectors[:4])})" if selectors else ""
            return f"it cannot be set by hand: other options select it{by}"
        hidden = [self._unmet(condition) for _text, condition in prompts]
        if all(hidden):
            return f"it can only be set where {' and '.join(hidden[0])}"
        return otherwise

    def _unmet(self, expression: object, need: int = 1) -> list[str]:
        """Return the terms of a conjunction below the needed level, each with the values of its options."""
        terms = kconfiglib.split_expr(expression, kconfiglib.AND)
        return [self._shown(term) for term in terms if self._level(term) < need]

    def _shown(self, term: object) -> str:
        now = {
            item.name: self._value(item)
            for item in sorted(kconfiglib.expr_items(term), key=lambda item: item.name or "")
            if isinstance(item, kconfiglib.Symbol) and not item.is_constant and item.nodes
        }
        values = ", ".join(f"{name}={value}" for name, value in list(now.items())[:6])
        return f"{kconfiglib.expr_str(term)} ({values})" if values else str(kconfiglib.expr_str(term))

    def _who_selects(self, symbol: kconfiglib.Symbol) -> str:
        names = [item.name for item in self._selectors(symbol) if self._level(item) > 0]
        if names:
            return f"it is selected by {', '.join('CONFIG_' + name for name in names[:4])}"
        if not any(node.prompt for node in symbol.nodes):
            return "it cannot be set by hand: the kernel decides it"
        unmet = [self._unmet(node.prompt[1]) for node in symbol.nodes if node.prompt]
        return f"it can only be switched off where {' and '.join(unmet[0])}" if unmet and unmet[0] else "it is forced"

    def _selectors(self, symbol: kconfiglib.Symbol) -> list[kconfiglib.Symbol]:
        found = [
            item
            for term in kconfiglib.split_expr(symbol.rev_dep, kconfiglib.OR)
            for item in kconfiglib.split_expr(term, kconfiglib.AND)[:1]
        ]
        return [item for item in found if isinstance(item, kconfiglib.Symbol) and not item.is_constant]

    def _value(self, symbol: kconfiglib.Symbol) -> str:
        if symbol.is_constant or not symbol.nodes:
            return str(symbol.name)
        missing = "n" if symbol.orig_type in (kconfiglib.BOOL, kconfiglib.TRISTATE) else ""
        return self.config.get(f"CONFIG_{symbol.name}", missing)

    def _level(self, expression: object) -> int:
        """Return 0, 1 or 2 for n, m, y, evaluated with the present configuration."""
        if not isinstance(expression, tuple):
            if isinstance(expression, kconfiglib.Choice):
                return 2
            return VALUES.get(self._value(expression), 0)
        operator, *parts = expression
        if operator is kconfiglib.AND:
            return min(map(self._level, parts))
        if operator is kconfiglib.OR:
            return max(map(self._level, parts))
        if operator is kconfiglib.NOT:
            return 2 - self._level(parts[0])
        return 2 if _compare(operator, *map(self._value, parts)) else 0


def _compare(operator: int, left: str, right: str) -> bool:
    try:
        order = int(left, 0) - int(right, 0)
    except ValueError:
        order = (left > right) - (left < right)
    return {
        kconfiglib.EQUAL: order == 0,
        kconfiglib.UNEQUAL: order != 0,
        kconfiglib.LESS: order < 0,
        kconfiglib.LESS_EQUAL: order <= 0,
        kconfiglib.GREATER: order > 0,
        kconfiglib.GREATER_EQUAL: order >= 0,
    }[operator]


def main() -> None:
    """Answer the question on stdin. If there is no answer, the last line on stderr says why."""
    question = json.load(sys.stdin)
    clang = {"CC": "clang", "LD": "ld.lld", "AR": "llvm-ar", "NM": "llvm-nm", "HOSTCC": "clang", "HOSTCXX": "clang++"}
    rust = {"RUSTC": "rustc", "BINDGEN": "bindgen", "PAHOLE": "pahole"}
    arch = question["arch"]
    # The same value as in the kernel's scripts/Makefile.clang.
    clang["CLANG_FLAGS"] = f"--target={question['target']} -fintegrated-as"
    os.environ.update(clang, **rust, srctree=question["source"], ARCH=arch, SRCARCH=arch, KERNELVERSION="")
    try:
        # $(info,…) of Kconfig prints there.
        with contextlib.redirect_stdout(sys.stderr):
            # A help text may be in any encoding.
            kconfig = Kconfig(question["source"] + "/Kconfig", warn=False, encoding="latin-1")
            why = Why(kconfig, question["config"])
            answers = {name: why.answer(name, value) for name, value in question["wanted"].items()}
    except (kconfiglib.KconfigError, RecursionError) as error:
        sys.exit(str(error).strip().split("\n")[0])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
