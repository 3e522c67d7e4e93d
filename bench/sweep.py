# SPDX-License-Identifier: MIT
"""Cost of a cell of a sweep, measured here and now: `python bench/sweep.py --help`.

The cells are the sample that `r4l sweep rust/drivers/e1000 --cells N --seed N` takes. They run in this process, one
after the other, in machines of as many cells as those of a large sweep, and with their second judgements. Their seconds
of a processor, QEMU's and Python's, are what a computer with all its processors busy needs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from r4l.module import Module
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.sweep import Wanted
from r4l.sweep.run import CELLS_EACH, run_baseline, run_cells
from r4l.sweep.subject import subject
from r4l.sweep.sweep import cells_of

DRIVER = Path(__file__).parents[1] / "rust/drivers/e1000"
GOAL_CELLS = 1000


def measured(number: int, seed: int, name: str) -> dict[str, Any]:
    """The verdicts of a sample of cells, and the seconds of a processor of each."""
    with Stages() as stages:
        kernel = set_up(stages, name)
        with stages.stage("building e1000"):
            module = Module(DRIVER).build(kernel)
        swept = subject(kernel, name, str(DRIVER), module, "python:e1000", "")
        with stages.stage("a life without a fault"):
            baseline = run_baseline(swept)
        cells = cells_of(swept, baseline, Wanted(cells=number, seed=seed))
        results = []
        with stages.stage("cells") as say:
            for begin in range(0, len(cells), CELLS_EACH):
                results += run_cells((swept, baseline), cells[begin : begin + CELLS_EACH])
                say(f"{len(results)} of {len(cells)}")
    seconds = [one.cpu for one in results]
    processors = os.cpu_count() or 1
    return {
        "date": date.today().isoformat(),
        "kernel": kernel.release,
        "load": os.getloadavg()[0],
        "verdicts": dict(Counter(one.verdict for one in results)),
        "mean": statistics.mean(seconds),
        "median": statistics.median(seconds),
        "processors": processors,
        "minutes": GOAL_CELLS * statistics.mean(seconds) / processors / 60,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kernel", default="stock")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(options.cells, options.seed, options.kernel)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in found["verdicts"].items())
    print(f"{found['date']}, {found['kernel']}, load {found['load']:.1f}: {verdicts}")
    print(f"{found['mean']:.2f} s of a processor a cell (median {found['median']:.2f})")
    print(f"{GOAL_CELLS} cells on {found['processors']} processors: {found['minutes']:.1f} minutes")


if __name__ == "__main__":
    main()
