# SPDX-License-Identifier: MIT
"""Rules of the kernel's, broken one by one: what the debug kernel's checkers say, and the line it is led back to."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from r4l import resources
from r4l.klog import Splat

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
RING = "<crash::dma::Ring as core::ops::drop::Drop>::drop"

CRASHES = {
    "oops": (["kasan", "oops"], "crash::traps::null_dereference"),
    "panic": (["rust-panic"], "crash::traps::index_out_of_bounds"),
    "warn": (["warning"], "crash::traps::warn"),
    "ubsan": (["ubsan"], "crashers_shift"),
    "use-after-free": (["kasan"], "crash::memory::use_after_free"),
    "out-of-bounds": (["kasan"], "crash::memory::out_of_bounds"),
    "leak": (["kmemleak"], "crash::memory::leak"),
    "list": (["list-corruption"], "crash::memory::list_added_twice"),
    "refcount": (["refcount"], "crash::memory::refcount_from_zero"),
    "lock-order": (["lockdep"], "crash::locks::lock_order"),
    "sleep": (["atomic-sleep"], "crash::locks::sleep_under_spinlock"),
    "schedule": (["atomic-sleep", "lockdep"], "crash::locks::schedule_under_spinlock"),
    "hung-task": (["hung-task"], "crash::locks::wait_for_ever"),
    "rcu-stall": (["rcu-stall"], "crash::locks::rcu_stall"),
    "dma-unmap-twice": (["dma-api"], "crash::dma::unmap_twice"),
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


def test_no_kind_is_left_out() -> None:
    source = resources.rust("drivers/crashers/crash.rs").read_text()
    assert set(CRASHES) == set(re.findall(r'^    \("([\w-]+)", \w+::', source, re.MULTILINE))
