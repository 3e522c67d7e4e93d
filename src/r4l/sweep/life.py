# SPDX-License-Identifier: MIT
"""A driver's life in a restored machine, phase by phase: with one fault or none, and then once more without."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from r4l.errors import EnvironmentFault, GuestTimeout, R4LError
from r4l.klog import Record, Splat
from r4l.module import BuiltModule
from r4l.pci import Device, NetworkCard, TraceEvent
from r4l.pci.faults import CONFIG
from r4l.pci.trace import Raw
from r4l.sweep.cells import ALLOCATION, EventPlace, SweepCell
from r4l.sweep.memory import GuestMemory
from r4l.sweep.phases import PRELUDE, Phase, environment
from r4l.sweep.subject import Ready
from r4l.testing import Leaks
from r4l.testing.leaks import LostObject, changes_since
from r4l.vm import VM
from r4l.vm.blame import RunTime, host_fault, stray_breakpoint
from r4l.vm.loading import FOLDER, parameter_words

TAIL = 400
"""Characters kept of a phase's output."""


@dataclass(frozen=True)
class PhaseOutcome:
    """The end of one phase.

    Attributes:
        phase: its name.
        exit_code: of its script; None if it did not end.
        seconds: wall clock on the host, without the time in which the machine had no processor of it (`RunTime`).
        output: end of what it printed.
        withheld: seconds in which this computer had no processor for a thread of the machine or the device.
        waits: the guest's seconds for which its script waits at most (`Phase.waits`).
    """

    phase: str
    exit_code: int | None
    seconds: float
    output: str
    withheld: float = 0.0
    waits: float = 0.0


@dataclass
class MemorySearch:
    """The search for memory that the lives in one machine have lost: kmemleak's, which costs more than a life does.

    Attributes:
        begun: the guest's jiffies at the beginning of each life; none for a kernel without kmemleak.
        lost: the lost objects; None as long as there was no search.
        seconds: wall clock on the host.
        cpu: the machine's processor seconds.
    """

    begun: list[int] = field(default_factory=list)
    lost: list[LostObject] | None = None
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def silent(self) -> bool:
        """True if it does not say which of the lives have lost memory: it was not done, or an object is older."""
        return bool(self.begun) and (self.lost is None or any(one.jiffies < self.begun[0] for one in self.lost))

    def lost_in(self, number: int) -> str:
        """Return kmemleak's report of the objects allocated in a life, by its number in the machine from 0."""
        if not self.lost:
            return ""
        begin, end = self.begun[number], (self.begun[number + 1 :] or [sys.maxsize])[0]
        return "".join(one.text for one in self.lost if begin <= one.jiffies < end)


class Happening(NamedTuple):
    """Attributes of an event by which its place is named, as `TraceEvent` has them."""

    kind: str
    bar: int | None
    offset: int
    size: int
    value: int
    text: str


class EventLog:
    """All events at a device, phase by phase. The trace forgets the oldest.

    Args:
        device: the device, whose trace has no other observer.
        happened: receives the events of each phase.
    """

    def __init__(self, device: Device, happened: dict[str, list[Happening]]) -> None:
        self._happened = happened
        self._now: list[Happening] = []
        # One object for all events that are alike: of a driver that polls there are millions.
        self._known: dict[Happening, Happening] = {}
        device.trace.observer = self._see

    def begin(self, phase: str) -> None:
        """Record from now on for a phase."""
        self._now = self._happened[phase] = []

    def _see(self, event: Raw | None) -> None:
        if event is None:
            return
        _, _, kind, _, bar, offset, size, value, text = event
        if kind in ("read", "write", "config-read", "config-write"):
            one = Happening(kind, bar, offset, size, 0, "")
        elif kind in ("dma-read", "dma-write"):
            one = Happening(kind, None, 0, 0, 0, text)
        elif kind == "interrupt" and isinstance(value, int):
            one = Happening(kind, None, 0, 0, value, "")
        else:
            return
        self._now.append(self._known.setdefault(one, one))


