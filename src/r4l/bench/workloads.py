# SPDX-License-Identifier: MIT
"""The measurements of workloads.toml, and those that a driver author writes as scripts of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from r4l import resources
from r4l.errors import UsageError

INSTRUCTIONS = "instructions"
SHAPE = {
    "workload": {
        "*": {
            **dict.fromkeys(("about", "unit", "better", "script"), str),
            "count": int,
            "amount?": int,
            "network?": bool,
        }
    },
    "difference": [{"name!": str, "of": str, "without": str}],
}
"""Keys of workloads.toml."""


@dataclass(frozen=True)
class Workload:
    """One measurement.

    Attributes:
        name: its row in the table.
        about: one line that explains it.
        unit: unit of the figure.
        better: the direction of a good figure.
        count: units of work that one run does; 0 for a script whose figure is the instructions that it takes.
        script: shell text for the guest, whose last line of output is nanoseconds of the guest.
        amount: units of work in one unit of the figure.
        network: True if the script needs the two cards that setup.sh puts to work.
    """

    name: str
    about: str
    unit: str
    better: Literal["more", "less"]
    count: int
    script: str
    amount: int = 1
    network: bool = True

    def figure(self, nanoseconds: float) -> float:
        """Turn a run's time into the figure of the table.

        Args:
            nanoseconds: the guest's nanoseconds; under icount, instructions.
        """
        return nanoseconds if self.count == 0 else self.count / self.amount / nanoseconds * 1e9

    def ratio(self, ours: float, theirs: float) -> float:
        """Return the ratio of two figures, above 1 if `ours` is better, whatever the figure's direction."""
        return ours / theirs if self.better == "more" else theirs / ours


@dataclass(frozen=True)
class Difference:
    """A row made of two others: instructions per unit of work that `of` takes more than `without`."""

    name: str
    of: str
    without: str


def _table() -> tuple[dict[str, Workload], tuple[Difference, ...]]:
    data = resources.table(__package__, "workloads.toml", SHAPE)
    workloads = {name: Workload(name, **values) for name, values in data["workload"].items()}
    return workloads, tuple(Difference(**values) for values in data["difference"])


WORKLOADS, DIFFERENCES = _table()


def chosen_workloads(names: Sequence[str], scripts: Sequence[Path]) -> tuple[Workload, ...]:
    """Choose the workloads of a run.

    Args:
        names: workloads of the table; all of them if neither names nor scripts are given.
        scripts: shell scripts of the user, on the host.

    Returns:
        The workloads in the order of the arguments, each once and with a name that no other has: a script is named by
        its file, or by its path if another workload has the file's name.

    Raises:
        UsageError: no workload has that name, or a script cannot be read.
    """
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise UsageError(f"there is no workload {unknown[0]}", f"there are {', '.join(WORKLOADS)}")
    paths = dict.fromkeys(scripts)
    taken = Counter([*WORKLOADS, *(path.name for path in paths)])
    own = tuple(_of_script(path, path.name if taken[path.name] == 1 else _as_path(path)) for path in paths)
    if names or own:
        return (*(WORKLOADS[name] for name in dict.fromkeys(names)), *own)
    return tuple(WORKLOADS.values())


def differences(figures: Mapping[str, float]) -> dict[str, float]:
    """Compute the rows that are differences of two workloads.

    Args:
        figures: figure of each workload that has run, by its name.

    Returns:
        Instructions per unit of work, by the row's name, for each difference whose two workloads have run.
    """
    return {
        row.name: 1e9 / figures[row.of] - 1e9 / figures[row.without]
        for row in DIFFERENCES
        if row.of in figures and row.without in figures
    }


def _as_path(path: Path) -> str:
    return str(path) if "/" in str(path) else f"./{path}"


def _of_script(path: Path, name: str) -> Workload:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the script {path} cannot be read: {error}", "give a shell script for the guest") from None
    return Workload(name, f"the script {name}", INSTRUCTIONS, "less", 0, text, network=False)
