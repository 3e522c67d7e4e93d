# SPDX-License-Identifier: MIT
"""The source lines of a driver's accesses, found in a life without a fault under QEMU's debugger.

The guest stops after each access to the device's memory, and the instruction before that point is looked up in the
module's debug information. A module without any gives the function and the offset in it. Accesses by I/O ports have no
line, since QEMU cannot watch them. It stops at the kernel's functions for the configuration space, too; the line is
that of the driver's call that leads there, or else the PCI core's function.
"""

from __future__ import annotations

import bisect
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from r4l.arch import architecture
from r4l.debug.remote import BREAK, WATCH, Stop, attached
from r4l.klog import StackFrame, demangle
from r4l.pci import Device, TraceEvent
from r4l.pci.faults import CONFIG
from r4l.sweep.life import Life, do_phase
from r4l.sweep.machines import machine
from r4l.sweep.subject import Ready
from r4l.threads import guarded, thread_failure
from r4l.vm import VM

TICK = 0.2
STACK = 64
"""Words of the stack that are searched for the driver's function if the access is by a function of the kernel's."""

DEEP = 512
"""Words of the stack that are searched for the driver's function if the access is to the configuration space: the PCI
core may be several calls deep by then."""
KERNEL_STACK = 1 << 14
"""Bytes of a kernel's stack, at whose end it is aligned (arch/x86/include/asm/page_64_types.h, THREAD_SIZE)."""

ACCESSORS = re.compile(r"_(?:read|write)_config_|^(?:raw_)?pci_(?:read|write)$|^pci_(?:conf1|mmcfg)_")
"""Names of the kernel's functions that only pass an access on (drivers/pci/access.c, arch/x86/pci)."""

Lines = dict[str, list[list[str]]]
"""For each phase and register, as `PHASE REGISTER`: its accesses in order, each as `read` or `write` and the line."""


_Access = tuple[int, ...]
"""Addresses of an access: the next instruction's, then the words of the stack."""
_Key = tuple[str, int, int]
"""An access to the configuration space: `read` or `write`, offset, size."""


