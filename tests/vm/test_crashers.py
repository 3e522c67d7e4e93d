# SPDX-License-Identifier: MIT
"""Rules of the kernel's, broken one by one: what Debian's kernel says, and the line it is led back to."""

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

CRASHES = {
    "oops": (["oops"], "crash::traps::null_dereference"),
    "panic": (["rust-panic"], "crash::traps::index_out_of_bounds"),
    "warn": (["warning"], "crash::traps::warn"),
    "ubsan": (["ubsan"], "crashers_shift.cold"),
    "list": (["list-corruption"], "crash::memory::list_added_twice"),
    "refcount": (["refcount"], "crash::memory::refcount_from_zero"),
    "schedule": (["atomic-sleep", "warning"], "crash::locks::schedule_under_spinlock"),
    "hung-task": (["hung-task"], "crash::locks::wait_for_ever"),
    "rcu-stall": (["rcu-stall"], "crash::locks::rcu_stall"),
    "dma-free-irqs-off": (["warning"], RING),
    "ring-under-lock": (["warning"], RING),
    "napi-twice": (["bug"], "crash::napi::enable_twice"),
}
"""Kinds with the complaints that they make, and the function that the first is led back to."""
ROWS = {
    "dma-free-irqs-off": pytest.mark.row("A27"),
    "ring-under-lock": pytest.mark.row("A23"),
    "napi-twice": pytest.mark.row("A23"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=ROWS.get(kind, ())) for kind in CRASHES])
def test_a_broken_rule_is_found_and_its_line_named(
    crash: Callable[[str], list[Splat]], marked: Callable[[str], str], kind: str
) -> None:
    complaints, function = CRASHES[kind]
    splats = crash(kind)
    assert [splat.splat_kind for splat in splats] == complaints
    first, culprit = splats[0], splats[0].culprit
    assert culprit is not None
    line = marked("ring-drop" if function == RING else kind)
    assert (culprit.symbol, culprit.module, culprit.where) == (function, "crashers", line)
    assert str(first).startswith(f"{line} — the kernel complained")
    assert any(frame and frame.where == marked(kind) for frame in (first.place, *first.trace))


def test_a_word_that_is_no_kind_and_the_words_that_are(kernel: Kernel, crashers: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        with pytest.raises(ModuleRefused):
            vm.insmod(crashers, kind="nonsense")
        said = vm.klog.text()
        assert all(f"there is {kind}\n" in f"{said}\n" for kind in CRASHES)
        vm.klog.check()
