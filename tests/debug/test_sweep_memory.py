# SPDX-License-Identifier: MIT
"""A sweep on a kernel with kmemleak: one search for all cells of a machine, and the verdict on each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from r4l.errors import GuestTimeout
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.sweep import Baseline, SweptDriver, find_model, subject
from r4l.sweep.run import run_baseline, run_cell, run_cells
from r4l.testing import Leaks

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

FIXTURE = Path(__file__).parents[1] / "fixtures/swept"
RETURN = """\
		/* Mistake: the regions are not released. */
		pci_disable_device(pdev);
"""
LOSS = """\
		pci_release_regions(pdev);
		pci_disable_device(pdev);
		/* Mistake: nobody has a pointer to this memory. */
		kmalloc(1000, GFP_KERNEL);
"""
LOST = "probe:flipped-bit@CHECK#1"
VERDICTS = {
    "probe:all-ones@ID#1": "handled",
    LOST: "leak",
    "traffic:flipped-bit@VALUE#1 bits=0x4": "degraded",
    "probe:lost-write@LOCK#1": "handled",
    "probe:lost-write@LOCK#2": "missed",
}
"""The cells of one machine. The one that loses memory counts as handled until the search."""


@pytest.fixture(scope="module")
def work(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> tuple[SweptDriver, Baseline]:
    """The driver of the sweeps' tests, with a mistake that only kmemleak finds, and its life without a fault."""
    folder = tmp_path_factory.mktemp("swept") / "swept"
    folder.mkdir()
    text = (FIXTURE / "swept.c").read_text()
    assert text.count(RETURN) == 1
    (folder / "swept.c").write_text(text.replace(RETURN, LOSS))
    for name in ("Kbuild", "swept_device.py"):
        (folder / name).write_bytes((FIXTURE / name).read_bytes())
    module = Module(folder).build(kernel)
    exercise = '[ "$(cat $DEVICE/value)" = 42 ] || exit 3'
    swept = subject(kernel, "debug", str(folder), module, find_model(str(folder), module), exercise)
    return swept, run_baseline(swept)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The results of all searches for lost memory, in their order."""
    found: list[str] = []
    search = Leaks.unreferenced

    def recorded(leaks: Leaks) -> str:
        found.append(search(leaks))
        return found[-1]

    monkeypatch.setattr(Leaks, "unreferenced", recorded)
    return found


def test_one_search_for_all_cells_of_a_machine(work: tuple[SweptDriver, Baseline], searches: list[str]) -> None:
    clean = [cell for cell in VERDICTS if cell != LOST]
    found = run_cells(work, clean)
    assert {one.cell: one.verdict for one in found} == {cell: VERDICTS[cell] for cell in clean}, found
    # Two cells have to be judged as the first ones of their machines: the degraded one, and the missed one.
    assert searches == ["", "", ""]


def test_lost_memory_is_of_the_cell_in_whose_life_it_was_allocated(
    work: tuple[SweptDriver, Baseline], searches: list[str]
) -> None:
    found = run_cells(work, list(VERDICTS))
    assert {one.cell: one.verdict for one in found} == VERDICTS, found
    lost = next(one for one in found if one.cell == LOST)
    assert lost.reason.startswith("unreferenced object")
    # The module is gone by then, and its functions have no names any more.
    assert "pci_device_probe" in lost.splat
    assert ["pci_device_probe" in text for text in searches] == [True, False, False]
    alone = run_cell(work, LOST)
    # By kmemleak's line in the kernel's log, or by its report.
    assert alone.verdict == "leak", alone


def test_a_machine_that_cannot_be_searched_judges_each_cell_alone(
    work: tuple[SweptDriver, Baseline], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Leaks.unreferenced
    asked: list[Leaks] = []

    def fails_once(leaks: Leaks) -> str:
        asked.append(leaks)
        if len(asked) == 1:
            raise GuestTimeout("the guest does not answer")
        return search(leaks)

    monkeypatch.setattr(Leaks, "unreferenced", fails_once)
    swept, baseline = work
    cells = ["probe:all-ones@ID#1", "probe:lost-write@LOCK#1"]
    found = run_cells((swept, replace(baseline, phases=())), cells)
    assert [one.verdict for one in found] == ["handled", "handled"], found
    # That of the machine, and one for each cell alone.
    assert len(asked) == 3
