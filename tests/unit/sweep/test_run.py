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
        ([(0, "handled"), (1, "degraded"), (0, "handled")], ["handled", "handled"], 2),
        ([(0, "handled"), (1, "splat"), (0, "splat")], ["handled", "splat"], 2),
        # Alone it is handled: the first cell is asked, and the second after it.
        ([(0, "handled"), (1, "splat"), (0, "handled"), (0, "handled"), (1, "splat")], ["splat", "handled"], 3),
        ([(0, "handled"), (1, "dead"), (0, "degraded"), (0, "handled"), (1, "hang")], ["hang", "degraded"], 3),
        ([(0, "handled"), (1, "leak"), (0, "handled"), (0, "leak")], ["leak", "handled"], 3),
        ([(0, "handled"), (1, "splat"), (0, "handled"), (0, "handled"), (1, "handled")], ["handled", "handled"], 3),
        ([(0, "handled"), (1, "splat"), (0, "handled"), (0, "handled"), (0, "splat")], ["handled", "handled"], 3),
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
        return CellResult("k", cell, verdict, f"it is {verdict}", seconds=1.0, cpu=1.0), Life(earlier=earlier)

    monkeypatch.setattr(run, "ready", lambda subject: None)
    monkeypatch.setattr(run, "Machines", fake)
    monkeypatch.setattr(run, "_run", one)
    found = run.run_cells((DRIVER, BASELINE), ["probe:reset@CTRL#1", "probe:reset@CTRL#2"])
    assert [result.verdict for result in found] == judged
    assert len(used) == machines
    assert sum(result.seconds for result in found) == len(seen)
    assert next(runs, None) is None


def test_a_complaint_that_comes_late_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: it came in the life of the next cell, which was judged again alone; its cause stayed handled."""
    lives: list[str] = []

    @contextmanager
    def fake(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(renew=lives.clear)

    def one(_machines: object, _subject: object, _baseline: object, cell: str) -> tuple[CellResult, Life]:
        earlier = len(lives)
        late = "probe:reset@CTRL#2" in lives
        lives.append(cell)
        complaints = [SimpleNamespace(splat_kind="kasan")] if late else []
        name, why = ("unjudged", "a use after free") if late else ("handled", "service went on")
        return CellResult("k", cell, name, why), Life(earlier=earlier, early=complaints)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "ready", lambda subject: None)
    monkeypatch.setattr(run, "Machines", fake)
    monkeypatch.setattr(run, "_run", one)
    found = run.run_cells((DRIVER, BASELINE), [f"probe:reset@CTRL#{nth}" for nth in range(1, 6)])
    assert [result.verdict for result in found] == ["handled", "splat", "handled", "handled", "handled"]
    assert found[1].reason == "in the life after it, of probe:reset@CTRL#3: a use after free"
    assert found[2].reason == "service went on (only at first: a use after free)"
