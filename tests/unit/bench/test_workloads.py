# SPDX-License-Identifier: MIT
"""The table of workloads, and the arithmetic of its figures."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from r4l.bench.compare import as_dict, table
from r4l.bench.machine import LOSES, nanoseconds
from r4l.bench.measure import Figures
from r4l.bench.workloads import DIFFERENCES, WORKLOADS, chosen_workloads, differences
from r4l.errors import UsageError, VerdictError
from r4l.guest import Completed

PACKETS = WORKLOADS["transmit-60"]
C = Figures(
    {"transmit-60": [400_000.0, 404_000.0, 402_000.0], "dummy": [500_000.0]},
    {"transmit-60": [30_000.0], "dummy": [9.0]},
)
RUST = Figures({"transmit-60": [442_200.0], "dummy": [500_000.0]}, {"transmit-60": [27_000.0], "dummy": [9.0]})


def test_a_figure_is_work_by_time() -> None:
    assert PACKETS.figure(1e9) == PACKETS.count
    assert WORKLOADS["tcp"].figure(1e9) == pytest.approx(WORKLOADS["tcp"].count * 8 / 1e6), "Mbit/s"


def test_a_ratio_above_one_is_better_in_either_direction() -> None:
    assert PACKETS.ratio(110.0, 100.0) == pytest.approx(1.1)
    assert dataclasses.replace(PACKETS, better="less").ratio(110.0, 100.0) == pytest.approx(1 / 1.1)


def test_differences_are_of_workloads_that_there_are() -> None:
    for row in DIFFERENCES:
        assert {row.of, row.without} <= set(WORKLOADS)
    assert differences({"transmit-60": 400_000.0, "dummy": 500_000.0}) == {"driver, transmit": 500.0}
    assert differences({"transmit-60": 400_000.0}) == {}


def test_the_choice(tmp_path: Path) -> None:
    script = tmp_path / "writes.sh"
    script.write_text("echo x > /dev/cicv\n")
    assert [workload.name for workload in chosen_workloads((), ())] == list(WORKLOADS)
    (own,) = chosen_workloads((), (script,))
    assert (own.name, own.unit, own.network, own.figure(1234.0)) == ("writes.sh", "instructions", False, 1234.0)
    assert [workload.name for workload in chosen_workloads(("udp",), (script,))] == ["udp", "writes.sh"]
    with pytest.raises(UsageError, match="no workload pktgen-61"):
        chosen_workloads(("pktgen-61",), ())
    with pytest.raises(UsageError, match="cannot be read"):
        chosen_workloads((), (tmp_path / "none.sh",))


def test_workloads_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: their figures were put together, as if one workload had run twice as often."""
    monkeypatch.chdir(tmp_path)
    for path in map(Path, ("a/run.sh", "b/run.sh", "tcp", "own.sh")):
        path.parent.mkdir(exist_ok=True)
        path.write_text("true\n")

    def names(workloads: Sequence[str], *scripts: str) -> list[str]:
        return [workload.name for workload in chosen_workloads(workloads, [Path(script) for script in scripts])]

    assert names((), "a/run.sh", "b/run.sh", "own.sh") == ["a/run.sh", "b/run.sh", "own.sh"]
    assert names(("tcp", "udp", "tcp"), "tcp") == ["tcp", "udp", "./tcp"]
    assert names((), f"{tmp_path}/tcp") == [f"{tmp_path}/tcp"], "no row of the table is made of a script's figure"
    assert names((), "own.sh", "./own.sh") == ["own.sh"]


@pytest.mark.parametrize(
    ("said", "right"), [("1500", True), ("0", False), ("", False), ("-5", False), ("²", False), ("9" * 5000, False)]
)
def test_a_workload_s_last_line_is_a_number_of_nanoseconds(said: str, right: bool) -> None:
    done = Completed("sh", 0, f"words\n{said}\n".encode(), b"", 1.0)
    if right:
        assert nanoseconds(PACKETS, done) == float(said)
        return
    with pytest.raises(VerdictError, match="the workload transmit-60 failed in the guest, with exit code 0"):
        nanoseconds(PACKETS, done)


def test_a_driver_that_loses_frames_has_no_figure() -> None:
    """Regression: a driver that dropped most of what it received was twice as fast as one that did not."""
    done = Completed("sh", LOSES, b"", b"of 20000 frames 5000 have arrived at the far card\n", 1.0)
    with pytest.raises(VerdictError, match="loses frames of the workload transmit-60: of 20000 frames 5000 have"):
        nanoseconds(PACKETS, done)
    own = dataclasses.replace(PACKETS, name="own.sh", network=False)
    with pytest.raises(VerdictError, match=f"the workload own.sh failed in the guest, with exit code {LOSES}"):
        nanoseconds(own, done)


