# SPDX-License-Identifier: MIT
"""The function to blame for a complaint, found in its call traces.

Functions that only carry the message are listed in messengers.toml.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from r4l import resources
from r4l.klog.frames import StackFrame

_GROUP = {"name!": str, "functions": [str], "kinds?": [str], "except?": [str], "built-in?": bool, "innocent?": bool}
_SHAPE = {"group": [_GROUP], "dispatch": {"functions": [str]}}
_FILE = resources.table(__package__, "messengers.toml", _SHAPE)
_SYSTEM_CALL = re.compile(r"__[a-z0-9]{2,8}_(?P<compat>compat_)?sys_|(?P<older>compat_|C_)?(?:SyS|SYSC)_")
"""Begin of the functions that SYSCALL_DEFINE makes of one system call, today, with an architecture's name or that of a
step, and up to 4.16 (include/linux/syscalls.h)."""
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|clone|llvm|lto_priv|\d).*$")
LONGEST = 200
"""Characters of a symbol that are compared. The bound keeps hostile logs from costing time."""


def _any(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(names))


@dataclass(frozen=True)
class _Group:
    """A group of messengers: the pattern of its functions, and whether they are never blamed."""

    pattern: re.Pattern[str]
    innocent: bool


@functools.cache
def _groups(kind: str, module: bool) -> tuple[_Group, ...]:
    """Messengers for a complaint kind, ordered from the least to the most likely culprit."""
    return tuple(
        _Group(_any(group["functions"]), group.get("innocent", False))
        for group in _FILE["group"]
        if kind in group.get("kinds", [kind])
        and kind not in group.get("except", [])
        and not (module and group.get("built-in", False))
    )


_DISPATCH = _any(_FILE["dispatch"]["functions"])


def plain_symbol(symbol: str) -> str:
    """Strip from a symbol the prefixes and suffixes that compilers, kernel checks and SYSCALL_DEFINE add."""
    # A leading dot marks the code of a function on big-endian powerpc.
    for padding in (".", "__pfx_", "__cfi_", "__pi_"):
        symbol = symbol.removeprefix(padding)
    if match := _SYSTEM_CALL.match(symbol):
        compat = "compat_" if match["compat"] or match["older"] else ""
        symbol = f"{compat}sys_{symbol[match.end() :]}"
    return _SUFFIX.sub("", symbol)[:LONGEST]


@functools.lru_cache(4096)
def _guilt(symbol: str, kind: str, module: bool = False) -> int:
    """Index of the messenger group that a function is in; the number of groups if it is in none."""
    name = plain_symbol(symbol)
    groups = _groups(kind, module)
    return next((number for number, group in enumerate(groups) if group.pattern.fullmatch(name)), len(groups))


def _is_innocent(symbol: str, kind: str) -> bool:
    """True if the function is never blamed, even if no other frame is left."""
    groups = (*_groups(kind, module=False), None)
    group = groups[_guilt(symbol, kind)]
    return group is not None and group.innocent


def only_reports(symbol: str) -> bool:
    """True if the function prints complaints, whatever their kind."""
    return _guilt(symbol, "") == 0


def is_messenger(symbol: str, kind: str, *, module: bool = False) -> bool:
    """True if, in complaints of this kind, the function only carries the message.

    Args:
        module: the function is a module's.
    """
    return _guilt(symbol, kind, module) < len(_groups(kind, module))


def culprit(
    frames: Iterable[StackFrame | None],
    kind: str = "",
    *,
    outer: bool = False,
    deep: bool = False,
    strict: bool = False,
    doubtful: bool = False,
) -> StackFrame | None:
    """Return the frame to look at first. `frames` are ordered from the innermost to the outermost.

    Preferred is a function of the module's author, then any function of a module, then the innermost function that is
    no messenger. For a task that hangs or overflows its stack, the function that started its current piece of work is
    taken instead.

    Args:
        outer: the task hangs; take the innermost piece of work.
        deep: the task overflowed its stack; take the outermost piece of work.
        strict: return None rather than a messenger.
        doubtful: take the frames that the unwinder is not sure of, too.
    """
    certain = [frame for frame in frames if frame and (frame.certain or doubtful)]
    for group in ([frame for frame in certain if frame.own], [frame for frame in certain if frame.module]):
        found = [frame for frame in group if not _carries(frame, kind)] or group
        if found:
            return found[0]
    guilty = [frame for frame in certain if not _carries(frame, kind)]
    if guilty and deep:
        return _asked_for(list(reversed(certain)), kind, first=True) or guilty[0]
    if guilty and outer:
        return _asked_for(certain, kind) or guilty[0]
    if guilty or strict:
        return next(iter(guilty), None)
    left = [frame for frame in certain if not _is_innocent(frame.symbol, kind)]
    return max(left, key=lambda frame: _guilt(frame.symbol, kind), default=None)


def _carries(frame: StackFrame, kind: str) -> bool:
    # A call that never returns can be the last of its function: the address behind it is the next function's.
    if is_messenger(frame.symbol, kind, module=frame.module is not None):
        return True
    # Of an inlined function the kernel itself knows nothing: the culprit is the same before and after somebody has
    # added source lines to a log.
    return (frame.offset == 0 and frame.size > 0) or frame.inlined


def _asked_for(frames: Sequence[StackFrame], kind: str, *, first: bool = False) -> StackFrame | None:
    """Return the last function before a dispatcher (`[dispatch]` in messengers.toml) took over.

    With `first`, return the first function that is neither dispatcher nor messenger.
    """
    work: StackFrame | None = None
    for frame in frames:
        if _DISPATCH.fullmatch(plain_symbol(frame.symbol)):
            if work:
                return work
        elif not _carries(frame, kind):
            work = frame
            if first:
                return work
    return work