@dataclass
class Life:
    """All that was seen of a driver in one machine.

    Attributes:
        outcomes: phases of the life with the fault, in order.
        again: phases of the second life, after unload, without the fault.
        came: number of times that the fault occurred.
        hang: the phase that did not end, with the reason; empty if all ended.
        fault: a fault of this computer or of the model, by which nothing can be judged; empty if there is none.
        early: the kernel's complaints from before the fault was armed.
        splats: its complaints since then, also of the second life.
        held: resources that were not released; empty if all were.
        records: the kernel's log, from before the first phase.
        before: number of phases that had ended when the fault was armed.
        armed: position in `records` at which the fault was armed.
        mended: position in `records` at which the device was about to be repaired; None if it was not.
        trace: events at the device.
        device: the device; None before there is one.
        happened: the events of each phase of a first life without a fault.
        bounds: numbers of the events of each phase in `trace`, of a life in search of lines: the first, and that after
            the last.
        allocations: allocations on behalf of the driver in each phase of a first life without a fault.
        source: line of the driver for which an allocation failed; empty if none did.
        limits: seconds after which a phase counts as a hang, for phases that need more than phases.toml says.
        seconds: wall clock on the host.
        cpu: the host's processor seconds of this process and the machine.
        earlier: number of lives that were in the same machine before.
        search: the search for lost memory. Of a life that has its machine for itself, the result is in `held`.
        module: name of the driver's module.
        stray: a breakpoint that QEMU may have kept (`r4l.vm.blame.stray_breakpoint`), or the driver's own; also in
            `fault`, until a life with one processor decides.
        withheld: seconds in which this computer had no processor for a thread of the machine or the device.
    """

    outcomes: list[PhaseOutcome] = field(default_factory=list)
    again: list[PhaseOutcome] = field(default_factory=list)
    came: int = 0
    hang: str = ""
    fault: str = ""
    early: list[Splat] = field(default_factory=list)
    splats: list[Splat] = field(default_factory=list)
    held: str = ""
    records: list[Record] = field(default_factory=list)
    before: int = 0
    armed: int = 0
    mended: int | None = None
    trace: list[TraceEvent] = field(default_factory=list)
    device: Device | None = None
    happened: dict[str, list[Happening]] = field(default_factory=dict)
    bounds: dict[str, tuple[int, int]] = field(default_factory=dict)
    allocations: dict[str, int] = field(default_factory=dict)
    source: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    cpu: float = 0.0
    earlier: int = 0
    search: MemorySearch = field(default_factory=MemorySearch)
    module: str = ""
    stray: str = ""
    withheld: float = 0.0

    @property
    def leaves_nothing(self) -> bool:
        """True if the machine is after it as it was before, as far as one sees: nothing was complained about or held,
        and the driver has lived once more without a fault."""
        wrong = self.hang or self.fault or self.early or self.splats or self.held
        return not wrong and bool(self.again) and not any(one.exit_code for one in self.again)

    def places(self) -> list[EventPlace]:
        """Return the places at which faults can come: registers, vectors and DMA of each phase, with their number of
        events. Accesses beside any register have no name, and are left out."""
        found: dict[tuple[str, str, str], tuple[int, list[tuple[int, int]]]] = {}
        for phase, happened in self.happened.items():
            named = {one: list(self._named_at(one)) for one in {*happened}}
            for one in happened:
                event = one.kind.removeprefix(f"{CONFIG}-")
                for name, bits, part in named[one]:
                    found.setdefault((phase, event, name), (bits, []))[1].append(part)
        memory = [EventPlace(phase, ALLOCATION, "", count, 0) for phase, count in self.allocations.items() if count]
        places = [
            EventPlace(*where, len(parts), bits, () if {*parts} == {(0, bits)} or not bits else tuple(parts))
            for where, (bits, parts) in found.items()
        ]
        return [*places, *memory]

    def _named_at(self, one: Happening) -> Iterator[tuple[str, int, tuple[int, int]]]:
        """Yield name and width of each place of an event, as faults have them, and the part of it that the event has:
        first bit and number of bits. 0 bits for none."""
        assert self.device is not None
        if one.kind in ("read", "write") and one.bar is not None:
            begins: dict[str, tuple[int, int]] = {}
            for cell in self.device.layout.touched(one.bar, one.offset, one.size):
                begins.setdefault(cell.register.name, (cell.register.width, cell.offset))
            yield from ((name, begins[name][0], _part(one, *begins[name])) for name in sorted(begins))
        elif one.kind in ("config-read", "config-write"):
            for own in self.device.config.touched(one.offset, one.size):
                yield f"{CONFIG}.{own.name}", 8 * own.size, _part(one, 8 * own.size, own.offset)
        elif one.kind == "interrupt":
            yield str(one.value), 0, (0, 0)
        elif one.kind in ("dma-read", "dma-write"):
            yield one.text, 0, (0, 0)


def _part(one: Happening, bits: int, begin: int) -> tuple[int, int]:
    """Return first bit and number of bits that an access has of a register.

    Args:
        one: the access.
        bits: the register's width.
        begin: offset of its first byte.
    """
    first = max(0, 8 * (one.offset - begin))
    return first, min(bits, 8 * (one.offset + one.size - begin)) - first


def file_of(module: BuiltModule) -> str:
    """Return the driver's path in the guest."""
    return f"{FOLDER}/{module.path.name}"


