# SPDX-License-Identifier: MIT
"""Begin and end of complaints in a log: mixed tasks, torn reports, one death told several times."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.unit.klog.logs import OOPS, WARNING, read, symbols

from r4l.klog.blame import plain_symbol
from r4l.klog.cutter import MAX_CHARACTERS, MAX_LINES, MOST_LINES

TRACES = tomllib.loads((Path(__file__).parent / "traces.toml").read_text(encoding="utf-8"))


def test_leaks_are_told_one_by_one() -> None:
    def leak(function: str) -> list[str]:
        return [
            "unreferenced object 0xffff888012e4a000 (size 1024):",
            '  comm "modprobe", pid 881, jiffies 4294903412',
            "  backtrace (crc 5c8e83cd):",
            "    [<ffffffff815d3b55>] __kmalloc_cache_noprof+0x245/0x370",
            f"    [<ffffffffc01a0041>] {function}+0x41/0x200 [widget]",
        ]

    assert symbols(read(*leak("widget_probe"), *leak("widget_open"))) == ["widget_probe", "widget_open"]
    assert symbols(read(*(line.strip() for line in leak("widget_probe")))) == ["widget_probe"]
    found = read("kmemleak: 1 new suspected memory leaks", *leak("widget_probe"), "BUG: memory leak", *leak("gadget"))
    assert symbols(found) == ["widget_probe", "gadget"]


def test_two_tasks_that_print_at_once_are_two_complaints() -> None:
    first = [f"[   12.{number:06}][  T123] {text}" for number, text in enumerate(OOPS)]
    second = [f"[   12.{number:06}][   T77] {text}" for number, text in enumerate(WARNING)]
    mixed = [line for pair in zip(first, second, strict=False) for line in pair] + first[len(second) :]
    found = sorted(read(*mixed), key=lambda splat: splat.first)
    assert [splat.splat_kind for splat in found] == ["oops", "warning"]
    assert symbols(found) == ["widget_read", "widget_open"]
    assert [splat.task for splat in found] == [("prog:123", 1), ("other:77", 0)]


def test_a_report_that_another_cut_short_is_told_apart_from_it() -> None:
    texts = [
        "BUG: KASAN: slab-out-of-bounds in widget_copy+0x4/0x40",
        "Read of size 8 at addr ffff by task prog/7",
        *OOPS,
    ]
    found = read(*(f"[   12.{number:06}] {text}" for number, text in enumerate(texts)))
    assert [(splat.splat_kind, splat.fatal) for splat in found] == [("kasan", False), ("oops", True)]
    assert symbols(found) == ["widget_copy", "widget_read"]


def test_lines_of_others_in_between_do_not_end_it() -> None:
    lines = [f"[   12.{number:06}] {text}" for number, text in enumerate(OOPS)]
    mixed = [line for text in lines for line in (text, "[   12.500000] widget: something else")]
    (splat,) = read(*mixed)
    assert symbols([splat]) == ["widget_read"]
    assert splat.fatal


@pytest.mark.parametrize("others", [1, 3])
def test_lines_of_others_between_a_message_and_the_bug_that_it_leads_to(others: int) -> None:
    texts = [
        "list_del corruption. next->prev should be ffff888112424250, but was 0000000000000000.",
        *["eth0: link becomes ready"] * others,
        "------------[ cut here ]------------",
        "kernel BUG at lib/list_debug.c:65!",
        "Oops: invalid opcode: 0000 [#1] SMP",
        "RIP: 0010:__list_del_entry_valid_or_report+0x141/0x1c0",
        "Call Trace:",
        " widget_close+0x10e/0x2b0",
        "---[ end trace 0000000000000000 ]---",
    ]
    (splat,) = read(*(f"[    1.{number:06}] {text}" for number, text in enumerate(texts)))
    assert (splat.splat_kind, symbols([splat]), splat.killed) == ("list-corruption", ["widget_close"], "task")


HANG = """\
INFO: task prog:123 blocked for more than 120 seconds.
      Not tainted 4.4.96 #180
