# SPDX-License-Identifier: MIT
"""The clock of a guest under TCG: the frequency of its counter, which is the host's, on the kernel's command line.

A guest measures that frequency against its timers, while QEMU emulates them: on a busy host it has found 291 MHz for
2,596, and then lived nine times too fast, with soft lockups and stalls. Each further CPU measures its own delay loop
against them, which takes most of the boot of a machine with many. The kernel takes both values from its command line
(Documentation/admin-guide/kernel-parameters.txt: `lpj`, and `Architecture.counter_frequency`).
"""

from __future__ import annotations

import ctypes
import json
import mmap
import platform
import statistics
import time
from pathlib import Path

from r4l import home
from r4l.arch import Architecture, architecture
from r4l.kernel import Kernel

SPAN = 0.02
TIMES = 5


def words(kernel: Kernel) -> tuple[str, ...]:
    """Return the options of the kernel's command line by which a guest under TCG knows its clock.

    Those with the frequency are left out where the guest's counter is not that of this host, or the host does not let a
    program read its own.
    """
    arch = architecture(kernel.arch)
    if arch.counter_option not in kernel.config:
        return ()
    khz = _remembered(arch) if platform.machine() == arch.uname else 0
    hertz = int(kernel.config.get("CONFIG_HZ", "0"))
    if not khz:
        return arch.counter_words
    frequency = arch.counter_frequency.format(khz=khz)
    return (*arch.counter_words, frequency, *((f"lpj={khz * 1000 // hertz}",) if hertz else ()))


def _remembered(arch: Architecture) -> int:
    """Return the frequency of the host's counter in kHz, measured once after each of its boots; 0 if unknown."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    file = home.room("accel") / f"{home.content_key('counter', boot_id)}.json"
    with home.lock("accel"):
        try:
            return int(json.loads(file.read_text(encoding="utf-8"))["counter_khz"])
        except FileNotFoundError:
            khz = measured(bytes.fromhex(arch.counter_code))
        home.replace_text(file, json.dumps({"counter_khz": khz}))
    return khz


def measured(code: bytes) -> int:
    """Return the frequency of the host's counter in kHz; 0 if a program may not run code that it wrote.

    Args:
        code: machine code of a function that returns the counter (`Architecture.counter_code`).
    """
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return 0
    page.write(code)
    start = ctypes.c_char.from_buffer(page)
    counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(start))

    def both() -> tuple[int, int]:
        """Return time in nanoseconds and the counter, from the same moment: of several readings, the quickest."""
        readings = ((time.monotonic_ns(), counter(), time.monotonic_ns()) for _ in range(20))
        begin, ticks, end = min(readings, key=lambda reading: reading[2] - reading[0])
        return (begin + end) // 2, ticks

    found = []
    for _ in range(TIMES):
        time_before, ticks_before = both()
        time.sleep(SPAN)
        time_after, ticks_after = both()
        found.append((ticks_after - ticks_before) * 1_000_000 / (time_after - time_before))
    del start
    return round(statistics.median(found))
