# SPDX-License-Identifier: MIT
"""Messages of strangers: whatever comes, the server lives and answers, and nothing is left (bench/fuzz_devices.py)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bench import fuzz_devices

from r4l.pci import Device


@pytest.mark.parametrize("model", [fuzz_devices.Target, fuzz_devices.Card], ids=["target", "e1000"])
def test_some_thousand_messages(tmp_path: Path, model: type[Device]) -> None:
    seen = fuzz_devices.fuzz(tmp_path, random.Random(17), 4000, model)
    assert seen.answered > 1000
    assert seen.refused > 500
    assert min(seen.config, seen.descriptors) >= 4000
