# SPDX-License-Identifier: MIT
"""Turn a folder of evidence (result, console log, captures) into one page.

`model` documents `result.json`; `write` makes `report.html` beside it.
"""

from typing import TYPE_CHECKING

from r4l import moved
from r4l.report.model import (
    Accelerator,
    CommandRun,
    Files,
    KernelFacts,
    ModuleFacts,
    Result,
    RustSymbols,
    StageTime,
    Step,
)
from r4l.report.page import REPORT, write

__all__ = [
    "REPORT",
    "Accelerator",
    "CommandRun",
    "Files",
    "KernelFacts",
    "ModuleFacts",
    "Result",
    "RustSymbols",
    "StageTime",
    "Step",
    "write",
]

if not TYPE_CHECKING:
    __getattr__ = moved.renamed(__name__, {"Command": "CommandRun"})
