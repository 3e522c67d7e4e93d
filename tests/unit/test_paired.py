# SPDX-License-Identifier: MIT
"""The comparison of two checkouts' speed (bench/paired.py)."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import paired

ROOT = Path(__file__).parents[2]
PROGRAM = """#!/bin/sh
echo "$R4L_HOME $PYTHONPATH $*" >> {log}
case $1 in
build) [ ! -e {home}/slow ] || sleep 0.{sleep} ;;
run) [ "$2" != broken ] ;;
esac
[ ! -e {home}/fails ] || {{ echo 'it is broken' >&2; exit 7; }}
"""


def checkout(folder: Path, sleep: int = 0) -> paired.Checkout:
    """A checkout whose program does little."""
    (folder / "rust/drivers/hello").mkdir(parents=True)
    (folder / "home").mkdir()
    program = folder / "r4l"
    program.write_text(PROGRAM.format(log=folder / "log", home=folder / "home", sleep=sleep))
    program.chmod(0o755)
    return paired.Checkout(folder, folder / "home", folder / "work")


def calls(one: paired.Checkout) -> list[str]:
    return (one.root / "log").read_text().splitlines()


def test_the_slower_one_is_found_and_each_calls_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/one/for/both")
    ours, other = checkout(tmp_path / "ours", sleep=3), checkout(tmp_path / "other")
    order: list[str] = []
    for one in (ours, other):
        one.make_ready()
        assert "tested/tests" in str(next(one.work.rglob("test_it.py")))
    (ours.home / "slow").touch()

    def noted(one: paired.Checkout) -> float:
        order.append(one.root.name)
        return one.call("test", "tested")

    monkeypatch.setitem(paired.MEASURES, "one test with the fixture vm", noted)
    found = paired.measured(ours, other, list(paired.MEASURES), 3, lambda _: None)
    build = found["r4l build, unchanged"]
    assert len(build.ours) == len(build.others) == 3
    assert build.ratio > 2
    assert build.spread[0] > 2
    assert order == ["ours", "other", "other", "ours", "ours", "other"]
    for one in (ours, other):
        assert calls(one)[0] == f"{one.home}  setup"
        assert all(line.startswith(f"{one.home}  ") for line in calls(one)), "its own home, and nobody's modules"


def test_the_figures() -> None:
    pairs = paired.Pairs([1.0, 2.0, 6.0], [1.0, 1.0, 2.0])
    assert pairs.ratio == 2
    assert pairs.spread == (1.5, 2.5)
    assert paired.Pairs([3.0], [2.0]).spread == (1.5, 1.5)


def test_a_pair_that_fails_is_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: one boot that failed on a busy machine lost all figures."""
    ours = checkout(tmp_path / "ours")
    other = dataclasses.replace(ours, work=tmp_path / "the same checkout, as the other")
    calls = iter([1.0, 2.0, 1.0, None, 1.0, 2.0, None, None, 1.0])

    def seconds(_: paired.Checkout) -> float:
        if (value := next(calls)) is None:
            raise paired.Failed("it panicked")
        return value

    said: list[str] = []
    monkeypatch.setitem(paired.MEASURES, "r4l run hello", seconds)
    found = paired.measured(ours, other, ["r4l run hello"], 3, said.append)["r4l run hello"]
    assert (len(found.ours), len(found.others), found.failed) == (2, 2, 1)
    assert "left out, since it panicked" in said[1]
    with pytest.raises(paired.Failed):
        paired.measured(ours, other, ["r4l run hello"], 3, said.append)


def test_one_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    one = checkout(tmp_path / "one")
    one.make_ready()
    (one.home / "fails").touch()
    with pytest.raises(SystemExit, match=r"(?s)r4l build unchanged ended with 7:.*it is broken"):
        paired.MEASURES["r4l build, unchanged"](one)
    with pytest.raises(SystemExit, match="is no checkout of r4l"):
        paired.Checkout(tmp_path, tmp_path, tmp_path)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    other = checkout(tmp_path / "other")
    monkeypatch.setattr(paired, "HERE", checkout(tmp_path / "ours", sleep=2).root)
    (tmp_path / "ours/home/slow").touch()
    homes = ["--home", str(tmp_path / "ours/home"), "--other-home", str(other.home)]
    monkeypatch.setattr(sys, "argv", ["paired.py", str(other.root), "--pairs", "2", *homes, "--json"])
    paired.main()
    found = json.loads(capsys.readouterr().out)
    assert set(found) == set(paired.MEASURES)
    assert found["r4l build, unchanged"]["ratio"] > 2
    monkeypatch.setattr(
        sys, "argv", ["paired.py", str(other.root), "--pairs", "1", "--only", "r4l build, unchanged", *homes]
    )
    sys.argv += ["--at-most", "1.5"]
    with pytest.raises(SystemExit) as caught:
        paired.main()
    assert caught.value.code == 1
    shown = capsys.readouterr().out
    assert "r4l build, unchanged" in shown
    assert "r4l run hello" not in shown


def test_the_real_checkout_is_one() -> None:
    paired.Checkout(ROOT, ROOT, ROOT)
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench/paired.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src"},
    )
    assert "--other-home" in done.stdout
