# SPDX-License-Identifier: MIT
"""The work of one worker: a cell's machine, life and verdict, as data."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace

from r4l.errors import EnvironmentFault, R4LError, UsageError, VerdictError
from r4l.klog.lost import KIND as LOST
from r4l.pci.faults import CONFIG
from r4l.sweep.cells import ALLOCATION, SweepCell, common
from r4l.sweep.life import Life, MemorySearch
from r4l.sweep.lines import lines
from r4l.sweep.machines import Machines
from r4l.sweep.results import Baseline, CellResult
from r4l.sweep.subject import SweptDriver, ready
from r4l.sweep.verdict import AGAIN, FINDINGS, HARMLESS, foreign_lockup, judge, messages
from r4l.vm.loading import IGNORED

CELLS_EACH = 12
"""Cells in one machine, if none of them leaves anything there."""
LOSES = ("handled", "degraded", "dead")
"""Verdicts that are another one if memory was lost."""
LENIENT = 6
"""A phase without a fault may take so many times what phases.toml says: this computer may be slow, or the driver."""
SLOWER = 10
"""With a fault a phase may take so many times what it took without, if that is more than phases.toml says."""
BEFORE, AFTER = 15, 20
"""Events kept of the trace before and after the fault."""
LINES = 40
"""Last lines kept of the kernel's log."""
LONGEST = 400
"""Characters kept of a line."""
SPLAT = 12_000
"""Characters kept of a complaint."""


def run_baseline(subject: SweptDriver) -> Baseline:
    """Have a driver live without a fault, in two machines: only what happens in both is a place for faults.

    Raises:
        VerdictError: it does not do so cleanly, and nothing can be said about faults.
        UsageError: it has not all of its parameters.
        EnvironmentFault: this computer cannot run it.
    """
    # One without the module that counts allocations, whose messages are the kernel's usual ones.
    limits = {phase.name: LENIENT * phase.seconds for phase in subject.phases}
    with Machines(ready(subject)) as machines:
        lives = [machines.live(None, count_memory=memory, limits=limits) for memory in (False, True)]
    for life in lives:
        _require_clean(subject, life)
        _require_parameters(subject, life)
    usual = tuple(sorted({text for life in lives for text in messages(life.records)}))
    first, second = (life.places() for life in lives)
    places = [*common(first, second), *(place for place in second if place.event == ALLOCATION)]
    try:
        found = lines(ready(subject), limits)
    except R4LError:
        # The map is right without them, too.
        found = {}
    seconds = round(lives[0].seconds, 3)
    return Baseline(subject.key, subject.label, tuple(places), usual, seconds, _phases(lives[0]), found)


def _require_clean(subject: SweptDriver, life: Life) -> None:
    if fault := life.fault or foreign_lockup(life):
        raise EnvironmentFault(
            f"{subject.label} cannot be judged: {fault}", "run the command again, with fewer --jobs on a busy computer"
        )
    if life.splats and (lost := life.splats[0]).splat_kind == LOST:
        raise EnvironmentFault(f"{subject.label} cannot be judged: {lost.cause}", lost.remedy)
    bad = next((one for one in (*life.outcomes, *life.again) if one.exit_code), None)
    why = life.hang or life.held
    if life.splats:
        why = life.splats[0].cause
    elif bad and not why:
        why = f"{bad.phase} fails: {bad.output}"
    if why:
        raise VerdictError(
            f"{subject.label} has a fault without any fault of the device: {why}",
            "mend that first; `r4l run` and `r4l test` show it",
            detail="\n".join(str(record) for record in life.records[-LINES:]),
        )


def _require_parameters(subject: SweptDriver, life: Life) -> None:
    """Refuse parameters that the driver does not have, for which the kernel only prints a warning."""
    ignored = [match[1] for record in life.records if (match := IGNORED.search(record.text))]
    if wrong := [name for name in subject.parameters if name.replace("-", "_") in ignored]:
        raise UsageError(
            f"{subject.label} has no parameter {' and no '.join(wrong)}: the kernel loaded it and ignored that",
            "`modinfo` on its .ko says which it has; the project file can name parameters, too",
        )


def run_cells(work: tuple[SweptDriver, Baseline], cells: Sequence[str]) -> list[CellResult]:
    """Run cells one after the other.

    A verdict from a machine in which another cell was before counts only if it is the best one: anything else is judged
    again as the first one in a new machine, which serves the cells after it. So is, once, a cell that could not be
    judged: the emulator's rare faults are another machine's luck. What was wrong only beside other cells may be of one
    of these, and late: each of them is run again, and after it the cell in which that was seen. Memory that kmemleak
    finds lost is of the cell in whose life it was allocated; where it cannot say, each cell of the machine is judged
    again, alone in one.

    Args:
        work: the driver, and its life without a fault.
        cells: texts of the cells.
    """
    subject, baseline = work
    found: list[tuple[CellResult, MemorySearch, int]] = []
    with Machines(ready(subject), CELLS_EACH) as machines:
        strange: list[tuple[int, int]] = []
        for number, cell in enumerate(cells):
            result, life = _run(machines, subject, baseline, cell)
            if result.verdict in AGAIN or (life.earlier and result.verdict != "handled"):
                machines.renew()
                first, before, (result, life) = result, life, _run(machines, subject, baseline, cell)
                result = _with_cost(result, first.seconds, first.cpu)
                if _shows_damage(first, before) and result.verdict not in FINDINGS:
                    result = replace(result, reason=f"{result.reason} (only at first: {first.reason})"[:LONGEST])
                    strange += [(number, before.earlier)] if before.earlier else []
            found.append((result, life.search, life.earlier))
        for number, earlier in strange:
            for other in range(number - 1, number - 1 - earlier, -1):
                machines.renew()
                result = _followed(machines, (subject, baseline), found[other][0], cells[number])
                found[other] = (result, *found[other][1:])
                if result.verdict in FINDINGS:
                    break
    return [_searched((subject, baseline), *one) for one in found]


