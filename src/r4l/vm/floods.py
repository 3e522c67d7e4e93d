# SPDX-License-Identifier: MIT
"""Output of a guest that wrote too much: what of console, logs and captures was dropped."""

from __future__ import annotations

from collections.abc import Mapping

from r4l.net import Wire
from r4l.net.pcap import LARGEST
from r4l.vm.console import LOG_LIMIT
from r4l.vm.running import RunningMachine
from r4l.vm.written import QEMU_LOG_LIMIT


def described(run: RunningMachine, wires: Mapping[int, Wire]) -> list[str]:
    """Return descriptions, as clauses, of output that was dropped.

    Args:
        run: the machine's run.
        wires: ends of cables that this process holds, by the card's index.
    """
    said = []
    if run.qemu.console.received > LOG_LIMIT:
        said.append(f"the guest wrote more than {LOG_LIMIT >> 20} MiB to its console, and the rest was dropped")
    if run.klog.lost:
        said.append("the guest logged more than is kept in memory, and its first lines are in its console only")
    if run.klog.dropped:
        said.append(f"the kernel dropped {run.klog.dropped} messages, faster than its console")
    if run.written.log_cut:
        said.append(
            f"QEMU logged more than {QEMU_LOG_LIMIT >> 20} MiB of the guest's mistakes, and the rest was dropped"
        )
    full = run.written.full | {index for index, wire in wires.items() if wire.uncaptured}
    for index in sorted(full):
        said.append(f"card {index} carried more than {LARGEST >> 20} MiB, and the rest was not captured")
    return said