def test_a_workload_counts_the_frames_that_arrive_unless_none_can_be_lost() -> None:
    sure = {"tcp": "sends again what is lost", "dummy": "has no other end"}
    assert {each.name for each in WORKLOADS.values() if "arrives " not in each.script} == set(sure)


def test_data_of_a_pair() -> None:
    data = as_dict([PACKETS, WORKLOADS["dummy"]], {"rust": RUST, "c": C})
    row = data["workloads"][0]
    assert row["ratio"] == pytest.approx(1.1)
    assert row["spread"] == pytest.approx(4000 / 402_000)
    assert row["figures"] == {"rust": [442_200.0], "c": [400_000.0, 404_000.0, 402_000.0]}
    assert data["differences"]["c"]["driver, transmit"] == pytest.approx(1e9 / 402_000 - 2000)


@pytest.mark.parametrize("width", [92, 120])
def test_table_of_a_pair(width: int) -> None:
    console = Console(width=width, force_terminal=False)
    with console.capture() as shown:
        console.print(table([PACKETS, WORKLOADS["dummy"]], {"rust": RUST, "c": C}))
    head, first, second, own = (line.split() for line in shown.get().splitlines())
    assert head[:3] == ["workload", "rust", "c"]
    assert first[:5] == ["transmit-60", "442,200", "402,000", "packets/s", "1.100"]
    assert first[-1] == "0.90", "the ratio by the clock"
    assert second[4] == "1.000"
    assert own[:2] == ["driver,", "transmit"]


@pytest.mark.parametrize("sent", [420_000.0, 500_000.0])
def test_a_difference_that_is_not_positive_has_no_ratio(sent: float) -> None:
    """Regression: a negative ratio, or a division by zero."""
    other = Figures({"transmit-60": [sent], "dummy": [420_000.0]}, {"transmit-60": [9.0], "dummy": [9.0]})
    console = Console(width=92, force_terminal=False)
    for pair in ({"a": C, "b": other}, {"a": other, "b": C}, {"a": other, "b": other}):
        with console.capture() as shown:
            console.print(table([PACKETS, WORKLOADS["dummy"]], pair))
        assert shown.get().splitlines()[-1].split()[-1] == "–"


def test_drivers_that_are_named_by_long_paths_can_be_told_apart() -> None:
    console = Console(width=92, force_terminal=False)
    paths = [f"/home/somebody/checkouts/of-the-driver/{version}/my_nic" for version in ("v1", "v2")]
    with console.capture() as shown:
        console.print(table([PACKETS, WORKLOADS["dummy"]], dict(zip(paths, (RUST, C), strict=True))))
    text = shown.get()
    assert "…" not in text
    first = next(line for line in text.splitlines() if line.startswith("transmit-60"))
    assert first.split()[:5] == ["transmit-60", "442,200", "402,000", "packets/s", "1.100"]
    head = [line.removeprefix("workload").split() for line in text[: text.index("transmit-60")].splitlines()]
    assert ["".join(line[column] for line in head) for column in (0, 1)] == paths


def test_table_of_one() -> None:
    console = Console(width=100, force_terminal=False)
    with console.capture() as shown:
        console.print(table([PACKETS], {"rust": Figures({"transmit-60": [442_200.0]})}))
    head, row = (line.split() for line in shown.get().splitlines())
    assert head == ["workload", "rust", "unit", "spread"]
    assert row == ["transmit-60", "442,200", "packets/s", "0.00", "%"]


@pytest.mark.parametrize("shift", [4, 3, 2, 0])
def test_nobody_hears_frames_to_nobody(shift: int) -> None:
    """QEMU's e1000 takes all frames whose address has the hash of a group: twelve bits at a place by RCTL.MO (8254x
    manual, 13.5.1). The driver in C has the first groups elsewhere, so a comparison would be of two workloads."""

    def place(mac: str) -> int:
        return int.from_bytes(bytes.fromhex(mac.replace(":", ""))[4:6], "little") >> shift & 0xFFF

    found = [
        match[1] for each in WORKLOADS.values() if (match := re.search(r"\bMAC=([0-9a-f:]{17}) pktgen", each.script))
    ]
    assert found
    for mac in found:
        assert place(mac) not in {place("01:00:5e:00:00:01"), place("33:33:00:00:00:01"), place("ff:ff:ff:ff:ff:ff")}