def _shows_damage(result: CellResult, life: Life) -> bool:
    """True if something was wrong in a life that has a cause, be it the cell's or another's."""
    return result.verdict in FINDINGS or any(one.splat_kind not in HARMLESS for one in (*life.early, *life.splats))


def _followed(machines: Machines, work: tuple[SweptDriver, Baseline], result: CellResult, other: str) -> CellResult:
    """Run a cell once more in a new machine, and after it another one. Return its result: the one that it had, or the
    defect that it shows now, or shows late in the other's life.

    Args:
        machines: the machines; none is in use.
        work: as for `run_cells`.
        result: the cell's result so far.
        other: text of the other cell, which alone shows no defect.
    """
    own, _ = _run(machines, *work, result.cell)
    if own.verdict in FINDINGS:
        return _with_cost(own, result.seconds, result.cpu)
    after, life = _run(machines, *work, other)
    result = _with_cost(result, own.seconds + after.seconds, own.cpu + after.cpu)
    if not life.earlier or not _shows_damage(after, life):
        return result
    verdict = after.verdict if after.verdict in FINDINGS else "splat"
    reason = f"in the life after it, of {other}: {after.reason}"[:LONGEST]
    return replace(result, verdict=verdict, reason=reason, log=after.log, splat=after.splat)


def run_cell(work: tuple[SweptDriver, Baseline], cell: str) -> CellResult:
    """Run one cell in a machine of its own. Arguments as for `run_cells`."""
    subject, baseline = work
    with Machines(ready(subject)) as machines:
        return _run(machines, subject, baseline, cell)[0]


def _searched(work: tuple[SweptDriver, Baseline], result: CellResult, search: MemorySearch, number: int) -> CellResult:
    """Return the result of a cell after the search for lost memory in its machine, with its share of the cost.

    Args:
        work: as for `run_cells`.
        result: the result before the search.
        search: the search in its machine.
        number: of the life in that machine, from 0.
    """
    lives = max(1, len(search.begun))
    result = _with_cost(result, search.seconds / lives, search.cpu / lives)
    if result.verdict not in LOSES:
        return result
    if search.silent:
        return _with_cost(run_cell(work, result.cell), result.seconds, result.cpu)
    if lost := search.lost_in(number):
        return replace(result, verdict="leak", reason=lost[:LONGEST], splat=lost[:SPLAT])
    return result


def _with_cost(result: CellResult, seconds: float, cpu: float) -> CellResult:
    """Return a result that has taken more."""
    return replace(result, seconds=round(result.seconds + seconds, 3), cpu=round(result.cpu + cpu, 3))


def _run(machines: Machines, subject: SweptDriver, baseline: Baseline, cell: str) -> tuple[CellResult, Life]:
    """Run one cell; also return its life."""
    limits = {name: SLOWER * seconds for name, _, seconds, _ in baseline.phases}
    life = machines.live(SweepCell.parse(cell), limits=limits)
    verdict, reason = judge(life, baseline.messages)
    trace, at = _around(life, config=SweepCell.parse(cell).fault.place.startswith(CONFIG))
    result = CellResult(
        subject.key,
        cell,
        verdict,
        reason[:LONGEST],
        _phases(life),
        [str(record)[:LONGEST] for record in life.records[-LINES:]],
        trace,
        at,
        next((one.detail[:SPLAT] for one in (*life.early, *life.splats)), ""),
        life.source,
        round(life.seconds, 3),
        round(life.cpu, 3),
        platform.node(),
    )
    return result, life


def _phases(life: Life) -> tuple[tuple[str, int | None, float, str], ...]:
    first = [(one.phase, one.exit_code, one.seconds, one.output) for one in life.outcomes]
    return (*first, *((f"{one.phase} again", one.exit_code, one.seconds, one.output) for one in life.again))


def _around(life: Life, *, config: bool) -> tuple[list[str], int]:
    """Return the trace around the first occurrence of the fault, and its position there.

    Args:
        life: the life.
        config: True to show accesses to the configuration space, too.
    """
    trace = [one for one in life.trace if config or not one.kind.startswith(CONFIG)]
    at = next((index for index, one in enumerate(trace) if one.kind == "fault"), -1)
    if at < 0:
        return [str(one)[:LONGEST] for one in trace[-AFTER:]], -1
    begin = max(0, at - BEFORE)
    return [str(one)[:LONGEST] for one in trace[begin : at + AFTER]], at - begin
