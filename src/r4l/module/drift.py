# SPDX-License-Identifier: MIT
"""The API of another kernel: the kernel that a module was written for, and the API of this kernel.

Linux promises no stable interface inside the kernel. rustc tells where a module does not fit; this module finds the
definition in the kernel's source, and another ready kernel or a known change (changes.toml) that has the API the module
expects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import cdrift
from r4l.module.expected import SEARCHES, Seen, written_path
from r4l.module.own_rust import has_module_macro, without_aliases
from r4l.module.rusttree import RustTree

ANOTHER = "the module expects another kernel's API"
UNFIT = "the module does not fit the kernel's API"
"""Verdict if no known kernel has what the module expects: the module itself may be wrong."""
MOST_PATHS = 2
"""Number of paths up to which the items of one name are said to be where the module may find it."""


@dataclass(frozen=True)
class RustApiChange:
    """A known change of the API: see changes.toml."""

    pattern: re.Pattern[str]
    expected: str
    now: str
    proof: tuple[str, str]
    wins: bool = False


CHANGE = {"pattern!": str, "expected": str, "now": str, "proof": [str], "wins?": bool}
"""Keys of a row of changes.toml."""


@cache
def changes() -> tuple[RustApiChange, ...]:
    """Read the table of changes."""
    data = resources.table(__package__, "changes.toml", {"change": [CHANGE]})
    return tuple(
        RustApiChange(
            re.compile(entry["pattern"]),
            entry["expected"],
            entry["now"],
            tuple(entry["proof"]),
            entry.get("wins", False),
        )
        for entry in data["change"]
    )


def block(output: str, begin: int) -> str:
    """Return one error of rustc's, from its first line to the next error."""
    end = re.compile(r"^(?:error|warning)(?:\[E\d+\])?: |^make(?:\[\d+\])?: ", re.MULTILINE).search(output, begin + 1)
    return output[begin : end.start() if end else len(output)]


def look_up(
    lookup: str,
    error: str,
    groups: Mapping[str, object],
    folder: Path,
    kernel: Kernel,
    others: Callable[[], Sequence[Kernel]],
    tree: Callable[[Path], RustTree] = RustTree,
) -> dict[str, str] | None:
    """Find the facts for the text of an entry of build.toml.

    Args:
        lookup: name of one of the searches (`expected.py`), or of a check of this function's.
        error: rustc's text of the error.
        groups: groups that the entry's pattern matched.
        folder: folder of the module.
        kernel: kernel that the module was built for.
        others: returns the other kernels that are ready.
        tree: returns the Rust source of a kernel's source tree; a cached one spares the reading for each error.

    Returns:
        `verdict`, `expected` (a clause that begins with a comma or is empty), `found`, `now`, `path`, and `wins`, not
            empty if a change explains all errors of the build; None if the error is not about the kernel's API.
    """
    plain = without_aliases(folder)
    error = plain(error)
    text = {name: plain(str(value)) for name, value in groups.items()}
    change = _change(error)
    if lookup == "binding":
        return _binding(text["item"], kernel)
    if lookup == "configured":
        return _configured(tree(kernel.source), error, text, kernel)
    if lookup == "no_module":
        return None if has_module_macro(error, folder) else {}
    if lookup == "only_change" and change is None:
        return None
    if lookup in ("change", "only_change"):
        seen: Seen | None = Seen("", lambda _tree: None)
    else:
        seen = SEARCHES[lookup](tree(kernel.source), error, text, folder)
    if seen is None:
        return None
    change = change or _change(f"`{seen.path}`")
    here = [path for path in seen.elsewhere if _holds(tree(kernel.source).condition(path.split("::")[1:]), kernel)]
    seen = replace(seen, elsewhere=tuple(here))
    verdict, expected, now = _whose(seen, change, kernel, [(other, tree(other.source)) for other in others()])
    wins = "yes" if change and change.wins else ""
    told = {"verdict": verdict, "found": seen.found, "path": seen.path, "expected": expected, "now": now, "wins": wins}
    return {**told, "trait": seen.path} if lookup == "trait_item" else told


def _holds(condition: str, kernel: Kernel) -> bool:
    """Return True if a `cfg` of one option holds, or there is none."""
    option = re.search(r"\bCONFIG_\w+", condition)
    value = kernel.config.get(option[0]) if option else "y"
    return value == "y" or (value == "m" and '= "y"' not in condition)


def apart(error: str) -> list[str]:
    """Return an error about several imports as errors about one import each."""
    head, _, body = error.partition("\n")
    if not head.startswith("error[E0432]: unresolved imports "):
        return [error]
    place = body.partition("\n")[0]
    paths = dict.fromkeys(re.findall(r"`([^`]+)`", head))
    # The body speaks of all of them.
    bodies = {path: place if path.startswith("kernel::") else body for path in paths}
    return [f"error[E0432]: unresolved import `{path}`\n{said}" for path, said in bodies.items()]


def _configured(tree: RustTree, error: str, groups: Mapping[str, str], kernel: Kernel) -> dict[str, str] | None:
    """Return the option without which the kernel's crate lacks a module or a macro that its source has."""
    path = groups.get("path") or written_path(error, groups)
    segments = path.split("::")[1:]
    macro = tree.macro(segments[-1]) if len(segments) == 1 else None
    condition = tree.condition(tree.segments(macro.file) if macro else segments)
    option = re.search(r"\bCONFIG_\w+", condition)
    if option is None or _holds(condition, kernel):
        return None
    value = kernel.config.get(option[0])
    return {"path": path, "found": f"{condition}; here {option[0]} is {value or 'not set'}"}


def _change(error: str) -> RustApiChange | None:
    return next((change for change in changes() if change.pattern.search(error)), None)


def _binding(item: str, kernel: Kernel) -> dict[str, str]:
    """Return the place of a C name in the headers for which bindgen makes no binding."""
    there = cdrift.headers_of(kernel).named(item)
    write = f"look for the abstraction in {kernel.source}/rust/kernel"
    if there is None:
        return {
            "found": f"the headers of Linux {kernel.release} do not have it",
            "now": f"correct the name, or {write}",
        }
    found = f"in {there.file}:{there.line} it is inline or a macro, and bindgen makes bindings of neither"
    return {"found": found, "now": f"{write}, or call it from a C file of the module, as rust/drivers/c_from_rust does"}


def _whose(
    seen: Seen, change: RustApiChange | None, kernel: Kernel, others: Sequence[tuple[Kernel, RustTree]]
) -> tuple[str, str, str]:
    """Return the verdict, the owner of the API that the module expects (as a clause), and the remedy."""
    own_way = f"write it as Linux {kernel.release} has it ({kernel.source}/rust/kernel)"
    for other, its_tree in others:
        definition = seen.fits(its_tree)
        if definition:
            remedy = f"{own_way}, or build for the kernel that it was written for: `--kernel {other.release}`"
            return ANOTHER, f", as Linux {other.release} has it: {definition}", remedy
    if change:
        return ANOTHER, f", as {change.expected}", change.now
    if 0 < len(seen.elsewhere) <= MOST_PATHS:
        paths = " or ".join(f"`{path}`" for path in seen.elsewhere)
        return ANOTHER, "", f"Linux {kernel.release} has this name elsewhere: write {paths}"
    remedy = f"{own_way}, or build for the kernel that it was written for (`--kernel RELEASE`)"
    if others:
        names = ", ".join(other.release for other, _tree in others)
        return UNFIT, f", which none of the other kernels here ({names}) has either", remedy
    return UNFIT, "", remedy
