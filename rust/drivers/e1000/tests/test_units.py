# SPDX-License-Identifier: MIT
"""The KUnit suites of the driver and of the kit, in a build that has them. They need a kernel with KUnit."""

from __future__ import annotations

import shutil
from pathlib import Path

import r4l
from r4l import resources
from r4l.testing.guest_tests import KUnit

SUITES = {
    "kit_spsc",
    "kit_completion",
    "kit_chrdev",
    "kit_features",
    "kit_mac_address",
    "kit_rx_buffer",
    "e1000_chip",
    "e1000_desc",
    "e1000_filter",
    "e1000_itr",
    "e1000_phy",
    "e1000_setup",
    "e1000_tx",
    "e1000_wake",
}


def test_what_is_pure(kunit: KUnit, kernel: r4l.Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "e1000"
    shutil.copytree(resources.rust("drivers/e1000"), folder, ignore=shutil.ignore_patterns("tests"))
    kbuild = folder / "Kbuild"
    kbuild.write_text("R4L_KUNIT := y\n" + kbuild.read_text(encoding="utf-8"), encoding="utf-8")
    results = kunit(r4l.Module(folder).build(kernel))
    assert {result.name.split(".")[0] for result in results} == SUITES