Call Trace:
 [<ffffffff829f5a8c>] schedule+0x9c/0x1b0
 [<ffffffff829f6315>] schedule_preempt_disabled+0x15/0x20
 [<ffffffff829fb0c0>] mutex_lock_nested+0x3b0/0x1130
 [<ffffffff8223552c>] widget_open+0xcc/0x220
 [<ffffffff8223552d>] chrdev_open+0xcc/0x220""".splitlines()
DEVICE = ["unregister_netdevice: waiting for lo to become free. Usage count = 6"]
MEMORY = ["other invoked oom-killer: gfp_mask=0x6202c2(GFP_HIGHUSER), order=0, oom_score_adj=1000", "other cpuset=/"]


@pytest.mark.parametrize("other", [DEVICE, MEMORY])
@pytest.mark.parametrize("at", range(4, 8))
def test_a_complaint_in_the_middle_of_anothers_trace(other: list[str], at: int) -> None:
    texts = [*HANG[:at], *other, *HANG[at:], *CHATTER]
    found = read(*(f"[  120.{number:06}] {text}" for number, text in enumerate(texts)))
    first, second = sorted(found, key=lambda splat: splat.first)
    assert (first.lines, symbols([first])) == (HANG, ["widget_open"])
    assert (second.headline, symbols([second])) == (other[0], [None])


def test_the_end_of_a_trace_behind_the_complaint_in_its_middle() -> None:
    texts = [*OOPS[:-3], *DEVICE, *OOPS[-3:], *CHATTER]
    found = read(*(f"[  120.{number:06}] {text}" for number, text in enumerate(texts)))
    assert [splat.lines for splat in sorted(found, key=lambda splat: splat.first)] == [OOPS, DEVICE]


def test_a_complaint_with_its_own_trace_in_the_middle_of_anothers() -> None:
    for other, symbol in ((OOPS, "widget_read"), (WARNING, "widget_open")):
        texts = [*HANG[:4], *other[:1], *HANG[4:6], *other[1:]]
        first, second = read(*(f"[  120.{number:06}] {text}" for number, text in enumerate(texts)))
        assert first.lines == HANG[:6]
        assert (second.lines, symbols([second])) == (other, [symbol])


def test_lines_of_others_within_a_leak() -> None:
    texts = [
        "unreferenced object 0xffff888012e4a000 (size 1024):",
        "eth0: link becomes ready",
        '  comm "modprobe", pid 881, jiffies 4294903412',
        "  backtrace (crc 5c8e83cd):",
        "    [<ffffffff815d3b55>] __kmalloc_cache_noprof+0x245/0x370",
        "eth0: link becomes ready",
        "    [<ffffffffc01a0041>] widget_probe+0x41/0x200 [widget]",
        "eth0: link becomes ready",
    ]
    (splat,) = read(*(f"[    1.{number:06}] {text}" for number, text in enumerate(texts)))
    assert (symbols([splat]), splat.last) == (["widget_probe"], len(texts) - 1)


def test_one_death_told_three_times_is_one() -> None:
    texts = [
        "rust_kernel: panicked at drivers/widget.rs:3:1:",
        "attempt to subtract with overflow",
        "------------[ cut here ]------------",
        "kernel BUG at rust/helpers/bug.c:7!",
        "Oops: invalid opcode: 0000 [#1] SMP",
        "CPU: 0 UID: 0 PID: 5 Comm: prog Not tainted 7.3.4 #1",
        "RIP: 0010:rust_helper_BUG+0x8/0x10",
        "Call Trace:",
        " <TASK>",
        " _RNvCscSpY9Juk0HT_7___rustc17rust_begin_unwind+0x15b/0x160",
        " ? __cfi__RNvCscSpY9Juk0HT_7___rustc17rust_begin_unwind+0x10/0x10",
        " _RNvNtCs9jEwPDbx20M_4core9panicking9panic_fmt+0x84/0x90",
        " _RNvMs3_NtCshgDM7dBCdno_6widget7processNtB5_7Process10update_ref+0x17e5/0x1860",
        " do_syscall_64+0x3b/0x90",
        " </TASK>",
        "---[ end trace 0000000000000000 ]---",
        "Kernel panic - not syncing: Fatal exception",
        "Kernel Offset: disabled",
    ]
    (splat,) = read(*(f"[    1.{number:06}] {text}" for number, text in enumerate(texts)))
    assert (splat.splat_kind, splat.killed) == ("rust-panic", "machine")
    assert symbols([splat]) == ["<widget::process::Process>::update_ref"]
    assert "__cfi___rustc::rust_begin_unwind" in [frame.symbol for frame in splat.trace]


CHATTER = [f"eth0: line {number}" for number in range(5)]


def test_a_panic_after_what_others_say_is_the_same_death() -> None:
    again = "RIP: 0010:widget_read+0x12/0x40"
    texts = [*OOPS, *CHATTER, again, *CHATTER, "Kernel panic - not syncing: Fatal exception", "Kernel Offset: disabled"]
    (splat,) = read(*(f"[   12.{number:06}] {text}" for number, text in enumerate(texts)))
    assert (splat.splat_kind, splat.killed, splat.last) == ("oops", "machine", len(texts))


def test_what_others_say_after_a_death_is_no_part_of_it() -> None:
    for after in (CHATTER, CHATTER * 5):
        (splat,) = read(*(f"[   12.{number:06}] {text}" for number, text in enumerate([*OOPS, *after])))
        assert splat.last == len(OOPS)


def test_the_kernels_mark_at_the_end_of_a_log_is_no_complaint() -> None:
    mark = "------------[ cut here ]------------"
    assert read("[    1.000000] up", f"[    1.000001] {mark}") == []
    found = read(*(f"[   12.{number:06}] {text}" for number, text in enumerate([*OOPS, mark])))
    assert [splat.splat_kind for splat in found] == ["oops"]


def test_words_behind_a_quoted_mark_are_no_complaint() -> None:
    lines = [*WARNING, "------------[ cut here ]------------"]
    quoted = [f"[   12.{number:06}] {text}" for number, text in enumerate(lines)]
    (splat,) = read(*quoted, "", "It is fixed by this:", "   https://example.org/fix", "")
    assert splat.headline == next(text for text in WARNING if text.startswith("WARNING: "))


def test_the_message_of_a_lock_check_belongs_to_its_warning() -> None:
    warning = [text for text in WARNING if "cut here" not in text]
    assert len(read("DEBUG_LOCKS_WARN_ON(lock->magic != lock)", *warning)) == 1


def test_the_kernels_mark_makes_a_doubtful_headline_certain() -> None:
    (splat,) = read("------------[ cut here ]------------", "BUG: something that no table knows", "another line")
    assert (splat.splat_kind, splat.headline) == ("bug", "BUG: something that no table knows")


@pytest.mark.parametrize("text", ["BUG: memory leak", "[ BUG: lock held at task exit time! ]"])
@pytest.mark.parametrize("end", ["\r", "\r\r", "\0", " "])
def test_a_headline_at_the_end_of_its_line(text: str, end: str) -> None:
    assert len(read(f"[    1.000000] {text}{end}", "")) == 1


def test_tasks_that_hang_are_told_one_by_one() -> None:
    def hung(pid: int, function: str) -> list[str]:
        return [
            f"INFO: task prog:{pid} blocked for more than 120 seconds.",
            "      Not tainted 4.9.1 #1",
            '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.',
            f"prog            D ffffffff83e27d60 28152  {pid}      1 0x00000002",
            "Call Trace:",
            " [<ffffffff835bdeb4>] schedule+0x64/0x160",
            f" [<ffffffff835bdeb5>] {function}+0x64/0x160",
        ]

    found = read(*(f"[  120.000000] {text}" for text in [*hung(7, "widget_wait"), *hung(8, "gadget_wait")]))
    assert symbols(found) == ["widget_wait", "gadget_wait"]
    assert [splat.task[0] for splat in found] == ["prog:7", "prog:8"]


def test_what_other_processors_print_belongs_to_a_stall() -> None:
    lines = [
        "[  100.0][    C1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "[  100.0][    C1] rcu: 	0-...!: (1 ticks this GP) idle=c9d4/1/0x4000000000000000",
        "[  100.0][    C1] Sending NMI from CPU 1 to CPUs 0:",
        "[  100.0][    C0] NMI backtrace for cpu 0",
        "[  100.0][    C0] CPU: 0 UID: 0 PID: 9 Comm: prog Not tainted 7.3.4 #1",
        "[  100.0][    C0] RIP: 0010:_raw_spin_lock+0x4/0x40",
        "[  100.0][    C0] Call Trace:",
        "[  100.0][    C0]  <TASK>",
        "[  100.0][    C0]  inner+0x4/0x40",
        "[  100.0][    C0]  widget_ioctl+0x4/0x40",
        "[  100.0][    C0]  vfs_ioctl+0x4/0x40",
        "[  100.0][    C0]  </TASK>",
        "[  100.1][    C1] rcu: rcu_preempt kthread starved for 10000 jiffies!",
    ]
    (splat,) = read(*lines)
    assert (splat.splat_kind, splat.last) == ("rcu-stall", len(lines))
    assert symbols([splat]) == ["widget_ioctl"], "where it happens to be says nothing; what it was asked to do does"


BARE = {
    "kcsan": "BUG: KCSAN: data-race in widget_poll / widget_stop",
    "kmsan": "BUG: KMSAN: uninit-value in widget_poll+0x4/0x40",
    "kfence": "BUG: KFENCE: use-after-free read in widget_poll+0x4/0x40",
}


@pytest.mark.parametrize("kind", BARE)
def test_reports_whose_trace_has_no_heading(kind: str) -> None:
    rule = "=" * 66
    texts = [
        rule,
        BARE[kind],
        "",
        "write to 0x00 of 4 bytes by task 7 on cpu 0:",
        " widget_poll+0x4/0x40",
        " net_rx_action+0x4/0x40",
        "",
        rule,
    ]
    (splat,) = read(*(f"[    1.000000] {text}" for text in texts))
    assert (splat.splat_kind, symbols([splat])) == (kind, ["widget_poll"])
    several = read(*(f"[    1.000000] {text}" for text in texts * 3))
    assert [(splat.splat_kind, splat.headline) for splat in several] == [(kind, BARE[kind])] * 3


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("page-state", "BUG: Bad rss-counter state mm:ffff888 type:MM_ANONPAGES val:1 Comm:prog Pid:7"),
        ("netdev-leak", "unregister_netdevice: waiting for eth0 to become free. Usage count = 2"),
        ("page-pool-leak", "page_pool_release_retry() stalled pool shutdown: id 4, 2 inflight 60 sec"),
        ("oom", "Out of memory: Killed process 812 (prog) total-vm:4000kB, anon-rss:40kB"),
        ("tx-timeout", "e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 3: transmit queue 0 timed out 5120 ms"),
        ("dma-api", "DMA-API: e1000 0000:00:03.0: device driver has pending DMA allocations [count=2]"),
    ],
)
def test_a_complaint_of_one_line_does_not_hide_the_one_after_it(kind: str, line: str) -> None:
    for report, other in ((OOPS, "oops"), (WARNING[1:], "warning"), (WARNING, "warning")):
        found = read(*(f"[   12.{number:06}] {text}" for number, text in enumerate([line, *report])))
        assert [splat.splat_kind for splat in found] == [kind, other]
        assert [splat.fatal for splat in found] == [False, other == "oops"]


def slab(count: int) -> list[str]:
    """Report of an object with a number of lines, up to its trace."""
    return [
        "=" * 77,
        "BUG kmalloc-4k (Tainted: G           O      ): Right Redzone overwritten",
        "-" * 77,
        "",
        "0xffff888103e2b040-0xffff888103e2b043 @offset=64. First byte 0x41 instead of 0xcc",
        "Allocated in widget_alloc+0x2b/0x50 age=12 cpu=1 pid=812",
        " widget_alloc+0x2b/0x50",
        "Slab 0xffffea00040f8ac0 objects=32 used=30 fp=0xffff888103e2b100 flags=0x200(workingset|node=0|zone=2)",
        *["Object   ffff888103e2b000: 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b  kkkkkkkkkkkkkkkk"] * count,
    ]


@pytest.mark.parametrize("count", [4, 64, 256])
def test_an_object_of_many_lines_does_not_end_its_report(count: int) -> None:
    trace = [
        "CPU: 1 UID: 0 PID: 812 Comm: prog Not tainted 6.13.0 #1",
        "Call Trace:",
        " kfree+0x1/0x2",
        " widget_free+0x1/0x2",
    ]
    (splat,) = read(*slab(count), *trace)
    assert (splat.splat_kind, symbols([splat])) == ("slab", ["widget_free"])


def test_another_warning_is_no_end_of_a_slabs_report() -> None:
    found = read(*slab(4), *WARNING)
    assert [splat.splat_kind for splat in found] == ["slab", "warning"]


def test_the_counters_of_a_group_are_part_of_the_report_of_its_memory() -> None:
    (splat,) = read(
        "prog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        "Call Trace:",
        " <TASK>",
        " __mem_cgroup_charge+0x1/0x2",
        " widget_fill+0x1/0x2",
        " </TASK>",
        "memory: usage 102400kB, limit 102400kB, failcnt 812",
        "Memory cgroup stats for /system.slice/docker-1.scope:",
        *[f"counter_{letter} 104857600" for letter in "abcdefghijklmnopqrst"],
        "Tasks state (memory values in pages):",
        "Memory cgroup out of memory: Killed process 812 (prog) total-vm:4000kB, anon-rss:40kB",
    )
    assert (splat.last, symbols([splat])) == (30, ["widget_fill"])


@pytest.mark.parametrize("name", TRACES)
def test_traces_of_many_shapes(name: str) -> None:
    (splat,) = read(*(f"[    1.000000] {line}" for line in TRACES[name]["log"].splitlines()))
    culprit = splat.culprit
    assert plain_symbol(culprit.symbol if culprit else "") == plain_symbol(TRACES[name]["culprit"])
    if culprit is None:
        return
    if "module" in TRACES[name]:
        assert culprit.module == TRACES[name]["module"]
    if "where" in TRACES[name]:
        assert culprit.where == TRACES[name]["where"]


def test_frames_that_are_symbolised_already_keep_their_lines() -> None:
    lines = [
        "BUG: kernel NULL pointer dereference, address: 0",
        "Call Trace:",
        " widget_read+0x4/0x40 (drivers/widget.c:12)",
    ]
    (splat,) = read(*(f"[    1.000000] {line}" for line in lines))
    assert splat.culprit is not None
    assert (splat.culprit.file, splat.culprit.line) == ("drivers/widget.c", 12)


@pytest.mark.parametrize(
    ("headline", "line", "task"),
    [
        ("BUG: unable to handle kernel paging request at 0", "Pid: 7, comm: a b Tainted: G  3.2.0-4 #1", "a b:7"),
        ("BUG: unable to handle kernel paging request at 0", "Pid: 7, comm: cat 3.2.0-4-amd64 #1", "cat:7"),
        (
            "BUG: unable to handle kernel paging request at 0",
            "Process cat (pid: 7, ti=f6b2c000 task=f5a3c000)",
            "cat:7",
        ),
        ("unreferenced object 0xffff888012e4a000 (size 8):", '  comm "cat", pid 7, jiffies 4294903412', "cat:7"),
        ("BUG: spinlock lockup suspected on CPU#3, a/b/7", "x", "a/b:7"),
        ("BUG: scheduling while atomic: a/b/7/0x00000002", "x", "a/b:7"),
        ("BUG: using smp_processor_id() in preemptible [00000000] code: a/b/7", "x", "a/b:7"),
        ("WARNING: possible recursive locking detected", "a/b/7 is trying to acquire lock:", "a/b:7"),
        ("WARNING: inconsistent lock state", "swapper/0/0 just changed the state of lock:", "swapper/0:0"),
        ("kmemleak: unreferenced object 0xffff8 (size 8):", 'kmemleak:   comm "cat", pid 7, jiffies 4294', "cat:7"),
    ],
)
def test_the_task_in_words_of_several_reports(headline: str, line: str, task: str) -> None:
    (splat,) = read(*(f"[    1.000000] {text}" for text in (headline, line)))
    assert splat.task == (task, 3 if "CPU#3" in headline else None)


OUT_OF_MEMORY = [
    "prog invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
    "CPU: 7 PID: 123 Comm: prog Not tainted 6.0.11 #1",
    "Call Trace:",
    " <TASK>",
    " dump_header+0x4a/0x1ff",
    " oom_kill_process.cold+0xb/0x10",
    " out_of_memory+0x27e/0x520",
    " widget_fault+0x140/0x930",
    " </TASK>",
    "Mem-Info:",
    "active_anon:1131648 inactive_anon:229509 isolated_anon:32",
    "Node 0 DMA free:14336kB boost:0kB min:132kB",
    "lowmem_reserve[]: 0 2950 7653 7653 7653",
    *["111679 total pagecache pages", "Free swap  = 0kB", "2030655 pages RAM", "Tasks state (memory values in pages):"]
    * 5,
    *(f"[   {number}]  1000  {number}    94774        0    98304      750           200 prog" for number in range(99)),
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom",
    "Out of memory: Killed process 123 (prog) total-vm:1184838636kB, anon-rss:16976kB",
]


def test_a_report_of_the_oom_killer_is_one() -> None:
    (splat,) = read(*(f"Nov 28 10:00:00 host kernel: {text}" for text in OUT_OF_MEMORY))
    assert (splat.splat_kind, splat.last) == ("oom", len(OUT_OF_MEMORY))
    assert symbols([splat]) == ["widget_fault"]
    (last,) = read(f"[    1.000000] {OUT_OF_MEMORY[-1]}", "[    1.000001] widget: loaded", "[    1.000002]  indented")
    assert last.last == 1


@pytest.mark.parametrize("stamp", ["Nov 28 10:00:00 host kernel: ", "[    1.000000] ", "[    1.000000][  T123] "])
@pytest.mark.parametrize("tasks", [0, 300, 900, 9000])
def test_a_report_of_the_oom_killer_is_one_however_many_tasks_there_are(tasks: int, stamp: str) -> None:
    """Regression: of a report with more than 400 lines, the last one was a complaint of its own, without a culprit."""
    lines = [*OUT_OF_MEMORY[:-2], *OUT_OF_MEMORY[-3:-2] * tasks, *OUT_OF_MEMORY[-2:]]
    (splat, after) = read(*(f"{stamp}{text}" for text in [*lines, "widget: before", *OOPS]))
    assert (splat.splat_kind, splat.first, splat.last) == ("oom", 1, len(lines))
    assert symbols([splat]) == ["widget_fault"]
    assert splat.lines[-1] == lines[-1]
    assert len(splat.lines) <= MAX_LINES + 1
    left = [line for line in splat.lines if line.endswith("lines are left out here)")]
    assert left == ([f"({len(lines) - len(splat.lines) + 1} lines are left out here)"] if tasks else [])
    assert after.splat_kind == "oops"


def test_a_panic_at_the_end_of_a_long_report_is_its_death() -> None:
    deep = [f" widget_again+0x{number:x}/0x900" for number in range(900)]
    lines = [*OOPS[:-2], *deep, *OOPS[-2:], "Kernel panic - not syncing: Fatal exception in interrupt"]
    (splat,) = read(*(f"[    1.000000] {text}" for text in lines))
    assert (splat.killed, splat.last) == ("machine", len(lines))


def test_a_report_of_long_lines_and_one_without_end_are_cut() -> None:
    long = [f" widget_again+0x1/0x900 [widget {'x' * 60}]" for _ in range(MOST_LINES * 2)]
    (splat,) = read(*(f"[    1.000000] {text}" for text in [*OOPS[:-2], *long]))
    assert MOST_LINES < splat.last < MOST_LINES + 2 * MAX_LINES
    words = [f"Modules linked in: {'x' * 5000}"] * 99
    (splat,) = read(*(f"[    1.000000] {text}" for text in [*OOPS[:-2], *words]))
    assert sum(map(len, splat.lines)) < MAX_CHARACTERS + 6000
