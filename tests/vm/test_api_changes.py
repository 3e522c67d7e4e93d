# SPDX-License-Identifier: MIT
"""The table of changes of the kernel's Rust API tells the truth about the kernels that are ready."""

from __future__ import annotations

import pytest

from r4l.kernel import Kernel
from r4l.module.drift import Change, changes


@pytest.mark.row("A12")
@pytest.mark.parametrize("change", changes(), ids=[change.proof[1][:30] for change in changes()])
def test_what_to_write_now_is_in_the_kernels_source(change: Change, kernel: Kernel) -> None:
    where, words = change.proof
    path = kernel.source / where
    files = sorted(path.rglob("*.rs")) if path.is_dir() else [path]
    assert any(words in file.read_text(errors="replace") for file in files), f"{words} is not in {where}"
