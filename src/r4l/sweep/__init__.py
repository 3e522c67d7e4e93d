# SPDX-License-Identifier: MIT
"""Faults swept over a driver's life: each access of each phase with each fault (docs/sweep.md)."""

from r4l.sweep.cells import EventPlace, SweepCell
from r4l.sweep.model import find_model
from r4l.sweep.results import Baseline, CellResult, Results
from r4l.sweep.subject import SweptDriver, SweptMachine, subject
from r4l.sweep.sweep import Wanted, sweep
from r4l.sweep.verdict import FINDINGS, VERDICTS

__all__ = [
    "FINDINGS",
    "VERDICTS",
    "Baseline",
    "CellResult",
    "EventPlace",
    "Results",
    "SweepCell",
    "SweptDriver",
    "SweptMachine",
    "Wanted",
    "find_model",
    "subject",
    "sweep",
]
