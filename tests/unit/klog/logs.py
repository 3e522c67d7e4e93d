# SPDX-License-Identifier: MIT
"""Two complaints as the kernel prints them, and reading of lines, for the tests of the reader."""

from __future__ import annotations

import io

from r4l.klog import Splat
from r4l.klog.reader import complaints

OOPS = """\
BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor read access in kernel mode
Oops: Oops: 0000 [#1] SMP NOPTI
CPU: 1 UID: 0 PID: 123 Comm: prog Not tainted 7.3.4 #1
RIP: 0010:widget_read+0x12/0x40
RSP: 0018:ffffc90000000000 EFLAGS: 00010246
Call Trace:
 <TASK>
 ? show_regs+0x1/0x2
 vfs_read+0xb5/0x320
 do_syscall_64+0x3b/0x90
 </TASK>
---[ end trace 0000000000000000 ]---""".splitlines()
WARNING = """\
------------[ cut here ]------------
WARNING: drivers/widget.c:7 at widget_open+0x1/0x40, CPU#0: other/77
CPU: 0 UID: 0 PID: 77 Comm: other Not tainted 7.3.4 #1
RIP: 0010:widget_open+0x1/0x40
Call Trace:
 <TASK>
 chrdev_open+0xb5/0x320
 </TASK>
---[ end trace 0000000000000000 ]---""".splitlines()


def read(*lines: str) -> list[Splat]:
    return list(complaints(io.BytesIO("\n".join(lines).encode())))


def symbols(splats: list[Splat]) -> list[str | None]:
    return [splat.culprit.symbol if splat.culprit else None for splat in splats]
