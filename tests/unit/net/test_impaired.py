# SPDX-License-Identifier: MIT
"""Lines with faults."""

from __future__ import annotations

import pytest

from r4l.errors import UsageError
from r4l.net.impaired import Impaired


def fates(line: Impaired) -> list[int]:
    return [line._copies(line._to_guest) for _ in range(1000)]


def test_a_line_is_good_at_first() -> None:
    assert set(fates(Impaired())) == {1}


def test_loss_and_duplicates_are_as_frequent_as_asked_for() -> None:
    line = Impaired(seed=3)
    line.loss, line.duplicate = 0.3, 0.1
    drawn = fates(line)
    assert 250 < drawn.count(0) < 350
    assert 40 < drawn.count(2) < 110
    line.loss = 1
    assert set(fates(line)) == {0}


def test_the_same_seed_is_the_same_line() -> None:
    lines = [Impaired(seed=seed) for seed in (1, 1, 2)]
    for line in lines:
        line.loss = 0.5
    one, same, other = (fates(line) for line in lines)
    assert one == same != other
    lines[0].seed(1)
    assert fates(lines[0]) == one


def test_directions_do_not_disturb_each_other() -> None:
    line = Impaired(seed=1)
    line.loss = 0.5
    alone = fates(line)
    line.seed(1)
    mixed = []
    for _ in range(1000):
        line._copies(line._from_guest)
        mixed.append(line._copies(line._to_guest))
    assert mixed == alone


def test_mistakes() -> None:
    line = Impaired()
    for name in ("loss", "duplicate"):
        with pytest.raises(UsageError, match=f"{name} is a probability"):
            setattr(line, name, 1.5)
    with pytest.raises(UsageError, match="delay"):
        line.delay = -1
