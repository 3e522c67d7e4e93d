# SPDX-License-Identifier: MIT
"""The report of a check's observation."""

from __future__ import annotations

from r4l.camp.labs.checkpoints import LONGEST, Missed


def test_bytes_of_a_device_do_not_reach_the_terminal_as_they_are() -> None:
    missed = Missed("cat", "零\0\x1b[2J\tx\n", "nothing")
    assert missed.seen == "零\\x00\\x1b[2J\tx\n"
    assert len(Missed("cat", "\0" * LONGEST, "nothing").seen) == LONGEST
