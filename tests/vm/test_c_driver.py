# SPDX-License-Identifier: MIT
"""The kernel's own C driver for the card passes the tests that the Rust driver is written against."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.thorough, pytest.mark.timeout(900)]
CHECKOUT = Path(__file__).parents[2]


def test_the_kernels_own_driver_passes_the_suite_of_the_rust_one() -> None:
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:r4l.camp.rows.record",
        "-m",
        "not thorough",
    ]
    argv += ["rust/drivers/e1000", "--r4l-module", "kernel:e1000"]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout.splitlines()[-1])
    assert int(passed) >= 60, "the tests that do not say why the C driver does not pass them"
