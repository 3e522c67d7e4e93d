# SPDX-License-Identifier: MIT
"""The cells of a share that are run a second time, and the machine of each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from r4l.cluster import SharedKernel
from r4l.sweep import Baseline, CellResult, SweptDriver, run
from r4l.sweep.life import Life

DRIVER = SweptDriver("k", "m", SharedKernel("stock", "x86_64", "{}"), {}, "", "python:edu", {}, False, "")
BASELINE = Baseline("k", "m", (), (), 1.0, ())


@pytest.mark.parametrize(
    ("seen", "judged", "machines"),
    [
        ([(0, "handled"), (1, "handled")], ["handled", "handled"], 1),
        ([(0, "dead"), (1, "handled")], ["dead", "handled"], 1),
        ([(0, "handled"), (1, "dead"), (0, "handled")], ["handled", "handled"], 2),
        ([(0, "unjudged"), (0, "handled"), (1, "handled")], ["handled", "handled"], 2),
        ([(0, "unjudged"), (0, "unjudged"), (1, "handled")], ["unjudged", "handled"], 2),
    ],
)
def test_a_second_run(
    monkeypatch: pytest.MonkeyPatch, seen: Sequence[tuple[int, str]], judged: list[str], machines: int
) -> None:
    """`seen`: of each run, the number of lives in its machine before, and the verdict."""
    runs = iter(seen)
    used = [0]

    def renew() -> None:
        used.append(0)

    @contextmanager
    def fake(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(renew=renew)

    def one(_machines: object, _subject: object, _baseline: object, cell: str) -> tuple[CellResult, Life]:
        earlier, verdict = next(runs)
        return CellResult("k", cell, verdict, "", seconds=1.0, cpu=1.0), Life(earlier=earlier)

    monkeypatch.setattr(run, "ready", lambda subject: None)
    monkeypatch.setattr(run, "Machines", fake)
    monkeypatch.setattr(run, "_run", one)
    found = run.run_cells((DRIVER, BASELINE), ["probe:reset@CTRL#1", "probe:reset@CTRL#2"])
    assert [result.verdict for result in found] == judged
    assert len(used) == machines
    assert sum(result.seconds for result in found) == len(seen)
    assert next(runs, None) is None
