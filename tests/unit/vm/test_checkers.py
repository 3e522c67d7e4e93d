# SPDX-License-Identifier: MIT
"""Options of the kernel's command line for kernels with checkers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from r4l.vm import checkers

LEAKS = {"CONFIG_DEBUG_KMEMLEAK": "y"}
SLOW = {"CONFIG_KASAN": "y"}


@pytest.mark.parametrize(
    ("arch", "config", "own_hardware", "expected"),
    [
        ("x86_64", {}, False, ()),
        ("x86_64", SLOW, False, ("acpi=noirq",)),
        ("x86_64", SLOW, True, ()),
        ("x86_64", LEAKS | SLOW, False, ("slab_debug=F", "acpi=noirq")),
        ("x86_64", LEAKS | SLOW, True, ("slab_debug=F",)),
        ("arm64", LEAKS | SLOW, False, ("slab_debug=F",)),
        ("riscv64", LEAKS, False, ("slab_debug=F",)),
    ],
)
def test_words(arch: str, config: dict[str, str], own_hardware: bool, expected: tuple[str, ...]) -> None:
    kernel = SimpleNamespace(arch=arch, config=config)
    assert checkers.words(kernel, own_hardware=own_hardware) == expected  # type: ignore[arg-type]
