# SPDX-License-Identifier: MIT
"""Run a program that gets a signal when its parent dies (prctl(2)): `python pdeathsig.py NUMBER PROGRAM ARGUMENT…`.

For machines without setpriv(1), which starts faster. Imports no module of r4l.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except FileNotFoundError:
        # The exit code of setpriv(1) and of a shell.
        sys.exit(127)
