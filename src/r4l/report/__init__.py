# SPDX-License-Identifier: MIT
"""Turn a folder of evidence (result, console log, captures) into one page.

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
