# SPDX-License-Identifier: MIT
"""What a driver must give back: interrupts, I/O memory, interfaces, modules, memory, DMA mappings."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from r4l.errors import VerdictError
from r4l.vm import VM

KMEMLEAK = "/sys/kernel/debug/kmemleak"
DMA_API = "/sys/kernel/debug/dma-api"
LISTS = {
    "interrupt lines": "cut -d: -f1 /proc/interrupts; sed -n 's/.*  *\\([a-zA-Z_].*\\)/\\1/p' /proc/interrupts",
    "I/O memory": "cat /proc/iomem",
    "I/O ports": "cat /proc/ioports",
    "network interfaces": "ls /sys/class/net",
    "modules": "cut -d' ' -f1 /proc/modules",
    "DMA mappings": f"cd {DMA_API} 2>/dev/null && echo $(($(cat nr_total_entries) - $(cat num_free_entries))) || true",
}
"""What is compared as it stands, and the command that prints it."""
ROUND_LIMIT = 1024
"""Bytes for each time that something is done, in one cache of the slab allocator. The sum of all caches says little:
those of inodes and sockets come and go by 100 KiB and hide what another loses. What is leaked grows its own cache in
every round, by whole slabs (of up to 36 KiB), and one receive buffer is twice the limit."""

SECOND_LOOK = 4
"""Rounds. What is freed only after a grace period, such as the nodes of maple trees, can grow in two rounds in a row,
by 16 KiB each; a leak goes on."""


class LeakFound(VerdictError):
    """Something was not given back."""

    kind = "leak"


class Leaks:
    """Compares a guest before and after. `with leaks(): …` or `leaks.across_rounds(…)`."""

    def __init__(self, vm: VM) -> None:
        self._vm = vm
        self.kmemleak = vm.run(f"test -w {KMEMLEAK}").exit_code == 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """All that the block takes, it gives back; where the kernel has kmemleak, no memory is lost either.

        Raises:
            LeakFound: it does not.
        """
        before = self._lists()
        if self.kmemleak:
            # What the boot itself left is not the driver's.
            self._vm.run(f"echo clear >{KMEMLEAK}", check=True)
        yield
        for what, after in self._lists().items():
            if change := _change(before[what], after):
                raise LeakFound(f"{what}: {change}", "the driver's remove has to undo what its probe did")
        if self.kmemleak and (lost := self._unreferenced()):
            raise LeakFound("kmemleak finds memory that nobody points to", "the trace says who took it", detail=lost)

    def across_rounds(self, reload: Callable[[int], object], *, rounds: int = 4, times: int = 20) -> None:
        """Have something done many times, and see that no slab cache grows with it.

        What grew in every round is looked at for `SECOND_LOOK` rounds more. Where the kernel has kmemleak, that is
        asked after one round instead: KASAN beside it keeps freed memory for a while, so caches grow without a leak
        (mm/kasan/quarantine.c).

        Args:
            reload: does it as often as its argument says.
            rounds: how many rounds are compared, after one to warm up.
            times: how often it is done in a round.

        Raises:
            LeakFound: a cache grew and went on growing, or something else was not given back.
        """
        with self():
            if self.kmemleak:
                reload(times)
                return
            used = [self._after(reload, times) for _ in range(1 + rounds)]
            suspects = [cache for cache, steps in _growth(used).items() if min(steps) > 0 and _leaks(steps, times)]
            if suspects:
                again = [used[-1], *(self._after(reload, times) for _ in range(SECOND_LOOK))]
                growth = _growth(again)
                suspects = [cache for cache in suspects if _leaks(growth[cache], times)]
        if suspects:
            told = "; ".join(f"{cache} by {', '.join(map(str, growth[cache]))} bytes" for cache in suspects)
            raise LeakFound(
                f"slab caches go on growing, in rounds of {times}: {told}",
                "`--kernel debug` has kmemleak, which says who took the memory",
            )

    def _after(self, reload: Callable[[int], object], times: int) -> Counter[str]:
        """The slab caches after one round."""
        reload(times)
        return self._slabs()

    def _slabs(self) -> Counter[str]:
        """Bytes in active objects of each slab cache, without what a cache shrinker can free (slabinfo(5))."""
        self._vm.run("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.2", check=True)
        rows = [line.split() for line in self._vm.run("cat /proc/slabinfo", check=True).stdout.splitlines()[2:]]
        return Counter({row[0]: int(row[1]) * int(row[3]) for row in rows})

    def _lists(self) -> dict[str, list[str]]:
        return {what: self._vm.run(command, check=True).stdout.splitlines() for what, command in LISTS.items()}

    def _unreferenced(self) -> str:
        """What kmemleak finds: objects 5 s old, unreferenced in one scan and unchanged in the next.

        Source: mm/kmemleak.c (MSECS_MIN_AGE, update_checksum), Documentation/dev-tools/kmemleak.rst.
        """
        scan = f"echo scan >{KMEMLEAK}"
        self._vm.run(f"sleep 6; {scan} && {scan} && {scan}", timeout=180, check=True)
        return self._vm.run(f"cat {KMEMLEAK}", check=True).stdout


def _growth(used: list[Counter[str]]) -> dict[str, list[int]]:
    """By how many bytes each slab cache grew, round by round."""
    return {cache: [after[cache] - before[cache] for before, after in itertools.pairwise(used)] for cache in used[-1]}


def _leaks(steps: list[int], times: int) -> bool:
    """Whether a cache that grew like this would lose memory, each time something is done."""
    return sum(steps) >= ROUND_LIMIT * times * len(steps)


def _change(before: list[str], after: list[str]) -> str:
    """What is new and what is gone, in words; empty where nothing is."""
    changes = {"new": Counter(after) - Counter(before), "gone": Counter(before) - Counter(after)}
    return "; ".join(f"{word}: {', '.join(line.strip() for line in lines)}" for word, lines in changes.items() if lines)
