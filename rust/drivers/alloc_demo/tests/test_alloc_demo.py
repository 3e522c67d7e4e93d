# SPDX-License-Identifier: MIT
"""Allocations that can fail: the module goes on after a failure, and frees all its memory. Run with `r4l test`."""

from __future__ import annotations

import pytest

import r4l
from r4l.testing import Leaks

pytestmark = pytest.mark.row("A28")

NAME = "alloc_demo"
TAINT_WARN = 1 << 9
"""Taint bit for a warning of the kernel (Documentation/admin-guide/tainted-kernels.rst)."""
TOLD = [
    "squares: [1, 4, 9, 16, 25]",
    "a TiB at once: Some(ENOMEM)",
    "dyn Shape: square of 9, 4 bytes",
    "dyn Shape: rectangle of 10, 8 bytes",
    "a string: 2 shapes",
]


def said(vm: r4l.VM) -> list[str]:
    """Return the module's log lines, without the kernel's own on its first module (taints).

    Errors have names only on kernels with CONFIG_SYMBOLIC_ERRNAME, which the debug kernel lacks.
    """
    vm.klog.sync()
    texts = [record.text.replace("Error(12)", "ENOMEM") for record in vm.klog.records()]
    lines = [text.removeprefix(f"{NAME}: ") for text in texts if text.startswith(f"{NAME}: ")]
    return [line for line in lines if not line.startswith(("loading out-of-tree", "module verification"))]


def test_allocations_can_fail_and_traits_have_objects(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module)
    assert said(vm) == TOLD
    vm.rmmod(NAME)
    assert said(vm) == [*TOLD, "2 shapes are freed with their vector"]


def test_an_allocation_that_fails_is_an_error_and_no_complaint(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    """Without `__GFP_NOWARN` the allocator would warn about a TiB, with a trace."""
    vm.insmod(module)
    assert "a TiB at once: Some(ENOMEM)" in said(vm)
    vm.klog.check()
    tainted = int(vm.run("cat /proc/sys/kernel/tainted", check=True).stdout)
    assert not tainted & TAINT_WARN


def test_what_was_had_is_given_back(vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks) -> None:
    """The boxes with their vector, and everything allocated before the failure."""

    loads = 0

    def reload(times: int) -> None:
        nonlocal loads
        for _ in range(times):
            vm.insmod(module)
            vm.rmmod(NAME)
            loads += 1

    leaks.across_rounds(reload, rounds=2, times=10)
    assert said(vm).count("2 shapes are freed with their vector") == loads
