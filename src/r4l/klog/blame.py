# SPDX-License-Identifier: MIT
"""Who is to blame for a complaint, of all who stand in its trace. The messengers are data: messengers.toml."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

from r4l import resources
from r4l.klog.frames import StackFrame

_FILE = resources.table(__package__, "messengers.toml")
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|\d).*$")
LONGEST = 200
"""Letters of a name that are compared: a log may be anybody's."""
INNOCENT = 2
"""Groups at the head of the table that are never to blame, even where nobody else is there."""


def _any(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(names))


@functools.cache
def _groups(kind: str) -> tuple[re.Pattern[str], ...]:
    """The messengers of a kind, from the least to the most guilty."""
    return tuple(_any(group["functions"]) for group in _FILE["group"] if kind in group.get("kinds", [kind]))


_DISPATCH = _any(_FILE["dispatch"]["functions"])


def plain(symbol: str) -> str:
    """A function's name without what compilers and the kernel's checks put around it."""
    for padding in ("__pfx_", "__cfi_"):
        symbol = symbol.removeprefix(padding)
    return _SUFFIX.sub("", symbol)[:LONGEST]


@functools.lru_cache(4096)
def _guilt(symbol: str, kind: str) -> int:
    """The group of a messenger; as many as there are groups for a function that is none."""
    name = plain(symbol)
    groups = _groups(kind)
    return next((number for number, group in enumerate(groups) if group.fullmatch(name)), len(groups))


def is_messenger(symbol: str, kind: str) -> bool:
    """Whether a function only carries the message, in complaints of a kind."""
    return _guilt(symbol, kind) < len(_groups(kind))


def culprit(
    frames: Iterable[StackFrame | None],
    kind: str = "",
    *,
    outer: bool = False,
    deep: bool = False,
    strict: bool = False,
) -> StackFrame | None:
    """The frame to look at first, of those from the innermost to the outermost.

    A function of a module's author, else of a module, else the innermost that is no messenger. Of a task that happens
    to be somewhere (`outer`, `deep`): what it was asked to do.

    Args:
        outer: whether the task does not get on; then, the innermost piece of work.
        deep: whether the task went ever deeper; then, the outermost.
        strict: rather none than a messenger.
    """
    certain = [frame for frame in frames if frame and frame.certain]
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
    worst = max(certain, key=lambda frame: _guilt(frame.symbol, kind), default=None)
    return worst if worst and _guilt(worst.symbol, kind) >= INNOCENT else None


def _carries(frame: StackFrame, kind: str) -> bool:
    # A call that never returns can be the last of its function: the address behind it is the next function's.
    return is_messenger(frame.symbol, kind) or (frame.offset == 0 and frame.size > 0)


def _asked_for(frames: Sequence[StackFrame], kind: str, *, first: bool = False) -> StackFrame | None:
    """The last function before a piece of work that was handed to somebody; or the first that is none of these."""
    work: StackFrame | None = None
    for frame in frames:
        if _DISPATCH.fullmatch(plain(frame.symbol)):
            if work:
                return work
        elif not _carries(frame, kind):
            work = frame
            if first:
                return work
    return work
