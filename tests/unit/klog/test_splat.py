# SPDX-License-Identifier: MIT
"""Complaints cut out of real logs.

Debian's 7.2.12 printed golden/*.log (tests/fixtures/oops_init made them), Debian's 7.3.4 and the kernel `debug` of that
version golden/crashers/*.log (rust/drivers/crashers).
"""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from r4l.errors import GuestTimeout
from r4l.klog import KernelLog, Record, Splat
from r4l.klog import complaints as complaints_module
from r4l.klog.kinds import classify

GOLDEN = Path(__file__).parent / "golden"


def splats(name: str) -> list[Splat]:
    return KernelLog.of((GOLDEN / f"{name}.log").read_text().splitlines()).splats()


@pytest.mark.parametrize(
    ("name", "kind", "fatal", "culprit"),
    [
        ("null", "oops", True, "crash_init"),
        ("gpf", "gpf", True, "crash_init"),
        ("bug", "bug", True, "crash_init"),
        ("warn", "warning", False, "crash_init"),
        ("list", "list-corruption", True, "crash_init"),
        ("refcount", "refcount", False, "crash_init"),
        ("atomic", "atomic-sleep", False, "crash_init"),
        ("ubsan", "ubsan", False, "crash_init"),
        ("panic", "panic", True, "crash_init"),
        ("hang", "hung-task", False, "crash_init"),
        ("spin", "soft-lockup", False, "crash_init"),
        ("rust", "rust-panic", True, "<rust_oops::Ring<4> as rust_oops::Slots>::slot"),
    ],
)
def test_kind_and_place_of_real_complaints(name: str, kind: str, fatal: bool, culprit: str) -> None:
    first = splats(name)[0]
    assert (first.splat_kind, first.fatal) == (kind, fatal)
    assert first.culprit is not None
    assert first.culprit.symbol == culprit
    assert first.culprit.module in ("oops_init", "rust_oops")
    assert len(first.trace) > 5
    assert first.headline in str(first)


@pytest.mark.parametrize(
    ("name", "kinds", "headline", "culprit"),
    [
        (
            "oops",
            ["oops"],
            "BUG: kernel NULL pointer dereference, address: 0000000000000004",
            "traps::null_dereference",
        ),
        ("oops-under-kasan", ["kasan", "oops"], "BUG: KASAN: null-ptr-deref in crash::", "traps::null_dereference"),
        ("warn", ["warning"], "WARNING: /home/camper/r4l/rust/drivers/crashers/traps.rs:41 at", "traps::warn"),
        ("ubsan", ["ubsan"], "UBSAN: shift-out-of-bounds in ", None),
        ("use-after-free", ["kasan"], "BUG: KASAN: slab-use-after-free in crash::", "memory::use_after_free"),
        ("out-of-bounds", ["kasan"], "BUG: KASAN: slab-out-of-bounds in crash::", "memory::out_of_bounds"),
        ("leak", ["kmemleak"], "kmemleak: unreferenced object 0xffff888006621c00 (size 512):", "memory::leak"),
        ("list", ["list-corruption"], "list_add double add: new=ffffc900002df810, ", "memory::list_added_twice"),
        ("refcount", ["refcount"], "refcount_t: addition on 0; use-after-free.", "memory::refcount_from_zero"),
        ("lock-order", ["lockdep"], "WARNING: possible circular locking dependency", "locks::lock_order"),
        ("sleep", ["atomic-sleep"], "BUG: sleeping function called from invalid", "locks::sleep_under_spinlock"),
        ("schedule", ["atomic-sleep", "warning"], "BUG: scheduling while atomic", "locks::schedule_under_spinlock"),
        ("hung-task", ["hung-task"], "INFO: task insmod:103 blocked for more than 1 s", "locks::wait_for_ever"),
        ("rcu-stall", ["rcu-stall"], "rcu: INFO: rcu_preempt self-detected stall on CPU", "locks::rcu_stall"),
        ("dma-unmap-twice", ["dma-api"], "DMA-API: faux_driver crashers: device driver tries", "dma::unmap_twice"),
        ("dma-free-irqs-off", ["warning"], "WARNING: kernel/dma/mapping.c:700 at dma_free_attrs", "dma::Ring"),
        ("napi-twice", ["bug"], "kernel BUG at net/core/dev.c:7771!", "napi::enable_twice"),
    ],
)
def test_what_the_crashers_provoke(name: str, kinds: list[str], headline: str, culprit: str | None) -> None:
    found = splats(f"crashers/{name}")
    assert [splat.splat_kind for splat in found] == kinds
    first = found[0]
    assert first.headline.startswith(headline)
    assert first.culprit is not None
    assert first.culprit.module == "crashers"
    assert re.match(rf"<?crash::{culprit}\b" if culprit else "crashers_shift", first.culprit.symbol)
    assert not any("about to do" in line or "done: " in line or "no kind named" in line for line in first.lines)


