# SPDX-License-Identifier: MIT
"""Check that a driver releases its resources: interrupts, I/O memory, interfaces, modules, memory, DMA mappings."""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from r4l.errors import VerdictError
from r4l.vm import VM

KMEMLEAK = "/sys/kernel/debug/kmemleak"
SLABS = "/sys/kernel/slab"
DMA_API = "/sys/kernel/debug/dma-api"
NETWORK = "/sys/class/net"
FILES = (
    "/proc/interrupts",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/modules",
    f"{DMA_API}/nr_total_entries",
    f"{DMA_API}/num_free_entries",
)
"""Files with resources that must be the same before and after; some kernels lack some of them."""
LIST = f"tail -n +1 {' '.join(FILES)} 2>/dev/null; echo '==> {NETWORK} <=='; echo {NETWORK}/*"
"""Command that prints them with the network interfaces. It starts one program only: under TCG each takes 5 ms of a
quiet host."""
HEADER = re.compile(r"^==> (\S+) <==\n", re.MULTILINE)
"""Line before each file, by tail."""
HANDLER = re.compile(r".* +([a-zA-Z_].*)")
"""End of a line of /proc/interrupts: the handler's name."""
ROUND_LIMIT = 1024
"""Bytes per repetition that one slab cache may grow.

The sum over all caches is useless: caches of inodes and sockets vary by 100 KiB and hide a leak in another. A leak
grows its own cache in every round by whole slabs (up to 36 KiB), and one receive buffer is twice the limit.
"""

SECOND_LOOK = 4
"""Rounds for a second look at caches that grew.

The kernel keeps freed objects in sheaves and counts them as active (mm/slub.c): nodes of maple trees, freed after a
grace period, grew their cache by one or two sheaves of 8 KiB in each of several rounds. Before each count of the second
look, the suspects are shrunk: that returns the sheaves' objects, and a leak goes on growing.
"""


LOST = re.compile(r"^unreferenced object(?:.*\n)\s+comm .*, jiffies (\d+)", re.MULTILINE)
"""Beginning of each object in kmemleak's report (mm/kmemleak.c, print_unreferenced)."""


@dataclass(frozen=True)
class LostObject:
    """Memory that nothing points to any more, by kmemleak.

    Attributes:
        jiffies: the guest's, when it was allocated.
        text: kmemleak's report of it.
    """

    jiffies: int
    text: str


def lost_objects(report: str) -> list[LostObject]:
    """Return the objects of a report of kmemleak."""
    found = list(LOST.finditer(report))
    bounds = itertools.pairwise([*(match.start() for match in found), len(report)])
    return [LostObject(int(match[1]), report[slice(*place)]) for match, place in zip(found, bounds, strict=True)]


class LeakFound(VerdictError):
    """A resource was not released."""

    category = "leak"


