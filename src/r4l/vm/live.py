# SPDX-License-Identifier: MIT
"""A VM that runs, as the files see it that `VM` is made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from r4l.guest import Completed
from r4l.kernel import Kernel
from r4l.klog import KernelLog, Sources


class LiveVM(Protocol):
    """The attributes of `r4l.VM` that loading, snapshots and the question of blame need; see there."""

    kernel: Kernel
    klog: KernelLog
    sources: Sources
    workdir: Path
    begun: float

    @property
    def running(self) -> bool: ...

    @property
    def pid(self) -> int: ...

    @property
    def floods(self) -> list[str]: ...

    def run(self, command: str | Sequence[str], *, timeout: float | None = 60.0, check: bool = False) -> Completed: ...

    def put(self, source: Path | str | bytes, target: str, mode: int | None = None) -> None: ...

    def qmp(self, command: str, **arguments: object) -> Any: ...
