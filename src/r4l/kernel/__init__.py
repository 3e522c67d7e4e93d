# SPDX-License-Identifier: MIT
"""A kernel that modules build against and that boots.

`stock`: Debian's newest with CONFIG_RUST, unmodified. `own`: built from source by a profile, which is a few fragments
of configuration. `tree`: the user's own tree, as it is. `find` knows them all by name.
"""

from __future__ import annotations

from r4l.kernel.model import Kernel

__all__ = ["Kernel"]