def live(
    vm: VM,
    device: Device,
    leaks: Leaks,
    ready: Ready,
    cell: SweepCell | None,
    life: Life,
    *,
    with_memory: bool,
    alone: bool,
) -> None:
    """Have a driver live through all phases twice, the first time with the fault of a cell.

    Args:
        vm: the machine.
        device: the driver's device in it.
        leaks: the machine's leak check.
        ready: the driver.
        cell: the fault; None for none.
        life: receives all that is seen; it says how many lives were in the machine before.
        with_memory: True to count the driver's allocations, or to have one fail.
        alone: True to search for lost memory: no other life will be in the machine.
    """
    life.device = device
    device.dma.named = True
    start, seen = vm.klog.mark(), vm.klog.splat_count
    since = seen
    clock = RunTime(vm.pid, ours=True)
    memory: GuestMemory | None = None
    try:
        memory = _memory(vm, ready, cell) if with_memory else None
        if not alone and leaks.kmemleak:
            life.search.begun.append(leaks.jiffies())
        if not life.earlier:
            # Later, it would forget what kmemleak has found of the lives before: it also searches by itself.
            leaks.forget()
        held = leaks.held()
        log = EventLog(device, life.happened) if cell is None else None
        for phase in ready.subject.phases:
            if log:
                log.begin(phase.name)
            armed = cell is not None and phase.name == cell.phase
            if cell and armed:
                # All that the guest has said so far is not of the fault.
                vm.klog.sync()
                life.early = vm.klog.splats(seen, settle=True)
                life.before, life.armed, since = len(life.outcomes), vm.klog.mark() - start, vm.klog.splat_count
                if not memory:
                    device.faults.add(cell.fault)
            if memory and (armed or cell is None):
                memory.fail(cell.fault.nth if cell else 0)
            life.outcomes.append(do_phase(vm, ready, device, phase, life))
            if memory and (armed or cell is None):
                life.allocations[phase.name], came = memory.stop()
                life.came += came
            if armed and not any(device.faults.came.values()):
                # Its number is of this phase: it must not come in a later one.
                device.faults.clear()
        device.trace.observer = None
        life.came += sum(device.faults.came.values())
        vm.klog.sync()
        life.mended = vm.klog.mark() - start
        unloaded = life.outcomes[-1].exit_code == 0
        if unloaded:
            # Before a device that was pulled out is plugged in anew: the kernel gives back its BARs with all that is in
            # them, also what the driver still holds (drivers/pci/remove.c, pci_free_resources).
            life.held = changes_since(held, leaks.held())
        _mend(vm, device)
        if unloaded:
            for phase in ready.subject.phases:
                life.again.append(do_phase(vm, ready, device, phase, life))
            if alone and not life.held:
                life.held = leaks.unreferenced()
        vm.klog.sync()
    except R4LError as error:
        life.came = life.came or sum(device.faults.came.values())
        life.fault = host_fault(error, vm)
        if not life.fault and isinstance(error, GuestTimeout) and not life.hang:
            life.hang = error.cause
        elif not life.fault and not isinstance(error, Splat | GuestTimeout):
            # The guest is gone; if its log has the reason, that counts.
            life.hang = error.cause
    if device.errors:
        life.fault = device.errors[0].cause
    life.stray = stray_breakpoint(vm)
    life.fault = life.fault or life.stray
    life.source = memory.source() if memory else ""
    life.came = life.came or bool(life.source)
    life.splats = vm.klog.splats(since, settle=True)
    life.withheld = clock.longest_delay()
    life.records = vm.klog.records(start)
    # Of a log that is too long, the beginning is not kept.
    gone = max(0, vm.klog.lost - start)
    life.armed = max(0, life.armed - gone)
    life.mended = None if life.mended is None else max(0, life.mended - gone)
    life.trace = list(device.trace)


def _memory(vm: VM, ready: Ready, cell: SweepCell | None) -> GuestMemory | None:
    """Return the driver's allocations; None if the kernel does not let one fail, and none is to."""
    if ready.no_memory is None:
        if cell:
            raise EnvironmentFault("the kernel does not let an allocation fail", "use one with CONFIG_KPROBES")
        return None
    return GuestMemory(vm, ready.modules[-1].name, ready.no_memory)


def _mend(vm: VM, device: Device) -> None:
    """Have the device as it was before the fault."""
    device.faults.clear()
    if not device.present:
        vm.unplug(device)
        vm.plug(device)
    if isinstance(device, NetworkCard):
        device.set_cable(True)


def do_phase(vm: VM, ready: Ready, device: Device, phase: Phase, life: Life) -> PhaseOutcome:
    """Do a phase of the driver's life; a hang is noted in the life, and raised."""
    module = ready.modules[-1]
    values = environment(
        module=module.name, file=file_of(module), device=device.address, exercise=ready.subject.exercise
    )
    limit = max(phase.seconds, life.limits.get(phase.name, 0.0))
    # A guest without a processor does not hang; neither does one whose device, here, has none.
    clock = RunTime(vm.pid, ours=True)
    try:
        argv = ["sh", "-c", PRELUDE + phase.script, phase.name, *parameter_words(ready.parameters(module))]
        done = vm.run(argv, timeout=limit, env=values, clock=clock.now)
    except GuestTimeout as error:
        life.hang = f"the phase {phase.name} did not end within {limit:g} s: {error.cause.rpartition('; ')[2]}"
        raise
    output = (done.stdout + done.stderr)[-TAIL:].strip()
    seconds, withheld = round(clock.now(), 3), round(clock.longest_delay(), 3)
    return PhaseOutcome(phase.name, done.exit_code, seconds, output, withheld, phase.waits)


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds that a process and its children have used (proc_pid_stat(5), fields 14 and 15)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        # It has ended.
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)
