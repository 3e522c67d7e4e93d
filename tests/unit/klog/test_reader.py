# SPDX-License-Identifier: MIT
"""Complaints in other people's logs: mixed tasks, torn reports, any prefix, any bytes, any length."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import time
import tomllib
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from r4l.errors import UsageError
from r4l.klog import Splat
from r4l.klog.blame import plain_symbol
from r4l.klog.prefixes import PREFIXES
from r4l.klog.reader import complaints, opened

OOPS = """\
BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor read access in kernel mode
Oops: Oops: 0000 [#1] SMP NOPTI
CPU: 1 UID: 0 PID: 123 Comm: prog Not tainted 7.3.4 #1
RIP: 0010:widget_read+0x12/0x40
RSP: 0018:ffffc90000000000 EFLAGS: 00010246
Call Trace:
 <TASK>
 ? show_regs+0x1/0x2
 vfs_read+0xb5/0x320
 do_syscall_64+0x3b/0x90
 </TASK>
---[ end trace 0000000000000000 ]---""".splitlines()
WARNING = """\
------------[ cut here ]------------
WARNING: drivers/widget.c:7 at widget_open+0x1/0x40, CPU#0: other/77
CPU: 0 UID: 0 PID: 77 Comm: other Not tainted 7.3.4 #1
RIP: 0010:widget_open+0x1/0x40
Call Trace:
 <TASK>
 chrdev_open+0xb5/0x320
 </TASK>
---[ end trace 0000000000000000 ]---""".splitlines()


def read(*lines: str) -> list[Splat]:
    return list(complaints(io.BytesIO("\n".join(lines).encode())))


def symbols(splats: list[Splat]) -> list[str | None]:
    return [splat.culprit.symbol if splat.culprit else None for splat in splats]


TRACES = tomllib.loads((Path(__file__).parent / "traces.toml").read_text(encoding="utf-8"))
KERNELS = [entry for entry in PREFIXES if entry.get("kernel") is not False]
SHAPES = [example.removesuffix("BUG: x") for entry in KERNELS for example in entry["examples"]]


@pytest.mark.parametrize("before", SHAPES)
def test_a_complaint_is_found_behind_every_prefix(before: str) -> None:
    lines = [before + text for text in ["widget: loaded", *OOPS, "widget: after"]]
    (splat,) = read(*lines)
    assert (splat.splat_kind, splat.killed) == ("oops", "task")
    assert (splat.first, splat.last) == (2, 14)
    assert symbols([splat]) == ["widget_read"]
    assert [frame.symbol for frame in splat.trace if frame.certain] == ["vfs_read", "do_syscall_64"]
    assert splat.task == ("prog:123", 1)


UNKNOWN = [
    "console.log:",
    "logs/console.log:123:",
    "   123\t",
    "[vm-test] ",
    "[pod/vm-0/console] ",
    "guest    | ",
    "INFO     console:vm.py:33 ",
    "2026-11-28 10:00:00,123 - console - DEBUG - ",
    "E       ",
    "AB> ",
    "Nov 28 10:00:00 ",
    "\tbox kernel: ",
    "&gt; ",
    "<p>",
]


@pytest.mark.parametrize("before", UNKNOWN)
def test_a_prefix_that_no_table_lists_is_no_line_of_the_complaint(before: str) -> None:
    lines = [f"{before}[   12.{number:06}] {text}" for number, text in enumerate([*OOPS, "widget: after"])]
    (splat,) = read(*lines)
    assert splat.lines == OOPS
    assert (splat.first, splat.last) == (1, len(OOPS))


HEADS = [
    "[vm-test] ",
    "guest | ",
    "logs/console.log:",
    "console.log:{number}:",
    "INFO     vm.py:33 ",
    "stdout>  ",
    "vm\t",
]


@pytest.mark.parametrize("head", HEADS)
def test_a_prefix_that_no_table_lists_in_a_log_without_stamps(head: str) -> None:
    texts = ["widget: before", *OOPS, "", "widget: after"]
    lines = [(head.format(number=number) + text).rstrip() for number, text in enumerate(texts)]
    (splat,) = read(*lines)
    assert splat.lines[: len(OOPS)] == OOPS
    assert (splat.first, splat.killed) == (2, "task")
    assert symbols([splat]) == ["widget_read"]
    assert read(*lines[:2]) == [], "a single line may be anything"


@pytest.mark.parametrize(
    "line",
    [
        'printk("{}");',
        "    pr_emerg('{}');",
        "- {}",
        "1. {}",
        "The kernel prints {}",
        'A line such as "{}" is meant.',
        "<code>{}</code>",
        "| {} | oops |",
        "# {}",
    ],
)
def test_what_speaks_of_complaints_has_none(line: str) -> None:
    texts = [OOPS[0], WARNING[1], "Kernel panic - not syncing: Fatal exception", "Call Trace:"]
    assert read(*(line.format(text) for text in texts)) == []


MARKS = [
    ('        "', '",'),
    ('"host","', '"'),
    ("", "<br>"),
    ("<p>", "</p>"),
    ("", "^M"),
    ("", "#015"),
    ("", '"}'),
    ("", "\\r\\n"),
    ("b'", "\\n'"),
    ("[0;31m", "[0m"),
    ("^[[1;31m", "^[[0m"),
    ("#033[31m", "#033[0m"),
]


@pytest.mark.parametrize(("before", "after"), MARKS)
def test_marks_around_each_line(before: str, after: str) -> None:
    (splat,) = read(*(f"{before}[   12.{number:06}] {text}{after}" for number, text in enumerate(OOPS)))
    assert splat.lines == OOPS


def test_what_programs_print_between_the_kernels_lines_is_left_out() -> None:
    lines = [line for number, text in enumerate(OOPS) for line in (f"[   12.{number:06}] {text}", "hello", "ok 1 a")]
    (splat,) = read(*lines, "[   12.900000] widget: after")
    assert splat.lines == OOPS


@pytest.mark.parametrize("indent", ["    ", "\t"])
def test_a_log_that_is_indented(indent: str) -> None:
    (splat,) = read(*(indent + text for text in ["widget: before", *OOPS, "widget: after"]))
    assert (splat.first, splat.last) == (2, 1 + len(OOPS))


@pytest.mark.parametrize(
    "machines",
    [("Nov 28 10:00:00 {} kernel: ", "web1", "web2"), ("{}  | [   12.345678] ", "guest-1", "guest-2")],
)
def test_complaints_of_several_machines_in_one_log(machines: tuple[str, str, str]) -> None:
    shape, first, second = machines
    lines = [line for text in OOPS for line in (shape.format(first) + text, shape.format(second) + text)]
    assert [splat.lines for splat in read(*lines)] == [OOPS, OOPS]


def test_a_guest_whose_console_is_in_its_hosts_journal() -> None:
    host = [f"Nov 28 10:00:00 host kernel: {text}" for text in WARNING]
    guest = [f"Nov 28 10:00:00 host qemu[7]: [   12.{number:06}] {text}" for number, text in enumerate(OOPS)]
    mixed = [line for pair in zip(host, guest, strict=False) for line in pair] + guest[len(host) :]
    assert [splat.lines for splat in sorted(read(*mixed), key=lambda splat: splat.first)] == [WARNING, OOPS]


def test_syslogds_broadcasts_have_empty_lines_between() -> None:
    (splat,) = read(
        *(line for text in OOPS for line in ("Message from syslogd@host at Nov 28 ...", f" kernel:{text}", ""))
    )
    assert [line.strip() for line in splat.lines] == [text.strip() for text in OOPS]


def test_a_log_of_more_machines_than_are_told_apart() -> None:
    lines = [f"Nov 28 10:00:00 web{number} kernel: {text}" for number in range(100) for text in OOPS]
    assert len(read(*lines)) == 100


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


def test_a_log_without_stamps() -> None:
    (splat,) = read("widget: loaded", *OOPS, "widget: after")
    assert (splat.first, splat.last) == (2, 14)


def test_a_second_blank_before_each_text() -> None:
    (splat,) = read(*(f"[   12.{number:06}][    C0]  {text}" for number, text in enumerate(WARNING)))
    assert (splat.splat_kind, splat.first, splat.last) == ("warning", 1, len(WARNING))
    assert symbols([splat]) == ["widget_open"]


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


@pytest.mark.parametrize("name", TRACES)
def test_traces_of_many_shapes(name: str) -> None:
    (splat,) = read(*(f"[    1.000000] {line}" for line in TRACES[name]["log"].splitlines()))
    culprit = splat.culprit
    assert culprit is not None
    assert plain_symbol(culprit.symbol) == plain_symbol(TRACES[name]["culprit"])
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
    "text",
    [
        "WARNING: the mand mount option has been deprecated and is ignored by this kernel.",
        "WARNING: stray words of a driver",
        "traps: prog[104] general protection fault ip:7feb sp:2000 error:0 in prog[7feb+1000]",
        "BUG UNIX (Not tainted): kasan: bad access detected",
        "Kernel command line: panic=-1 oops=panic",
        "kasan: CONFIG_KASAN_INLINE enabled",
    ],
)
def test_what_only_sounds_like_a_complaint(text: str) -> None:
    assert read(f"[    1.000000] {text}", "[    1.000001] widget: loaded", f"[    9.000001] {text}") == []


def test_what_only_sounds_like_a_complaint_is_no_part_of_the_one_after_it() -> None:
    lines = ["WARNING: stray words of a driver", "widget: loaded", *OOPS]
    (splat,) = read(*(f"[    1.{number:06}] {text}" for number, text in enumerate(lines)))
    assert (splat.splat_kind, splat.first) == ("oops", 3)


def test_other_programs_words_are_not_the_kernels() -> None:
    lines = ["Nov 28 10:00:00 host kernel: up", *(f"Nov 28 10:00:00 host prog[7]: {text}" for text in OOPS)]
    assert read(*lines) == []
    assert read("[    1.000000] up", "BUG: a program's own words", "WARNING: too") == []


OTHERS = """\
WARNING: Running pip as the 'root' user can result in broken permissions
WARNING: setup.py:12: deprecated
WARNING: at least one test was skipped
BUG: the parser returned None
Oops: something went wrong
Internal error: out of cheese
INFO: task build finished
general protection faultline
divide error: by zero
UserWarning: BUG: x
Traceback (most recent call last):
  File "x.py", line 1, in f
CPU load: 1
collected 12 items
"""


@pytest.mark.parametrize("before", ["", "2026-11-28T10:00:00.1234567Z ", "10:00:00  ", "    "])
def test_logs_of_other_programs_hold_no_complaint(before: str) -> None:
    assert read(*(before + line for line in OTHERS.splitlines() * 3)) == []


def test_a_headline_that_a_mail_program_has_wrapped() -> None:
    texts = [
        "INFO: task kworker/u16:9:7088",
        "blocked for more than 120 seconds.",
        "Call Trace:",
        "widget_wait+0x1/0x2",
    ]
    (splat,) = read(*(f"Nov 28 10:00:00 host kernel: {text}" for text in texts))
    assert (splat.splat_kind, symbols([splat]), splat.task[0]) == ("hung-task", ["widget_wait"], "kworker/u16:9:7088")


def test_a_trace_in_a_mail_ends_before_the_prose() -> None:
    prose = ["", "To fix the issue, take the lock.", "", "Signed-off-by: a <b@c>", "---", " widget.c | 3 +++"]
    (splat,) = read(*(f" {text}" for text in OOPS[:-2]), *prose)
    assert splat.last == len(OOPS) - 1


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


def test_the_clock_of_a_log_without_the_kernels_times_parts_a_complaint_from_later_lines() -> None:
    lines = [f"Nov 28 10:00:00 host kernel: {text}" for text in OOPS[:8]]
    for later in ("Nov 28 11:00:00 host kernel:  indented", "Nov 28 10:00:20 host kernel: R10: 0000000000000000"):
        (splat,) = read(*lines, later)
        assert splat.last == len(lines)
    (splat,) = read(*lines, "Nov 28 10:00:05 host kernel:  vfs_read+0x1/0x2")
    assert splat.last == len(lines) + 1


def test_a_log_of_several_boots() -> None:
    texts = OOPS[:8]
    lines = [f"[  900.{number:06}] {text}" for number, text in enumerate(texts)]
    (splat,) = read(*lines, *(f"[    0.{number:06}] boot" for number in range(9)))
    assert splat.last == len(texts)


def test_records_of_several_lines_as_dmesg_shows_them() -> None:
    lines = [
        "[   41.1] [    T817] WARNING: possible circular locking dependency detected",
        "[   41.2] [    T817] prog/817 is trying to acquire lock:",
        "[   41.3] [    T817] ffff93a2c80ae9f0 (&q->lock){+.+.}-{4:4}, at: widget_store+0xe1/0x260",
        "[   41.4] [    T817] ",
        "                     but task is already holding lock:",
        "[   41.5] [    T817] ffff93a2c80ae460 (&q->io){++++}-{0:0}, at: widget_freeze+0x11/0x20",
    ]
    (splat,) = read(*lines)
    assert (splat.splat_kind, splat.last, splat.task[0]) == ("lockdep", 6, "prog:817")
    assert symbols([splat]) == ["widget_store"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress], ids=["plain", "gz", "xz", "bz2"])
def test_logs_that_are_compressed(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    (tmp_path / "log").write_bytes(pack("\n".join(OOPS).encode()))
    with opened(tmp_path / "log") as stream:
        assert len(list(complaints(stream))) == 1


def test_logs_that_are_compressed_with_zstd(tmp_path: Path) -> None:
    half = len(OOPS) // 2
    packed = [zstandard.compress("".join(f"{line}\n" for line in part).encode()) for part in (OOPS[:half], OOPS[half:])]
    (tmp_path / "log").write_bytes(b"".join(packed))
    with opened(tmp_path / "log") as stream:
        assert len(list(complaints(stream))) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_logs_of_another_encoding(tmp_path: Path, encoding: str) -> None:
    lines = [f"[    1.{number:06}] {text}" for number, text in enumerate(OOPS)]
    (tmp_path / "log").write_text("\n".join(lines), encoding=encoding)
    with opened(tmp_path / "log") as stream:
        (splat,) = complaints(stream)
    assert (splat.first, splat.last) == (1, len(lines))


def test_a_log_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.compress(b"x" * 10_000)[:-20])
    with pytest.raises(UsageError, match="damaged"), opened(tmp_path / "log") as stream:
        list(complaints(stream))


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_can_be_read(noise: bytes) -> None:
    list(complaints(io.BytesIO(noise + b"\n[    1.000000] BUG: x\n" + noise)))


class Endless(io.RawIOBase):
    """A log of so many bytes that repeats itself."""

    def __init__(self, piece: bytes, size: int) -> None:
        self._piece, self._left = piece * (1 + (1 << 16) // len(piece)), size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._piece[: min(self._left, len(self._piece))]
        self._left -= len(data)
        return data


@pytest.mark.parametrize(
    "piece",
    [
        b"\0",
        b"[    1.000000] x\n",
        b"[    1.000000] BUG: x\n",
        b"[    1.000000][  T1] BUG: x\n f+0x1/0x2\n",
        b"Call Trace:\n",
        b"x1: BUG: unable to handle\ny2: BUG: unable to handle\n",
        b"[    1.000000] BUG: x\n" + (b"[    1.000000] " + b"y" * 8000 + b"\n") * 8,
    ],
)
def test_memory_is_bounded(piece: bytes) -> None:
    tracemalloc.start()
    try:
        for _ in complaints(Endless(piece, 1 << 18)):  # type: ignore[arg-type]
            pass
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


LONG = [
    "a",
    "_",
    "[",
    " ",
    "x ",
    "f+0x1/",
    "(",
    "<",
    "CPU: ",
    "WARNING: ",
    "a.",
    "0",
    "._R",
    "alloc_",
    "CPU: 0 PID: 1 Comm: ",
    "1:",
    "<a ",
    "x.c:1 ",
    "x.c:1 (discriminator 1) ",
]


@pytest.mark.parametrize("piece", LONG)
def test_no_line_takes_long(piece: str) -> None:
    line = (piece * 8000)[:8000]
    begin = time.process_time()
    read(
        "[    1.000000] BUG: x",
        "[    1.000000] Call Trace:",
        *(
            f"[    1.000000] {before}{line}"
            for before in ("", " ", "INFO: task ", "RIP: 0010:", " f+0x1/0x2 (", " f (", " <", "WARNING: ", "BUG: ")
        ),
    )
    assert time.process_time() - begin < 2
