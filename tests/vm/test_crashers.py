# SPDX-License-Identifier: MIT
"""Rules of the kernel's, broken one by one: what Debian's kernel says, and the line that it is led back to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from r4l.kernel import Kernel
from r4l.klog import Splat
from r4l.module import BuiltModule
from r4l.vm import VM
from r4l.vm.loading import ModuleRefused

pytestmark = pytest.mark.vm
RING = "<crash::dma::Ring as core::ops::drop::Drop>::drop"

CRASHES = [
    pytest.param("oops", ["oops"], "crash::traps::null_dereference", "oops", id="oops"),
    pytest.param("panic", ["rust-panic"], "crash::traps::index_out_of_bounds", "panic", id="panic"),
    pytest.param("warn", ["warning"], "crash::traps::warn", "warn", id="warn"),
    pytest.param("ubsan", ["ubsan"], "crashers_shift.cold", "ubsan", id="ubsan"),
    pytest.param("list", ["list-corruption"], "crash::memory::list_added_twice", "list", id="list"),
    pytest.param("refcount", ["refcount"], "crash::memory::refcount_from_zero", "refcount", id="refcount"),
    pytest.param(
        "schedule", ["atomic-sleep", "warning"], "crash::locks::schedule_under_spinlock", "schedule", id="schedule"
    ),
    pytest.param("hung-task", ["hung-task"], "crash::locks::wait_for_ever", "hung-task", id="hung-task"),
    pytest.param("rcu-stall", ["rcu-stall"], "crash::locks::rcu_stall", "rcu-stall", id="rcu-stall"),
    pytest.param(
        "dma-free-irqs-off", ["warning"], RING, "ring-drop", id="dma-free-irqs-off", marks=pytest.mark.row("A27")
    ),
    pytest.param("ring-under-lock", ["warning"], RING, "ring-drop", id="ring-under-lock", marks=pytest.mark.row("A23")),
    pytest.param(
        "napi-twice", ["bug"], "crash::napi::enable_twice", "napi-twice", id="napi-twice", marks=pytest.mark.row("A23")
    ),
]


@pytest.mark.parametrize(("kind", "complaints", "function", "marker"), CRASHES)
def test_a_broken_rule_is_found_and_its_line_named(
    crash: Callable[[str], list[Splat]],
    marked: Callable[[str], str],
    kind: str,
    complaints: list[str],
    function: str,
    marker: str,
) -> None:
    splats = crash(kind)
    assert [splat.splat_kind for splat in splats] == complaints
    first, culprit = splats[0], splats[0].culprit
    assert culprit is not None
    assert (culprit.symbol, culprit.module, culprit.where) == (function, "crashers", marked(marker))
    assert str(first).startswith(f"{marked(marker)} — the kernel complained")
    assert any(frame and frame.where == marked(kind) for frame in (first.place, *first.trace))


def test_a_word_that_is_no_kind_and_the_words_that_are(kernel: Kernel, crashers: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        with pytest.raises(ModuleRefused):
            vm.insmod(crashers, kind="nonsense")
        said = vm.klog.text()
        assert all(f"there is {param.id}\n" in said for param in CRASHES)
        vm.klog.check()
