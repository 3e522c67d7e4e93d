# SPDX-License-Identifier: MIT
"""Exit codes of a run of pytest."""

from __future__ import annotations

EXIT_CODES = {0: 0, 1: 123, 2: 130, 4: 2, 5: 2}
"""Ours for pytest's (pytest.ExitCode): all passed, some failed, interrupted, usage, no tests; 120 for the rest, such
as a run in which nothing failed and something could not be judged."""
