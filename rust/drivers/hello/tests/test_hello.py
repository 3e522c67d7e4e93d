# SPDX-License-Identifier: MIT
"""The smallest module logs a greeting and a goodbye, and leaves no resource behind. Run with `r4l test`."""

from __future__ import annotations

import r4l
from r4l.testing import Leaks


def test_it_greets_and_says_goodbye(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module)
    vm.klog.wait_for("hello: Hello, world")
    vm.rmmod("hello")
    vm.klog.wait_for("hello: Goodbye")


def test_it_tells_about_itself(module: r4l.BuiltModule) -> None:
    assert module.modinfo["license"] == ["GPL"]
    assert module.modinfo["description"]


def test_it_can_be_loaded_any_number_of_times(vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks) -> None:
    def reload(times: int) -> None:
        for _ in range(times):
            vm.insmod(module)
            vm.rmmod("hello")

    leaks.across_rounds(reload, times=5)
