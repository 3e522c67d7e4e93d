# SPDX-License-Identifier: MIT
"""The verdict on a cell, from what was seen of the driver's life."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from r4l.klog import Record, Splat
from r4l.klog.lost import KIND as LOST
from r4l.sweep.life import Life, PhaseOutcome
from r4l.sweep.phases import NO_SERVICE

Name = Literal["handled", "degraded", "dead", "leak", "hang", "splat", "missed", "unjudged"]

VERDICTS: Mapping[str, str] = {
    "handled": "service went on, or an error was reported; after unload and reload all is well",
    "degraded": "no service and no word of an error, but unload and reload heal it",
    "dead": "unload and reload do not heal it",
    "leak": "something is still held after the unload, or the module cannot be unloaded",
    "hang": "a phase did not end, or the guest no longer answers",
    "splat": "the kernel complained",
    "missed": "the event at which the fault should come did not happen this time",
    "unjudged": "something else than the fault disturbed the cell; tried again by the next sweep",
}
"""The verdicts and their meanings, from the best to the worst of the driver, then those that say nothing of it."""
FINDINGS: tuple[str, ...] = ("dead", "leak", "hang", "splat")
"""Verdicts that are defects of the driver."""
AGAIN: tuple[str, ...] = ("unjudged",)
"""Verdicts that are no result: such cells are run again."""
LOCKUPS = ("soft-lockup", "hard-lockup", "rcu-stall", "hung-task", "workqueue-lockup")
"""Complaints (klog/kinds.toml) that something has not run for long."""
WITHHELD = 10.0
"""Seconds without a processor of the host's from which such a complaint says nothing: half of the shortest time for
which the kernel waits (kernel/watchdog.c, get_softlockup_thresh)."""
BY_KIND: Mapping[str, Name] = {
    **dict.fromkeys(LOCKUPS, "hang"),
    **dict.fromkeys(("netdev-leak", "page-pool-leak", "kmemleak"), "leak"),
}
"""Verdicts of the complaints (klog/kinds.toml) that are no splats."""
REPORTS = ("tx-timeout",)
"""Complaints that are the way in which a fault of the hardware is reported and handled: the driver's ndo_tx_timeout is
called (net/sched/sch_generic.c, dev_watchdog)."""
HARMLESS = (*REPORTS, LOST, *LOCKUPS)
"""Complaints that may have another cause than damage by a driver."""
WARNING = 4
"""Level of a kernel message up to which it reports an error (include/linux/kern_levels.h)."""
NUMBER = re.compile(r"0x[0-9a-fA-F]+|(?<![0-9a-fA-F])[a-fA-F]*\d[0-9a-fA-F]*")


def judge(life: Life, usual: Iterable[str]) -> tuple[Name, str]:
    """Return the verdict on a life with a fault, and its reason in one sentence.

    Only what comes after the fault is evidence. What was wrong before it was armed, or in a life in which it did not
    come, has another cause, and the cell says nothing. Against the driver counts all until the end of the second life,
    which shows what the fault has left behind; for it, an error that is reported before the device is repaired.

    Args:
        life: the observations.
        usual: messages of a life without a fault, as `messages` returns them.
    """
    if life.fault:
        return "unjudged", life.fault
    if early := _before_the_fault(life):
        return "unjudged", f"{early}, and the fault had not come"
    if not life.came:
        return "missed", "the event at which the fault should come did not happen this time"
    late = foreign_lockup(life)
    splats = _counted(life, late)
    if splats:
        first = next((splat for splat in splats if splat.fatal), splats[0])
        name = BY_KIND.get(first.splat_kind, "splat")
        return name, first.cause + (f"; {life.hang}" if life.hang else "")
    if life.hang:
        return "hang", life.hang
    if late:
        return "unjudged", late
    if life.outcomes[-1].exit_code:
        return "leak", f"the module cannot be unloaded: {life.outcomes[-1].output or 'rmmod says nothing'}"
    if life.held:
        return "leak", life.held
    if bad := next((one for one in life.again if one.exit_code), None):
        why = f"after unload and reload, {bad.phase} fails: {_said(bad.output)}"
        return ("unjudged", f"{why}; {_busy(bad)}") if _was_starved(bad) else ("dead", why)
    if lost := next((one for one in (*life.early, *life.splats) if one.splat_kind == LOST), None):
        return "unjudged", lost.cause
    failed = next((one for one in life.outcomes if one.exit_code), None)
    if failed is None:
        return "handled", "service went on"
    errors = reports(life.records[life.armed : life.mended], usual)
    if errors:
        worst = min(errors, key=lambda one: one.level or 0)
        return "handled", f"{failed.phase} failed, and the kernel logged: {worst.text}"
    loud = next((one for one in life.outcomes if one.exit_code not in (0, NO_SERVICE)), None)
    if loud:
        return "handled", f"{loud.phase} failed with an error: {_said(loud.output)}"
    why = f"{failed.phase} failed without any report: {_said(failed.output)}"
    return ("unjudged", f"{why}; {_busy(failed)}") if _was_starved(failed) else ("degraded", why)


def _counted(life: Life, late: str) -> list[Splat]:
    """Return the kernel's complaints since the fault was armed that say something of the driver.

    Args:
        life: the observations.
        late: `foreign_lockup` of them.
    """
    passed = {*REPORTS, LOST, *(LOCKUPS if late else ())}
    return [one for one in life.splats if one.splat_kind not in passed]


def _before_the_fault(life: Life) -> str:
    """Describe what was wrong first where the fault was not: before it was armed, or in the whole life if it did not
    come. Empty if all was well."""
    splats, outcomes = life.early, life.outcomes[: life.before]
    if not life.came:
        splats, outcomes = [*life.early, *life.splats], [*life.outcomes, *life.again]
    causes = [one.cause for one in splats if one.splat_kind != LOST]
    if not life.came:
        causes += [one for one in (life.hang, life.held) if one]
    causes += [f"{one.phase} failed: {_said(one.output)}" for one in outcomes if one.exit_code]
    return causes[0] if causes else ""


def _was_starved(outcome: PhaseOutcome) -> bool:
    """True if a phase may have failed only because the machine had no processor: the guest's clock goes on then."""
    return outcome.withheld >= (outcome.waits / 2 or WITHHELD)


