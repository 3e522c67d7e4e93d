# SPDX-License-Identifier: MIT
"""A kernel that boots and that modules are built against.

`stock`: Debian's newest with CONFIG_RUST, unmodified. `own`: built from source by a profile, a list of configuration
fragments. `tree`: the user's own tree, unchanged. `find` looks kernels up by name.
"""

from __future__ import annotations

from r4l.kernel import named, stock
from r4l.kernel.model import Kernel, Origins

Kernel.origins = Origins(stock.get, stock.ready, named.get)

__all__ = ["Kernel"]
