# SPDX-License-Identifier: MIT
"""The trace: its text, and tests that wait for events."""

from __future__ import annotations

import threading
import time

import pytest

from r4l import pci
from r4l.pci.trace import Trace


def test_an_interrupt_is_shown_with_its_vector() -> None:
    trace = Trace()
    for kind, vector in (("MSIX", 0), ("MSIX", 5), ("MSI", 3), ("INTX", 0)):
        trace.add("interrupt", value=vector, text=kind)
    trace.add("interrupt", value=pci.Word(pci.Register(0, fields={"vector": (7, 0)}), 7), text="MSIX")
    assert [line.partition("interrupt")[2].strip() for line in trace.text().splitlines()] == [
        "MSIX vector 0",
        "MSIX vector 5",
        "MSI vector 3",
        "INTX",
        "MSIX vector 7",
    ]


@pytest.mark.parametrize("order", [("note", "fault", "reset"), ("reset", "fault", "note")], ids=["first", "last"])
def test_several_threads_wait_for_events(order: tuple[pci.trace.EventKind, ...]) -> None:
    """Each wakes up at its event, whichever ends first."""
    trace, took = Trace(), dict[str, float]()

    def wait(kind: pci.trace.EventKind) -> None:
        begun = time.monotonic()
        trace.expect(pci.happened(kind), timeout=20)
        took[kind] = time.monotonic() - begun

    threads = [threading.Thread(target=wait, args=(kind,)) for kind in ("note", "fault", "reset")]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 10
    while trace._waiting < 3 and time.monotonic() < until:
        time.sleep(0.001)
    for kind in order:
        trace.add(kind)
        while kind not in took and time.monotonic() < until:
            time.sleep(0.001)
    for thread in threads:
        thread.join(30)
    assert max(took.values()) < 10
    assert (trace._waiting, trace._cursor) == (0, 3)


def test_a_wait_that_fails_leaves_the_others_awake() -> None:
    trace, found = Trace(), list[pci.TraceEvent]()
    other = threading.Thread(target=lambda: found.append(trace.expect(pci.happened("note"), timeout=20)))
    other.start()
    with pytest.raises(pci.Missing):
        trace.expect(pci.happened("fault"), timeout=0.05)
    begun = time.monotonic()
    trace.add("note")
    other.join(30)
    assert time.monotonic() - begun < 10
    assert found
