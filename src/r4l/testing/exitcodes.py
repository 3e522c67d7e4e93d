# SPDX-License-Identifier: MIT
"""Exit codes for a run of pytest."""

from __future__ import annotations

EXIT_CODES = {0: 0, 1: 123, 2: 130, 4: 2, 5: 2}
"""Exit code by pytest's (pytest.ExitCode): all passed, some failed, interrupted, usage, no tests.

All others become 120, such as that of a run without failures in which a test could not be judged.
"""
