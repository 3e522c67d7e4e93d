# SPDX-License-Identifier: MIT
"""Parts of a kernel log that are lost, so that the rest cannot show that the kernel did not complain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from r4l.klog.records import Record
from r4l.klog.splat import Splat

KIND = "lost"
_DROPPED = re.compile(r"\*\* (\d{1,18}) printk messages dropped \*\*\s*$")
"""Line that the kernel prints on a console, without a prefix, before the next message (kernel/printk/printk.c,
`console_prepend_dropped`; before Linux 4.13 on the same line)."""


class LogLost(Splat):
    """A part of the kernel log is lost, and a complaint may be in it."""

    def __init__(
        self, cause: str, remedy: str, headline: str, records: Iterable[Record], *, log: Path | None = None
    ) -> None:
        self._cause = cause
        super().__init__(KIND, headline, records, log=log)
        self.remedy = remedy

    def _sentence(self) -> str:
        return self._cause


def dropped(record: Record) -> int:
    """Return the number of messages that the kernel says it dropped before the next one; 0 for any other record."""
    if record.kernel is not None or "printk" not in record.text:
        return 0
    match = _DROPPED.search(record.text)
    return int(match[1]) if match else 0


def by_kernel(count: int, record: Record, log: Path | None) -> LogLost:
    """Return the error for messages that were overwritten in the kernel's buffer before its console had printed them.

    Args:
        count: number of the messages.
        record: the line that says so.
        log: file with the console.
    """
    return LogLost(
        f"the kernel dropped {count} messages, and a complaint may be among them: its log was faster than its console",
        "log less (pr_info_ratelimited), or give it a larger buffer: --append log_buf_len=16M",
        record.text.strip(),
        [record],
        log=log,
    )


def by_limit(count: int, log: Path | None) -> LogLost:
    """Return the error for complaints that are not kept, since they exceed the limits on memory.

    Args:
        count: number of the complaints.
        log: file with the console.
    """
    cause = f"{count} complaints of the kernel are not kept, because there were too many"
    return LogLost(cause, "read them in the console", cause, [Record(cause)], log=log)