def test_a_report_of_kasan_goes_on_after_its_first_trace() -> None:
    lines = splats("crashers/use-after-free")[0].lines
    assert any(line.startswith("Freed by task") for line in lines)
    assert lines[-2:] == ["=" * 66, "Disabling lock debugging due to kernel taint"]
    symbols = [frame.symbol for frame in splats("crashers/use-after-free")[0].trace if frame.certain]
    assert symbols.count("crash::memory::use_after_free") == 1, "who freed is not part of where it happened"


def test_frames_that_say_nothing_are_folded_and_stay_in_the_records() -> None:
    splat = splats("crashers/refcount")[0]
    assert "do_syscall_64" not in splat.detail
    assert "entry_SYSCALL_64" not in splat.detail
    assert re.search(r"^ … \d+ frames of the kernel$", splat.detail, re.MULTILINE)
    assert "crash::memory::refcount_from_zero" in splat.detail
    assert any("do_syscall_64+" in record.text for record in splat.records)
    assert any("entry_SYSCALL_64_after_hwframe+" in line for line in splat.lines)


@pytest.mark.parametrize("name", ["null", "gpf", "bug", "warn", "list", "refcount", "ubsan", "panic", "rust"])
def test_one_complaint_is_one_object(name: str) -> None:
    assert len(splats(name)) == 1


def test_a_second_kind_in_the_same_log_is_a_second_object() -> None:
    kinds = {splat.splat_kind for splat in splats("spin")}
    assert kinds == {"soft-lockup", "rcu-stall"}


@pytest.mark.parametrize(
    ("message", "kind"),
    [("DEBUG_LOCKS_WARN_ON(pc - uval > pc)", "lockdep"), ("refcount_t: underflow; use-after-free.", "refcount")],
)
def test_the_message_of_a_warning_and_its_place_are_one_complaint(message: str, kind: str) -> None:
    """Regression: lockdep's message and the WARNING behind it, in another file than lockdep's, were two complaints."""
    log = KernelLog()
    feed(
        log,
        "------------[ cut here ]------------",
        message,
        "WARNING: kernel/sched/core.c:6038 at preempt_count_sub+0x88/0xd0, CPU#0: insmod/59",
        "Modules linked in: crashers(O+)",
        "Call Trace:",
        " crash+0x10/0x20 [crashers]",
        "---[ end trace 0000000000000000 ]---",
    )
    (splat,) = log.splats(settle=True)
    assert (splat.splat_kind, splat.headline) == (kind, message)
    assert splat.culprit is not None
    assert splat.culprit.module == "crashers"


def test_a_warning_behind_another_warnings_message_and_place_is_a_second_one() -> None:
    log = KernelLog()
    feed(
        log,
        "------------[ cut here ]------------",
        "DEBUG_LOCKS_WARN_ON(1)",
        "WARNING: kernel/locking/lockdep.c:10 at lock+0x88/0xd0, CPU#0: insmod/59",
        "Call Trace:",
        " crash+0x10/0x20 [crashers]",
        "WARNING: kernel/sched/core.c:6038 at preempt_count_sub+0x88/0xd0, CPU#0: insmod/59",
        "Call Trace:",
        " crash+0x10/0x20 [crashers]",
    )
    assert [splat.splat_kind for splat in log.splats(settle=True)] == ["lockdep", "warning"]


def test_lines_before_and_after_are_not_part_of_it() -> None:
    lines = splats("warn")[0].lines
    assert lines[0].startswith("------------[ cut here")
    assert lines[-1].startswith("---[ end trace")
    assert not any("about to do" in line for line in lines)


def test_a_healthy_boot_has_no_complaint() -> None:
    assert splats("boot") == []


