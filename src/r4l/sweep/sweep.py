# SPDX-License-Identifier: MIT
"""A sweep: all cells of one driver or of two, spread over the workers, their results kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from r4l import cluster
from r4l.errors import UsageError
from r4l.pci import Device, Fault
from r4l.process import Say
from r4l.sweep.cells import NO_MEMORY, SweepCell, cells, kinds
from r4l.sweep.phases import chosen
from r4l.sweep.results import Baseline, CellResult, Results
from r4l.sweep.run import CELLS_EACH, run_baseline, run_cells
from r4l.sweep.subject import SweptDriver, ready
from r4l.sweep.verdict import AGAIN, FINDINGS, VERDICTS

if TYPE_CHECKING:
    from distributed import Client

SHARES = 16
"""Shares into which the cells that are left are divided at least."""
LEAST = 3
"""Cells of a share, where there are enough: the first in a machine takes twice the time of the others."""
ENDING = ("unplug", "link-down")
"""Faults that end the service of a device until they are mended."""
SERVED = ("traffic", "suspend")
"""Phases that wait for the service. With such a fault they wait in vain: these cells take the longest by far."""


@dataclass(frozen=True)
class Wanted:
    """The user's choice of cells.

    Attributes:
        faults: kinds of faults; all if empty.
        phases: names of phases; all if empty.
        cells: number of cells; 0 for all.
        seed: of the sample.
        named: cells by their texts, instead of all this.
    """

    faults: Sequence[str] = ()
    phases: Sequence[str] = ()
    cells: int = 0
    seed: int = 0
    named: Sequence[str] = ()


def require_wanted(subject: SweptDriver, wanted: Wanted, device: Device) -> None:
    """Refuse a choice that names what is not there, before any life.

    Args:
        subject: the driver.
        wanted: the choice.
        device: its device, not plugged in.

    Raises:
        UsageError: there is no such phase, kind of fault or place, or a text is no cell.
    """
    chosen(subject.phases, wanted.phases)
    kinds(device.actions, wanted.faults)
    for cell in map(SweepCell.parse, wanted.named):
        chosen(subject.phases, [cell.phase])
        kinds(device.actions, [cell.fault.kind])
        if cell.fault.kind != NO_MEMORY:
            device.faults.require(cell.fault)
        elif cell.fault != Fault(NO_MEMORY, nth=cell.fault.nth):
            raise UsageError(
                f"{cell} names more than the number of an allocation", f"write {cell.phase}:{NO_MEMORY}#NTH"
            )


def cells_of(subject: SweptDriver, baseline: Baseline, wanted: Wanted) -> list[str]:
    """Return the texts of a driver's cells, each once.

    Raises:
        UsageError: there is no such phase or kind of fault, or a text is no cell.
    """
    phases = chosen(subject.phases, wanted.phases)
    if wanted.named:
        return list(dict.fromkeys(str(SweepCell.parse(text)) for text in wanted.named))
    places = [place for place in baseline.places if place.phase in phases]
    found = cells(places, kinds(ready(subject).model.actions, wanted.faults), seed=wanted.seed)
    return [str(cell) for cell in (found[: wanted.cells] if wanted.cells else found)]


def sweep(
    subjects: Sequence[SweptDriver],
    wanted: Wanted,
    results: Results,
    *,
    address: str = "",
    jobs: int = 1,
    patience: float = cluster.PATIENCE,
    again: bool = False,
    say: Say,
) -> dict[str, list[str]]:
    """Run the cells of all subjects that have no result yet; their results are in `results` afterwards.

    Args:
        subjects: drivers.
        wanted: the choice of cells.
        results: receives each result as it comes.
        address: of a scheduler of Dask; empty for processes on this computer.
        jobs: number of these processes.
        patience: seconds to wait for a worker while there is none.
        again: forget the results of these cells first, and of the lives without a fault. After an interrupt, a sweep
            without it goes on.
        say: receives the progress.

    Returns:
        The cells of each subject, by its key.

    Raises:
        UsageError: the choice names what is not there, or a model needs files that do not come with it.
        VerdictError: a driver does not live without a fault.
        EnvironmentFault: Dask is missing, the scheduler is gone, or there is no worker.
    """
    for subject in subjects:
        require_wanted(subject, wanted, ready(subject).model())
    chosen_cells: dict[str, list[str]] = {}
    with cluster.connected(address, jobs) as client:
        missing = [one for one in subjects if again or one.key not in results.baselines]
        for subject in missing if again else ():
            # Before the life without a fault: that takes long enough for an interrupt.
            if known := results.baselines.get(subject.key):
                _forget(results, subject, cells_of(subject, known, wanted))
        say("a life without a fault")
        for _, baseline in cluster.spread(client, _baseline, None, missing, patience=patience):
            results.add(_raised(baseline))
        for subject in subjects:
            chosen_cells[subject.key] = cells_of(subject, results.baselines[subject.key], wanted)
            if again:
                # The places of two lives differ a little, and so do the samples.
                _forget(results, subject, chosen_cells[subject.key])
        for subject in subjects:
            _sweep_one(client, subject, chosen_cells[subject.key], results, patience, say)
    return chosen_cells


def _forget(results: Results, subject: SweptDriver, cells: Sequence[str]) -> None:
    """Forget the results of some cells, if there are any."""
    if known := [cell for cell in cells if (subject.key, cell) in results.cells]:
        results.forget([subject.key], known)


def _sweep_one(
    client: Client, subject: SweptDriver, wanted: Sequence[str], results: Results, patience: float, say: Say
) -> None:
    def open_cells() -> list[str]:
        known = (results.cells.get((subject.key, cell)) for cell in wanted)
        return [cell for cell, one in zip(wanted, known, strict=True) if one is None or one.verdict in AGAIN]

    rest = open_cells()
    baseline = results.baselines[subject.key]
    done = len(wanted) - len(rest)
    for share, found in cluster.spread(client, run_cells, (subject, baseline), _shares(rest), patience=patience):
        if isinstance(found, Exception):
            found = [CellResult(subject.key, cell, "unjudged", f"the worker: {found!r}"[:400]) for cell in share]
        for result in found:
            results.add(replace(result, source=result.source or baseline.source(SweepCell.parse(result.cell))))
        done += len(share)
        say(f"{subject.label}: {done} of {len(wanted)} cells; {summary(results, subject.key, wanted)}")


def _shares(cells: Sequence[str]) -> list[Sequence[str]]:
    """Return cells in shares, which a worker runs in one machine.

    All workers shall have some until the end: the longest cells come first, each alone, and of the others, the fewer
    are left, the smaller are the shares.
    """
    shares: list[Sequence[str]] = []
    others: list[str] = []
    for cell in cells:
        if _is_long(cell):
            shares.append([cell])
        else:
            others.append(cell)
    least = max(1, min(LEAST, len(others) // (2 * SHARES)))
    begin = 0
    while begin < len(others):
        size = min(CELLS_EACH, max(least, (len(others) - begin) // SHARES))
        shares.append(others[begin : begin + size])
        begin += size
    return shares


def _is_long(cell: str) -> bool:
    one = SweepCell.parse(cell)
    return one.phase in SERVED and one.fault.kind in ENDING


def _baseline(_: None, subject: SweptDriver) -> Baseline:
    return run_baseline(subject)


def _raised(baseline: Baseline | Exception) -> Baseline:
    if isinstance(baseline, Exception):
        raise baseline
    return baseline


def counts(results: Results, key: str, wanted: Sequence[str]) -> dict[str, int]:
    """Return the number of cells with each verdict, without those that have no result yet."""
    found = Counter(one.verdict for cell in wanted if (one := results.cells.get((key, cell))))
    return {name: found[name] for name in VERDICTS if found[name]}


def summary(results: Results, key: str, wanted: Sequence[str]) -> str:
    """Return the numbers of verdicts as words."""
    return ", ".join(f"{number} {name}" for name, number in counts(results, key, wanted).items()) or "no result"


def defects_found(results: Results, key: str, wanted: Sequence[str]) -> list[CellResult]:
    """Return the results that show a defect of the driver."""
    found = (results.cells.get((key, cell)) for cell in wanted)
    return [one for one in found if one and one.verdict in FINDINGS]
