# SPDX-License-Identifier: MIT
"""Messages of strangers: whatever comes, the server lives and answers, and nothing is left (bench/fuzz_devices.py)."""

from __future__ import annotations

import random
from pathlib import Path

from bench import fuzz_devices


def test_some_thousand_messages(tmp_path: Path) -> None:
    seen = fuzz_devices.fuzz(tmp_path, random.Random(17), 4000)
    assert seen.answered > 1000
    assert seen.refused > 500