class Leaks:
    """Leak check: compares a guest's resources before and after. `with leaks(): …` or `leaks.across_rounds(…)`."""

    def __init__(self, vm: VM) -> None:
        self._vm = vm
        self.kmemleak = vm.run(f"test -w {KMEMLEAK}").exit_code == 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Check that the block releases all resources it takes. With kmemleak in the kernel, memory is checked too.

        Raises:
            LeakFound: a resource was not released.
        """
        self.forget()
        before = self.held()
        yield
        after = self.held()
        # Modules that insmod loaded by itself because the driver needs them: it does not unload them either.
        others = self._vm.needed.difference(before["modules"])
        after["modules"] = [name for name in after["modules"] if name not in others]
        if change := changes_since(before, after):
            raise LeakFound(change, "undo in the driver's remove what its probe did")
        if lost := self.unreferenced():
            raise LeakFound(
                "kmemleak found unreferenced memory", "see the traces of the allocations below", detail=lost
            )

    def across_rounds(self, reload: Callable[[int], object], *, rounds: int = 4, times: int = 20) -> None:
        """Repeat an action many times, and check that no slab cache grows with it.

        Caches that grew in every round are watched for `SECOND_LOOK` more rounds. If the kernel has kmemleak, one round
        after a repetition to warm up, and its scan, replace this: KASAN beside it delays the freeing of memory, so
        caches grow without a leak (mm/kasan/quarantine.c).

        Args:
            reload: performs the action as often as its argument says.
            rounds: number of rounds compared, after one to warm up.
            times: repetitions in a round.

        Raises:
            LeakFound: a cache kept growing, or another resource was not released.
        """
        if self.kmemleak:
            # A driver's pools, such as the network stack's page pools, grow by the first work.
            reload(1)
            with self():
                reload(times)
            return
        with self():
            used = [self._after(reload, times) for _ in range(1 + rounds)]
            suspects = [cache for cache, steps in _growth(used).items() if min(steps) > 0 and _leaks(steps, times)]
            if suspects:
                again = [self._slabs(shrink=suspects)]
                again += [self._after(reload, times, shrink=suspects) for _ in range(SECOND_LOOK)]
                growth = _growth(again)
                suspects = [cache for cache in suspects if _leaks(growth[cache], times)]
        if suspects:
            told = "; ".join(f"{cache} by {', '.join(map(str, growth[cache]))} bytes" for cache in suspects)
            raise LeakFound(
                f"slab caches keep growing, in rounds of {times}: {told}",
                "use `--kernel debug`: its kmemleak shows the traces of the allocations",
            )

    def _after(self, reload: Callable[[int], object], times: int, *, shrink: Iterable[str] = ()) -> Counter[str]:
        """Return the slab caches after one round."""
        reload(times)
        return self._slabs(shrink=shrink)

    def _slabs(self, *, shrink: Iterable[str] = ()) -> Counter[str]:
        """Return the bytes in active objects of each slab cache, after freeing what cache shrinkers can
        (slabinfo(5)).

        Args:
            shrink: caches whose sheaves are emptied first. Objects freed by RCU come back in a sheaf of their own after
                a grace period, hence the second time (Documentation/ABI/testing/sysfs-kernel-slab).
        """
        self._vm.run("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.2", check=True)
        if files := " ".join(shlex.quote(f"{SLABS}/{cache}/shrink") for cache in shrink):
            once = f'for file in {files}; do test ! -w "$file" || echo 1 > "$file"; done'
            self._vm.run(f"{once}; sleep 0.2; {once}", check=True)
        rows = [line.split() for line in self._vm.run("cat /proc/slabinfo", check=True).stdout.splitlines()[2:]]
        return Counter({row[0]: int(row[1]) * int(row[3]) for row in rows})

    def forget(self) -> None:
        """Have kmemleak, if there is one, forget what it has found so far: leaks of the boot are not the driver's."""
        if self.kmemleak:
            self._vm.run(f"echo clear >{KMEMLEAK}", check=True)

    def held(self) -> dict[str, list[str]]:
        """Return the guest's resources that are in use, by their titles."""
        parts = HEADER.split(self._vm.run(LIST, check=True).stdout)[1:]
        found = {path: text.splitlines() for path, text in zip(parts[::2], parts[1::2], strict=True)}
        interrupts, *rest, total, free = (list(filter(None, found.get(path, []))) for path in FILES)
        handlers = [match[1] for line in interrupts if (match := HANDLER.match(line))]
        return {
            "interrupt lines": [line.partition(":")[0] for line in interrupts] + handlers,
            "I/O memory": rest[0],
            "I/O ports": rest[1],
            "network interfaces": [path.rpartition("/")[2] for line in found.get(NETWORK, []) for path in line.split()],
            "modules": [line.split()[0] for line in rest[2]],
            "DMA mappings": [str(int(total[0]) - int(free[0]))] if total and free else [],
        }

    def jiffies(self) -> int:
        """Return the guest's jiffies, by which kmemleak dates an object (kernel/time/timer_list.c)."""
        return int(self._vm.run("grep -m 1 ^jiffies: /proc/timer_list", check=True).stdout.split()[1])

    def unreferenced(self) -> str:
        """Return kmemleak's report: objects 5 s old, unreferenced in one scan and unchanged in the next. Empty for a
        kernel without kmemleak.

        A stale pointer anywhere in memory counts as a reference; `r4l.vm.checkers` says where most of them were.

        Source: mm/kmemleak.c (MSECS_MIN_AGE, update_checksum), Documentation/dev-tools/kmemleak.rst.
        """
        if not self.kmemleak:
            return ""
        scan = f"echo scan >{KMEMLEAK}"
        self._vm.run(f"sleep 6; {scan} && {scan} && {scan}", timeout=180, check=True)
        return self._vm.run(f"cat {KMEMLEAK}", check=True).stdout


def _growth(used: list[Counter[str]]) -> dict[str, list[int]]:
    """Return the growth of each slab cache in bytes, round by round."""
    return {cache: [after[cache] - before[cache] for before, after in itertools.pairwise(used)] for cache in used[-1]}


def _leaks(steps: list[int], times: int) -> bool:
    """True if the growth is large enough to be a leak in each repetition."""
    return sum(steps) >= ROUND_LIMIT * times * len(steps)


def changes_since(before: dict[str, list[str]], after: dict[str, list[str]]) -> str:
    """Describe the first difference between two results of `Leaks.held`; empty if there is none."""
    found = ((what, _change(before[what], after[what])) for what in before)
    return next((f"{what}: {change}" for what, change in found if change), "")


def _change(before: list[str], after: list[str]) -> str:
    """Describe new and missing lines; empty if there are none."""
    changes = {"new": Counter(after) - Counter(before), "gone": Counter(before) - Counter(after)}
    return "; ".join(f"{word}: {', '.join(line.strip() for line in lines)}" for word, lines in changes.items() if lines)
