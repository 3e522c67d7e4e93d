# SPDX-License-Identifier: MIT
"""The signal that a process gets when its parent dies (PR_SET_PDEATHSIG in prctl(2)).

`python pdeathsig.py NUMBER PROGRAM ARGUMENT…` runs a program with it, on machines without setpriv(1), which starts
faster. Imports no module of r4l.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


def on_parents_death(number: int) -> None:
    """Have the kernel send this process a signal when the thread that started it ends.

    Args:
        number: number of the signal; 0 for none.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    on_parents_death(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except FileNotFoundError:
        # The exit code of setpriv(1) and of a shell.
        sys.exit(127)
