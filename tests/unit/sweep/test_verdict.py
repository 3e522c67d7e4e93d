# SPDX-License-Identifier: MIT
"""Verdicts on what was seen of a driver's life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from r4l.klog import KernelLog, Record, Splat, lost
from r4l.sweep.life import Life, PhaseOutcome
from r4l.sweep.verdict import FINDINGS, VERDICTS, judge, messages

USUAL = [Record("e1000 0000:00:03.0 eth0: link up, 1000 Mbit/s", 1.0, 6, kernel=True)]
WARNING = """\
<4>[    3.000000] ------------[ cut here ]------------
<4>[    3.000001] WARNING: CPU: 0 PID: 70 at /x/swept.c:50 swept_probe+0x1/0x2 [swept]
<4>[    3.000002] ---[ end trace 0000000000000000 ]---
"""
OOPS = "<1>[    4.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000"
LOCKUP = """\
<0>[   30.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [insmod:70]
<4>[   30.000001] Call Trace:
<4>[   30.000002]  <TASK>
<4>[   30.000003]  swept_probe+0x1/0x2 [swept]
<4>[   30.000004]  </TASK>
"""
TIMEOUT = "<2>[    9.000000] e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 1: transmit queue 0 timed out 5276 ms"


def ends(*codes: int) -> list[PhaseOutcome]:
    names = ("probe", "traffic", "remove")
    return [PhaseOutcome(name, code, 0.1, "the last line") for name, code in zip(names, codes, strict=True)]


def life(*codes: int, again: tuple[int, ...] = (0, 0, 0), log: str = "", records: tuple[Record, ...] = ()) -> Life:
    splats = KernelLog.of(log.splitlines()).splats()
    return Life(ends(*codes), ends(*again), came=1, module="swept", splats=splats, records=[*USUAL, *records])


def verdict(one: Life) -> tuple[str, str]:
    return judge(one, messages(USUAL))


def test_service_that_goes_on() -> None:
    assert verdict(life(0, 0, 0)) == ("handled", "service went on")


@pytest.mark.parametrize("level", [0, 3, 4])
def test_an_error_in_the_log_is_a_report(level: int) -> None:
    told = Record("e1000 0000:00:03.0: no address in the EEPROM", 2.0, level, kernel=True)
    name, why = verdict(life(3, 3, 0, records=(told,)))
    assert name == "handled"
    assert why == f"probe failed, and the kernel logged: {told.text}"


@pytest.mark.parametrize(
    "record",
    [
        Record("e1000 0000:00:03.0: all is well", 2.0, 6, kernel=True),
        Record("e1000 0000:00:04.0 eth0: link up, 100 Mbit/s", 2.0, 3, kernel=True),
        Record("<3>a program's own words", 2.0, 3, kernel=False),
    ],
)
def test_what_is_no_report(record: Record) -> None:
    """Good news, a message of a life without a fault, another program's."""
    assert verdict(life(0, 3, 0, records=(record,)))[0] == "degraded"


def test_a_message_before_the_fault_is_no_report() -> None:
    early = Record("e1000 0000:00:03.0: no address in the EEPROM", 0.5, 3, kernel=True)
    seen = life(0, 3, 0)
    seen.records, seen.armed = [early, *USUAL], 1
    assert verdict(seen)[0] == "degraded"
    assert verdict(replace(seen, armed=0))[0] == "handled"


def test_an_error_to_a_program_is_a_report() -> None:
    assert verdict(life(0, 1, 0)) == ("handled", "traffic failed with an error: the last line")


def test_no_service_and_no_word() -> None:
    assert verdict(life(0, 3, 0)) == ("degraded", "traffic failed without any report: the last line")


def test_a_reload_that_does_not_heal() -> None:
    assert verdict(life(0, 0, 0, again=(0, 3, 0))) == ("dead", "after unload and reload, traffic fails: the last line")


def test_a_hang_before_the_fault_says_nothing_of_the_driver() -> None:
    seen = replace(life(0, 0, 0), hang="the phase probe did not end within 40 s")
    assert verdict(seen) == ("hang", "the phase probe did not end within 40 s")
    early = replace(seen, came=0)
    assert verdict(early) == ("unjudged", "the phase probe did not end within 40 s, and the fault had not come")


@pytest.mark.parametrize(
    "seen",
    [
        life(0, 0, 0, log=WARNING),
        life(0, 0, 0, log=OOPS),
        life(0, 0, 0, log=LOCKUP),
        replace(life(0, 0, 0), hang="the phase probe did not end within 40 s"),
        replace(life(0, 0, 0), held="I/O memory: new: swept"),
        life(0, 0, 1),
        life(0, 3, 0),
        life(1, 0, 0),
        life(0, 0, 0, again=(0, 3, 0)),
    ],
)
def test_nothing_counts_without_the_fault(seen: Life) -> None:
    """Regression: a complaint was a splat, and what was held a leak, but a second life that failed was missed."""
    assert verdict(seen)[0] not in ("missed", "unjudged")
    name, why = verdict(replace(seen, came=0))
    assert (name, why.endswith(", and the fault had not come")) == ("unjudged", True)


def test_what_is_wrong_before_the_fault_is_armed_is_not_of_it() -> None:
    complained = life(0, 0, 0, log=WARNING)
    early = replace(complained, early=complained.splats, splats=[], before=1)
    name, why = verdict(early)
    assert (name, why.endswith(", and the fault had not come")) == ("unjudged", True)
    assert "swept_probe" in why
    failed = life(3, 3, 0)
    assert verdict(replace(failed, before=1)) == ("unjudged", "probe failed: the last line, and the fault had not come")
    assert verdict(replace(failed, before=0))[0] == "degraded"


@pytest.mark.parametrize("early", [False, True])
def test_a_log_with_gaps_says_nothing_of_the_driver(early: bool) -> None:
    """But a defect that shows all the same counts."""

    def gaps(one: Life) -> Life:
        dropped: list[Splat] = [lost.by_kernel(12, Record("** 12 printk messages dropped **"), None)]
        return replace(one, early=dropped) if early else replace(one, splats=[*one.splats, *dropped])

    for seen in (life(0, 0, 0), life(0, 3, 0), life(0, 1, 0)):
        name, why = verdict(gaps(seen))
        assert (name, "dropped 12 messages" in why) == ("unjudged", True)
    assert verdict(gaps(life(0, 0, 0, log=WARNING)))[0] == "splat"
    assert verdict(gaps(life(0, 0, 0, again=(1, 0, 0))))[0] == "dead"
    assert verdict(gaps(life(0, 0, 1)))[0] == "leak"
    assert verdict(gaps(replace(life(0, 0, 0), came=0)))[0] == "missed"


def test_a_report_after_the_repair_is_none() -> None:
    """Regression: a warning of the second life made a silent failure of the first one handled."""
    late = Record("swept: reset timed out, trying again", 50.0, 4, kernel=True)
    seen = life(0, 3, 0, records=(late,))
    assert verdict(seen)[0] == "handled"
    assert verdict(replace(seen, mended=len(seen.records) - 1))[0] == "degraded"


@pytest.mark.parametrize(
    ("waits", "withheld", "starved"), [(6, 2.9, False), (6, 3, True), (15, 7, False), (15, 8, True), (0, 9, False)]
)
def test_a_service_that_is_missing_on_a_computer_without_time(waits: int, withheld: float, starved: bool) -> None:
    """The scripts wait by the guest's clock, which goes on while the machine has no processor."""
    for codes, again, name in (((0, 3, 0), (0, 0, 0), "degraded"), ((0, 0, 0), (0, 4, 0), "dead")):
        seen = life(*codes, again=again)
        outcomes = seen.outcomes if name == "degraded" else seen.again
        outcomes[1] = replace(outcomes[1], waits=waits, withheld=withheld)
        found, why = verdict(seen)
        assert found == ("unjudged" if starved else name)
        assert why.endswith(f"no processor for the machine for {withheld:.0f} s of that") == starved
    # Other phases' time says nothing.
    seen = life(0, 3, 0)
    seen.outcomes[0] = replace(seen.outcomes[0], withheld=99)
    assert verdict(seen)[0] == "degraded"


def test_a_lockup_on_a_computer_that_has_no_time_says_nothing_of_the_driver() -> None:
    assert verdict(life(0, 0, 0, log=LOCKUP))[0] == "hang"
    busy = replace(life(0, 0, 0, log=LOCKUP), withheld=31.0)
    name, why = verdict(busy)
    assert name == "unjudged"
    assert why.endswith("but this computer had no processor for the machine for 31 s")
    assert verdict(replace(busy, withheld=3.0))[0] == "hang"
    name, why = verdict(replace(busy, withheld=3.0, module="other"))
    assert (name, why.endswith("but no function of the driver is in its traces")) == ("unjudged", True)
    assert verdict(replace(busy, hang="the phase probe did not end within 40 s"))[0] == "hang"
    assert verdict(replace(busy, splats=[*busy.splats, *life(0, 0, 0, log=OOPS).splats]))[0] == "splat"
    assert verdict(replace(life(0, 0, 0), withheld=31.0)) == ("handled", "service went on")


def test_leaks() -> None:
    assert verdict(life(0, 0, 1)) == ("leak", "the module cannot be unloaded: the last line")
    assert verdict(replace(life(0, 0, 0), held="I/O memory: new: swept")) == ("leak", "I/O memory: new: swept")
    waits = "<0>[   20.000000] unregister_netdevice: waiting for eth0 to become free. Usage count = 2"
    assert verdict(life(0, 0, 0, log=waits))[0] == "leak"


def test_complaints_come_first() -> None:
    name, why = verdict(replace(life(0, 0, 1, log=WARNING), hang="the phase remove did not end"))
    assert name == "splat"
    assert "swept_probe" in why
    assert "the phase remove did not end" in why


def test_hangs() -> None:
    assert verdict(replace(life(0, 0, 0), hang="the phase probe did not end")) == (
        "hang",
        "the phase probe did not end",
    )
    assert verdict(life(0, 0, 0, log=LOCKUP))[0] == "hang"


def test_a_fault_of_this_computer_counts_against_nobody() -> None:
    assert verdict(replace(life(1, 1, 1, log=WARNING), fault="the disk is full")) == ("unjudged", "the disk is full")


def test_a_fault_that_did_not_come() -> None:
    assert verdict(replace(life(0, 0, 0), came=0))[0] == "missed"


def test_a_transmit_timeout_is_a_report_and_no_splat() -> None:
    told = Record(TIMEOUT.partition("] ")[2], 9.0, 2, kernel=True)
    seen = life(0, 3, 0, log=TIMEOUT, records=(told,))
    assert seen.splats
    assert verdict(seen)[0] == "handled"


def test_each_finding_is_a_verdict() -> None:
    assert set(FINDINGS) < set(VERDICTS)