def test_rust_message_is_in_the_text_and_names_are_readable() -> None:
    splat = splats("rust")[0]
    assert "index out of bounds: the len is 4" in splat.detail
    assert "_RNv" not in splat.detail.replace("__pfx__R", "")
    assert [frame.symbol for frame in splat.trace if "panic_bounds" in frame.symbol] == [
        "core::panicking::panic_bounds_check"
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("BUG: KASAN: slab-use-after-free in nic_poll+0x12/0x90 [nic]", "kasan"),
        ("WARNING: possible circular locking dependency detected", "lockdep"),
        ("WARNING: possible recursive locking detected", "lockdep"),
        ("WARNING: inconsistent lock state", "lockdep"),
        ("WARNING: suspicious RCU usage", "lockdep"),
        ("BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580", "atomic-sleep"),
        ("DMA-API: e1000 0000:00:03.0: device driver tries to free DMA memory it has not allocated", "dma-api"),
        ("kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)", "kmemleak"),
        ("unregister_netdevice: waiting for eth0 to become free. Usage count = 2", "netdev-leak"),
        ("e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out 5000 ms", "tx-timeout"),
        ('irq 11: nobody cared (try booting with the "irqpoll" option)', "spurious-irq"),
        ("BUG kmalloc-64 (Tainted: G    O   ): Right Redzone overwritten", "slab"),
        ("Oops: general protection fault, probably for non-canonical address", "gpf"),
        ("Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000", "oops"),
        ("WARNING: CPU: 0 PID: 1 at kernel/dma/mapping.c:509 dma_free_attrs+0x1/0x2", "warning"),
        ("e1000: eth0 NIC Link is Up 1000 Mbps", None),
        ("hello: Warning about nothing", None),
        ("Kernel command line: panic=-1 oops=panic", None),
    ],
)
def test_headlines(line: str, kind: str | None) -> None:
    assert classify(line) == kind


def feed(log: KernelLog, *texts: str, start: float = 1.0) -> None:
    for number, text in enumerate(texts):
        log.feed(f"<4>[{start + number / 1000:12.6f}] {text}")


def test_allowed_complaints_pass_the_check() -> None:
    log = KernelLog()
    feed(log, "WARNING: at here", "CPU: 0", "---[ end trace 0 ]---", "something else")
    with pytest.raises(Splat):
        log.check()
    log.allow("at there", reason="of another driver")
    with pytest.raises(Splat):
        log.check()
    log.allow("at here", reason="it is the test's point")
    log.check()
    assert log.allowances() == [
        "did not come: at there — of another driver",
        "came: WARNING: at here — it is the test's point",
    ]


def test_unfinished_complaint_is_found_by_the_check() -> None:
    log = KernelLog()
    feed(log, "BUG: kernel NULL pointer dereference, address: 0")
    assert log.begun == ("oops", "BUG: kernel NULL pointer dereference, address: 0")
    with pytest.raises(Splat):
        log.check()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints_module, "SPLATS_KEPT", 10)
    log = KernelLog()
    for number in range(50):
        feed(log, "WARNING: again", "---[ end trace 0 ]---", start=number * 5.0)
    log.finish()
    assert (len(log.splats()) <= 10, log.splat_count) == (True, 50)


def test_wait_for_finds_what_was_and_what_comes_and_says_what_did_not() -> None:
    log = KernelLog()
    feed(log, "first", "second")
    assert log.wait_for("sec").text == "second"
    begun = time.monotonic()
    with pytest.raises(GuestTimeout, match="third") as caught:
        log.wait_for("third", 0.1)
    assert time.monotonic() - begun < 9, "the time it has by default is 10 s"
    assert "second" in caught.value.detail


def test_positions_separate_what_a_test_logged() -> None:
    log = KernelLog()
    feed(log, "before")
    position = log.mark()
    feed(log, "after")
    assert log.text(position) == "after"


def test_two_threads_wait_for_the_log_at_once() -> None:
    """Both marks may arrive before either thread checks."""
    marks: list[str] = []
    both = threading.Event()

    def log_it(mark: str) -> bool:
        marks.append(mark)
        if len(marks) == 2:
            for text in marks:
                log.feed(f"[    1.000000] {text}")
            both.set()
        return both.wait(10)

    log = KernelLog(sync=log_it)
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            log.sync(timeout=1)
        except GuestTimeout as error:
            failed.append(error)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(set(marks)) == 2


def test_marks_that_nobody_waits_for_are_not_kept() -> None:
    log = KernelLog()
    for number in range(1000):
        log.feed(f"[    1.000000] r4l-sync {number:x}")
    assert log.records() == []
    assert not log._marks


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 4301, "9" * 100])
def test_a_number_that_no_cpu_has(digits: str) -> None:
    for line in (f"CPU: {digits} PID: {digits} Comm: x Not tainted", f"WARNING: a.c:1 at f+0x1/0x2, CPU#{digits}: x/1"):
        for record in (Record(line, 1.0, caller=f"C{digits}"), Record(line, 1.0)):
            assert Splat("oops", "BUG: x", [record]).task[1] is None
