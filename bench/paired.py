# SPDX-License-Identifier: MIT
"""Compare the speed of this checkout with another one on this machine: `python bench/paired.py OTHER [--pairs N]`.

OTHER is the folder of another checkout of r4l, for example `git worktree add ../before main`. Both build an unchanged
module, run one trivial test with the fixture `vm`, and run hello, in pairs: one after the other, the first by turns,
so that a machine that becomes slower does so for both. The result is the ratio of the medians, above 1 if this checkout
is slower, with the middle half of the pairs' ratios beside it. This checkout as OTHER shows how exact the machine is.

Each checkout has a home of its own, `--home` and `--other-home`; a home that does not exist is made, in minutes, and
stays. By default they are in the folder `r4l-paired` beside the user's r4l home.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from r4l import home

HERE = Path(__file__).resolve().parents[1]
TEST = """
def test_a_machine(vm):
    assert vm.run("true").exit_code == 0
"""
QUARTILES = 4


class Failed(SystemExit):
    """A call of a checkout's program failed."""


@dataclass(frozen=True)
class Checkout:
    """A checkout with its home.

    Attributes:
        root: its folder.
        home: its R4L_HOME.
        work: folder with copies of hello.
    """

    root: Path
    home: Path
    work: Path

    def __post_init__(self) -> None:
        if not (self.root / "r4l").is_file() or not (self.root / "rust/drivers/hello").is_dir():
            raise SystemExit(f"{self.root} is no checkout of r4l")

    def call(self, *words: str) -> float:
        """Call its program, as its users do; return the seconds.

        Raises:
            Failed: it failed.
        """
        begin = time.perf_counter()
        done = subprocess.run(
            [str(self.root / "r4l"), *words],
            env={**_plain_environment(), "R4L_HOME": str(self.home)},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        seconds = time.perf_counter() - begin
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise Failed(f"{self.root}/r4l {' '.join(words)} ended with {done.returncode}:\n{said[-3000:]}")
        return seconds

    def make_ready(self) -> None:
        """Make its home, if it is not there, and the folders of the measurements."""
        self.work.mkdir(parents=True)
        self.home.mkdir(parents=True, exist_ok=True)
        for name in ("unchanged", "tested", "run"):
            shutil.copytree(self.root / "rust/drivers/hello", self.work / name)
        tests = self.work / "tested/tests"
        shutil.rmtree(tests, ignore_errors=True)
        tests.mkdir()
        (tests / "test_it.py").write_text(TEST, encoding="utf-8")
        self.call("setup")
        for measure in MEASURES.values():
            measure(self)


def _plain_environment() -> dict[str, str]:
    """The environment without what would give both checkouts one Python or one set of modules."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_", "R4L_"))}


MEASURES: dict[str, Callable[[Checkout], float]] = {
    "r4l build, unchanged": lambda one: one.call("build", "unchanged"),
    "one test with the fixture vm": lambda one: one.call("test", "tested"),
    "r4l run hello": lambda one: one.call("run", "run", "--", "true"),
}


@dataclass
class Pairs:
    """Seconds of a measurement, pair by pair.

    Attributes:
        ours: of this checkout.
        others: of the other one.
        failed: number of pairs that are left out, since a call failed.
    """

    ours: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def ratio(self) -> float:
        """Ratio of the medians, above 1 if this checkout is slower."""
        return statistics.median(self.ours) / statistics.median(self.others)

    @property
    def spread(self) -> tuple[float, float]:
        """The lower and the upper quartile of the pairs' ratios."""
        ratios = [ours / others for ours, others in zip(self.ours, self.others, strict=True)]
        if len(ratios) == 1:
            return ratios[0], ratios[0]
        quartiles = statistics.quantiles(ratios, n=QUARTILES, method="inclusive")
        return quartiles[0], quartiles[-1]

    def as_dict(self) -> dict[str, object]:
        """Return data for JSON."""
        return {
            "ours": self.ours,
            "other": self.others,
            "ratio": self.ratio,
            "quartiles": self.spread,
            "failed": self.failed,
        }


def measured(
    ours: Checkout, other: Checkout, names: Sequence[str], pairs: int, say: Callable[[str], object]
) -> dict[str, Pairs]:
    """Run the measurements in pairs, and return the seconds.

    Args:
        names: keys of `MEASURES`.
        pairs: number of pairs.
        say: receives a line for each pair.

    Raises:
        Failed: more than a third of the pairs of a measurement failed. A boot may on a machine that is busy.
    """
    found = {name: Pairs() for name in names}
    for number in range(pairs):
        for name in names:
            order = (ours, other) if number % 2 == 0 else (other, ours)
            try:
                seconds = {checkout.work: MEASURES[name](checkout) for checkout in order}
            except Failed as failure:
                found[name].failed += 1
                if found[name].failed > pairs / 3:
                    raise
                say(f"{number + 1}/{pairs} {name}: left out, since {failure}")
                continue
            found[name].ours.append(seconds[ours.work])
            found[name].others.append(seconds[other.work])
            say(f"{number + 1}/{pairs} {name}: {seconds[ours.work]:.2f} s, other {seconds[other.work]:.2f} s")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--only", choices=MEASURES, action="append", help="a measurement; all by default")
    parser.add_argument("--home", type=Path, help="home of this checkout")
    parser.add_argument("--other-home", type=Path, help="home of the other checkout")
    parser.add_argument("--at-most", type=float, metavar="RATIO", help="exit with 1 if a ratio is larger")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error("--pairs is at least 1")
    homes = home.home().parent / "r4l-paired"
    with tempfile.TemporaryDirectory(prefix="r4l-paired-") as folder:
        other = Checkout(arguments.other.resolve(), arguments.other_home or homes / "other", Path(folder, "other"))
        ours = Checkout(HERE, arguments.home or homes / "ours", Path(folder, "ours"))
        for one in (ours, other):
            print(f"making {one.root} ready, in {one.home}", file=sys.stderr)
            one.make_ready()
        found = measured(
            ours,
            other,
            arguments.only or list(MEASURES),
            arguments.pairs,
            lambda line: print(line, file=sys.stderr),
        )
    if arguments.json:
        print(json.dumps({name: pairs.as_dict() for name, pairs in found.items()}, indent=1))
    else:
        print(f"{'measurement':<30} {'this':>8} {'other':>8} {'ratio':>6}  middle half of {arguments.pairs} pairs")
        for name, pairs in found.items():
            low, high = pairs.spread
            left_out = f" ({pairs.failed} left out)" if pairs.failed else ""
            medians = f"{statistics.median(pairs.ours):>6.2f} s {statistics.median(pairs.others):>6.2f} s"
            print(f"{name:<30} {medians} {pairs.ratio:>6.3f}  {low:.3f}–{high:.3f}{left_out}")
    if arguments.at_most and any(pairs.ratio > arguments.at_most for pairs in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