class _Watcher:
    """Follows the guest on a thread: waits for the device's memory to be mapped, then records each access."""

    def __init__(self, vm: VM, device: Device) -> None:
        bars = _bars(vm, device)
        arch = architecture(vm.kernel.arch)
        names = "|".join((*arch.mappers, *arch.config_readers, *arch.config_writers))
        symbols = vm.run(f"grep -E ' ({names})$' /proc/kallsyms", check=True).stdout.split("\n")
        found = {line.split()[2]: int(line.split()[0], 16) for line in symbols if line}
        self._mapper = next(found[name] for name in arch.mappers if name in found)
        self._accessors = {found[name]: "read" for name in arch.config_readers if name in found}
        self._accessors |= {found[name]: "write" for name in arch.config_writers if name in found}
        self._self = _address(device)
        self.config: list[tuple[_Key, _Access]] = []
        self._bars = bars
        self.accesses: dict[int, list[_Access]] = {bar: [] for bar in bars}
        self._mapped: dict[int, tuple[int, int]] = {}
        self._returns: dict[int, int] = {}
        self._over = threading.Event()
        self._remote = attached(vm)
        for place in (self._mapper, *self._accessors):
            self._remote.insert(BREAK, place)
        self._remote.go_on()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=guarded(self._follow, self._failed), name="r4l-lines", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[int, int]:
        return {bar: len(those) for bar, those in self.accesses.items()}

    def close(self) -> None:
        """End the watch.

        Raises:
            R4LError: it has failed.
        """
        self._over.set()
        self._thread.join(10)
        self._remote.close()
        if self._failure:
            raise thread_failure("the search for the lines of accesses", self._failure)

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        # The guest goes on, which has stopped at an access that nobody looks at any more.
        self._remote.close()

    def _follow(self) -> None:
        while not self._over.is_set():
            stop = self._remote.wait(TICK)
            if stop is None:
                continue
            self._take(stop)
            self._remote.go_on()

    def _take(self, stop: Stop) -> None:
        remote = self._remote
        if stop.watched is not None:
            # QEMU gives the begin of what is watched, not the address of the access (gdbstub/system.c).
            for bar, (begin, _) in self._mapped.items():
                if begin == stop.watched:
                    self.accesses[bar].append((stop.place, *remote.words(stop.stack, STACK)))
        elif stop.place == self._mapper:
            for bar, (begin, size) in self._bars.items():
                if begin <= stop.argument < begin + size and bar not in self._mapped:
                    back = remote.return_address(stop)
                    self._returns[back] = bar
                    remote.insert(BREAK, back)
            remote.pass_by(self._mapper)
        elif stop.place in self._accessors:
            # Arguments of 32 bits, whose registers may have anything in their upper halves.
            *place, offset, size = (argument & 0xFFFFFFFF for argument in stop.arguments[:5])
            if tuple(place) == self._self:
                depth = min(DEEP, (KERNEL_STACK - stop.stack % KERNEL_STACK) // 8)
                access = tuple(remote.words(stop.stack, depth))
                self.config.append(((self._accessors[stop.place], offset, size), access))
            remote.pass_by(stop.place)
        elif stop.place in self._returns:
            back = stop.place
            bar = self._returns.pop(back)
            remote.remove(BREAK, back)
            size = self._bars[bar][1]
            self._mapped[bar] = (stop.result, size)
            remote.insert(WATCH, stop.result, size)


def lines(ready: Ready, limits: Mapping[str, float]) -> Lines:
    """Return the source lines of a driver's accesses, phase by phase; empty where they cannot be found.

    Args:
        ready: the driver and its device.
        limits: as of `Life`.
    """
    if not architecture(ready.kernel.arch).mappers:
        return {}
    life = Life(limits=limits)
    seen: dict[str, dict[int, tuple[int, int]]] = {}
    config: dict[str, tuple[int, int]] = {}
    with machine(ready, cpus=1) as vm:
        device = vm.devices[0]
        vm.klog.sync()
        watcher = _Watcher(vm, device)
        functions: list[tuple[int, str]] = []
        try:
            for phase in ready.subject.phases:
                begin, before, first = device.trace.end, watcher.counts, len(watcher.config)
                do_phase(vm, ready, device, phase, life)
                functions = functions or _functions(vm, ready.modules[-1].name)
                life.bounds[phase.name] = (begin, device.trace.end)
                seen[phase.name] = {bar: (before[bar], end) for bar, end in watcher.counts.items()}
                config[phase.name] = (first, len(watcher.config))
        finally:
            watcher.close()
        life.trace = list(device.trace)
        found: Lines = {}
        wanted: list[tuple[list[str], _Access]] = []
        for phase_name, bounds in seen.items():
            wanted += _joined(life, phase_name, watcher.accesses, bounds, found)
            wanted += _joined_config(life, device, phase_name, watcher.config[slice(*config[phase_name])], found)
        texts = _Texts(vm, ready.modules[-1].name, functions).of([access for _, access in wanted])
        for (entry, _), text in zip(wanted, texts, strict=True):
            entry[1] = text
        rest = [(entry, access) for entry, access in wanted if not entry[1]]
        if rest:
            core = _KernelTexts(vm)
            for entry, access in rest:
                entry[1] = core.of(access)
        return found


def _joined(
    life: Life,
    phase: str,
    accesses: dict[int, list[_Access]],
    bounds: dict[int, tuple[int, int]],
    found: Lines,
) -> Iterator[tuple[list[str], _Access]]:
    """Add the accesses of a phase to `found`, and yield each entry with its addresses. The debugger and the trace have
    them in the same order; where they have not the same number, nothing is sure, and there are no addresses."""
    begin, end = life.bounds[phase]
    events = [one for one in life.trace if begin <= one.number < end and one.kind in ("read", "write")]
    numbers = Counter(one.bar for one in events)
    rest = {
        bar: iter(accesses[bar][first:last]) for bar, (first, last) in bounds.items() if last - first == numbers[bar]
    }
    for one in events:
        access = next(rest[one.bar]) if one.bar in rest else None
        if one.cell:
            entry = [one.kind, ""]
            found.setdefault(f"{phase} {one.cell.register.name}", []).append(entry)
            if access:
                yield entry, access


def _joined_config(
    life: Life, device: Device, phase: str, accesses: Sequence[tuple[_Key, _Access]], found: Lines
) -> Iterator[tuple[list[str], _Access]]:
    """Add the accesses of a phase to the configuration space to `found`, and yield each entry with its addresses.

    QEMU answers some of the guest's accesses itself, and makes some of its own. So the trace and the debugger have
    different ones, of which those that are the same, in the same order, belong together.
    """
    begin, end = life.bounds[phase]
    events = [one for one in life.trace if begin <= one.number < end and one.kind.startswith(CONFIG)]
    keys = [_key(one) for one in events]
    same = SequenceMatcher(None, keys, [key for key, _ in accesses], autojunk=False).get_matching_blocks()
    partners = {one + step: other + step for one, other, size in same for step in range(size)}
    for number, one in enumerate(events):
        for own in device.config.touched(one.offset, one.size):
            entry = [keys[number][0], ""]
            found.setdefault(f"{phase} {CONFIG}.{own.name}", []).append(entry)
            if number in partners:
                yield entry, accesses[partners[number]][1]


def _key(one: TraceEvent) -> _Key:
    return one.kind.removeprefix(f"{CONFIG}-"), one.offset, one.size


def _address(device: Device) -> tuple[int, int, int]:
    """Return domain, bus, and device with function as one number (PCI_DEVFN)."""
    domain, bus, rest = device.address.split(":")
    slot, _, function = rest.partition(".")
    return int(domain, 16), int(bus, 16), int(slot, 16) << 3 | int(function, 16)


class _Texts:
    """Turns addresses into lines of the driver's source."""

    def __init__(self, vm: VM, module: str, functions: Sequence[tuple[int, str]]) -> None:
        self._vm, self._module = vm, module
        self._functions = sorted(functions)
        self._starts = [start for start, _ in self._functions]

    def of(self, accesses: Sequence[_Access]) -> Iterator[str]:
        """Yield the text of each access: the innermost line of the driver's own source, or the innermost function."""
        frames = [[frame for place in access if (frame := self._frame(place))] for access in accesses]
        located = self._vm.sources.locate([(frame, True) for those in frames for frame in those])
        for those in frames:
            own = next((located[frame] for frame in those if frame in located), None)
            if own:
                yield f"{own.where} in {own.symbol}"
            else:
                yield f"{those[0].symbol}+{those[0].offset:#x}" if those else ""

    def _frame(self, place: int) -> StackFrame | None:
        at = bisect.bisect_right(self._starts, place) - 1
        if at < 0 or at + 1 >= len(self._functions):
            return None
        (start, name), (end, _) = self._functions[at], self._functions[at + 1]
        if not name or place >= end:
            return None
        return StackFrame(demangle(name), place - start, end - start, self._module, True, name)


class _KernelTexts:
    """Turns addresses into names of the kernel's own functions, for accesses without a function of the driver: one
    whose last call is that into the kernel is not on the stack any more."""

    def __init__(self, vm: VM) -> None:
        rows = vm.run("grep -v ']' /proc/kallsyms | grep -i ' t '", check=True).stdout.splitlines()
        self._functions = sorted((int(place, 16), name) for place, _, name in map(str.split, rows))
        self._starts = [start for start, _ in self._functions]

    def of(self, access: _Access) -> str:
        """Return the innermost function and the offset in it that is no accessor; empty if there is none."""
        for place in access:
            at = bisect.bisect_right(self._starts, place) - 1
            if at < 0 or at + 1 == len(self._starts):
                continue
            start, name = self._functions[at]
            if not ACCESSORS.search(name):
                return f"{name}+{place - start:#x} of the kernel"
        return ""


def _functions(vm: VM, module: str) -> list[tuple[int, str]]:
    """Return the functions of a loaded module by their addresses; an empty name marks the end of its text."""
    rows = vm.run(f"grep -F '[{module}]' /proc/kallsyms; cat /sys/module/{module}/sections/.text").stdout.splitlines()
    found = []
    for row in rows:
        words = row.split()
        if len(words) == 4 and words[1] in "tT":
            found.append((int(words[0], 16), words[2]))
    return [*found, (max(place for place, _ in found) + 0x1000, "")] if found else []


def _bars(vm: VM, device: Device) -> dict[int, tuple[int, int]]:
    """Return begin and size of the device's memory, by the BAR's number."""
    text = vm.run(f"cat /sys/bus/pci/devices/{device.address}/resource", check=True).stdout
    rows = [[int(word, 16) for word in line.split()] for line in text.splitlines()]
    return {
        bar: (rows[bar][0], rows[bar][1] - rows[bar][0] + 1)
        for bar, one in device.layout.bars.items()
        if rows[bar][0] and not one.io
    }
