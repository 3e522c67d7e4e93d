# SPDX-License-Identifier: MIT
"""The judgement on slab caches, with figures of real guests."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest

from r4l.guest import Completed
from r4l.testing.leaks import LISTS, SEPARATOR, LeakFound, Leaks
from r4l.vm import VM

NODE = 256
"""Bytes of a maple_node."""


class Guest:
    """A guest whose cache grows by `steps` objects, reading by reading; after the last step, not at all.

    With `sheaves`, they are freed objects that the cache keeps until it is shrunk.
    """

    def __init__(self, cache: str, size: int, steps: list[int], *, sheaves: bool = False) -> None:
        self._cache, self._size, self._steps, self._sheaves = cache, size, iter(steps), sheaves
        self._objects = 1000

    def run(self, command: str, **_: object) -> Completed:
        if SEPARATOR in command:
            # Nothing is held.
            return Completed(command, 0, f"{SEPARATOR}\n".encode() * len(LISTS), b"", 0.0)
        if f"/sys/kernel/slab/{self._cache}/shrink" in command and self._sheaves:
            self._objects = 1000
        if command != "cat /proc/slabinfo":
            return Completed(command, 1, b"", b"", 0.0)
        self._objects += next(self._steps, 0)
        rows = f"{self._cache} {self._objects} {self._objects} {self._size} 16 1\n"
        return Completed(command, 0, f"slabinfo - version: 2.1\n# name\n{rows}".encode(), b"", 0.0)


def leaks_of(cache: str, size: int, steps: list[int], *, sheaves: bool = False) -> Leaks:
    return Leaks(cast(VM, Guest(cache, size, steps, sheaves=sheaves)))


def test_a_cache_that_grows_for_a_while_is_no_leak() -> None:
    """Figures seen on two loaded cores, with a driver without maple tree."""
    reloads: Counter[str] = Counter()
    leaks_of("maple_node", NODE, [0, 64, 64, 0, 0, 64, 0, -64]).across_rounds(
        lambda times: reloads.update(loads=times), rounds=2, times=10
    )
    assert reloads["loads"] == 10 * (1 + 2 + 4), "it is looked at a second time"


def test_a_cache_that_grows_on_is_a_leak() -> None:
    """A buffer of 2 KiB per repetition; slabs hold 16, so a round can seem to leak none."""
    with pytest.raises(LeakFound, match="in rounds of 10: kmalloc-2k by 32768, 0, 32768, 32768 bytes"):
        leaks_of("kmalloc-2k", 2048, [0, 16, 16, 0, 16, 0, 16, 16]).across_rounds(lambda _: None, rounds=2, times=10)


def test_objects_in_sheaves_are_no_leak() -> None:
    """Figures seen on two loaded cores: a sheaf of maple_node holds 32 objects."""
    leaks_of("maple_node", NODE, [0, 32, 64, 0, 64, 32, 64, 32], sheaves=True).across_rounds(
        lambda _: None, rounds=2, times=5
    )


def test_a_leak_stays_when_the_cache_is_shrunk() -> None:
    """The same figures, of objects in use."""
    with pytest.raises(LeakFound, match="maple_node by 16384, 8192, 16384, 8192 bytes"):
        leaks_of("maple_node", NODE, [0, 32, 64, 0, 64, 32, 64, 32]).across_rounds(lambda _: None, rounds=2, times=5)
