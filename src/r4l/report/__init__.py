# SPDX-License-Identifier: MIT
"""The report room: a folder of evidence (result, console log, captures) becomes one page to look at.

`model` documents `result.json`; `write` makes `report.html` beside it.
"""

from r4l.report.model import (
    Accelerator,
    Command,
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
    "Command",
    "Files",
    "KernelFacts",
    "ModuleFacts",
    "Result",
    "RustSymbols",
    "StageTime",
    "Step",
    "write",
]