def _busy(outcome: PhaseOutcome) -> str:
    return f"but this computer had no processor for the machine for {outcome.withheld:.0f} s of that"


def foreign_lockup(life: Life) -> str:
    """Describe a lockup that the kernel reports, and that says nothing of the driver: this computer had no time for the
    machine, or had none when its state was saved, and no function of the driver is in the traces. Empty without one."""
    found = [splat for splat in life.splats if splat.splat_kind in LOCKUPS]
    if not found:
        return ""
    if life.withheld >= WITHHELD:
        return f"{found[0].cause}; but this computer had no processor for the machine for {life.withheld:.0f} s"
    if any(f"[{life.module}]" in record.text for splat in found for record in splat.records):
        return ""
    return f"{found[0].cause}; but no function of the driver is in its traces"


def reports(records: Iterable[Record], usual: Iterable[str]) -> list[Record]:
    """Return the kernel's messages that report an error: of level warning or worse, and none of the usual ones.

    Args:
        records: messages since the fault was armed.
        usual: messages of a life without a fault, as `messages` returns them.
    """
    known = set(usual)
    return [one for one in records if _is_error(one) and _form(one) not in known]


def messages(records: Iterable[Record]) -> set[str]:
    """Return the kernel's messages without their numbers, so that those of two lives can be compared."""
    return {_form(one) for one in records if one.kernel}


def _form(record: Record) -> str:
    return NUMBER.sub("#", record.text)


def _is_error(record: Record) -> bool:
    return bool(record.kernel) and record.level is not None and record.level <= WARNING


def _said(output: str) -> str:
    return output.rpartition("\n")[2] or "it printed nothing"
