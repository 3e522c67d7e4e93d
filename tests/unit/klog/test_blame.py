# SPDX-License-Identifier: MIT
"""Blame among the functions of a trace; the tables' expressions are narrow and fast."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest

from r4l.klog import StackFrame, blame
from r4l.klog import kinds as kinds_module
from r4l.klog.blame import culprit, is_messenger, plain_symbol

KLOG = Path(blame.__file__).parent
KINDS = {entry["name"] for entry in tomllib.loads((KLOG / "kinds.toml").read_text(encoding="utf-8"))["kind"]}
GROUPS = tomllib.loads((KLOG / "messengers.toml").read_text(encoding="utf-8"))["group"]


def stack(*names: str, module: str | None = None) -> list[StackFrame]:
    return [StackFrame(name, 8, 64, module, True, name) for name in names]


def blamed(kind: str, *names: str, **how: bool) -> str | None:
    found = culprit(stack(*names), kind, **how)
    return found.symbol if found else None


@pytest.mark.parametrize(
    ("kind", "names", "symbol"),
    [
        ("kasan", ["dump_stack_lvl", "print_report", "memcpy", "w_copy", "vfs_write"], "w_copy"),
        ("warning", ["dump_stack", "panic", "__warn", "report_bug", "refcount_warn_saturate", "kobject_put", "w"], "w"),
        ("lockdep", ["print_circular_bug", "__lock_acquire", "lock_acquire", "__mutex_lock", "w_store"], "w_store"),
        ("atomic-sleep", ["__might_resched", "mutex_lock", "widget_irq"], "widget_irq"),
        ("hung-task", ["__schedule", "schedule", "rwsem_down_write_slowpath", "down_write", "w_close"], "w_close"),
        ("hung-task", ["__schedule", "schedule", "__mutex_lock", "rtnl_lock", "widget_ioctl"], "rtnl_lock"),
        ("bug", ["rust_helper_BUG", "core::panicking::panic_fmt", "<widget::Ring>::push"], "<widget::Ring>::push"),
        ("oops", ["asm_exc_page_fault", "exc_page_fault"], None),
        ("atomic-sleep", ["__schedule_bug", "__schedule", "exit_to_user_mode_loop"], "exit_to_user_mode_loop"),
        ("kmemleak", ["kmem_cache_alloc", "xas_nomem", "widget_probe"], "widget_probe"),
        ("oops", ["xas_start", "xas_load", "widget_lookup"], "widget_lookup"),
        ("a-kind-of-tomorrow", ["mod_timer", "widget_open"], "widget_open"),
        ("refcount", ["mod_timer", "widget_open"], "widget_open"),
        ("tx-timeout", ["mod_timer", "widget_open"], "mod_timer"),
        ("kmemleak", ["kmemleak_alloc", "kmem_cache_alloc", "sk_prot_alloc", "sk_alloc", "w_create"], "w_create"),
        ("oops", ["sk_prot_alloc", "sk_alloc", "w_create"], "sk_prot_alloc"),
        ("warning", ["debug_print_object", "__debug_object_init", "hrtimer_init", "w_setup"], "w_setup"),
        ("atomic-sleep", ["__might_resched", "synchronize_rcu", "w_remove"], "w_remove"),
        ("hung-task", ["__schedule", "schedule", "synchronize_rcu", "w_remove"], "synchronize_rcu"),
        ("lockdep", ["lock_acquire", "cpus_read_lock", "static_key_slow_inc", "w_on"], "w_on"),
        ("lockdep", ["lock_acquire", "touch_wq_lockdep_map", "__flush_workqueue", "destroy_workqueue", "w"], "w"),
        ("lockdep", ["lock_acquire", "kernfs_drain", "__kernfs_remove", "device_remove_file", "w_exit"], "w_exit"),
        ("oops", ["__pi_memcpy", "srso_alias_safe_ret", "w_copy"], "w_copy"),
        ("kasan", ["kasan_report", "copy_folio_from_iter_atomic", "generic_perform_write"], "generic_perform_write"),
        ("kasan", ["kasan_report", "mas_walk", "mas_find", "widget_unmap"], "widget_unmap"),
        ("kasan", ["kasan_report", "kasan_record_aux_stack", "insert_work", "__queue_work", "w_report"], "w_report"),
        ("kasan", ["kasan_report", "aead_recvmsg", "sock_recvmsg"], "aead_recvmsg"),
        ("kasan", ["kasan_report", "aead_setkey", "w_setkey"], "w_setkey"),
        ("warning", ["__warn", "drop_nlink", "widgetfs_rmdir", "vfs_rmdir"], "widgetfs_rmdir"),
        ("warning", ["__warn", "mark_buffer_dirty", "widgetfs_get_block"], "widgetfs_get_block"),
        ("warning", ["__warn", "devres_release_all", "device_release", "kobject_put", "w_remove"], "w_remove"),
        ("bug", ["__widgetfs_panic", "widgetfs_end"], "widgetfs_end"),
        ("bug", ["spin_bug", "do_raw_spin_lock", "__task_rq_lock", "wake_up_new_task"], "wake_up_new_task"),
        ("lockdep", ["lock_acquire", "down_trylock", "__down_trylock_console_sem", "vprintk_emit", "w_tick"], "w_tick"),
        ("hung-task", ["schedule", "down_read", "do_exit", "do_group_exit", "get_signal", "do_signal"], "do_exit"),
        ("hung-task", ["schedule", "io_schedule", "fdatawait_one_bdev", "iterate_bdevs"], "iterate_bdevs"),
        ("atomic-sleep", ["__panic", "__schedule_bug", "__schedule", "widget_irq"], "widget_irq"),
        ("kasan", ["kasan_report", "string", "vsnprintf", "seq_vprintf", "seq_printf", "w_show"], "w_show"),
        ("kmsan", ["__msan_warning", "nla_strcmp", "w_newlink"], "w_newlink"),
        ("lockdep", ["lock_acquire", "mutex_lock_nested", "perf_trace_destroy", "w_close"], "perf_trace_destroy"),
        ("lockdep", ["lock_acquire", "perf_trace_sched_switch", "w_close"], "w_close"),
        ("gpf", ["osq_lock", "__mutex_lock_common", "widgetfs_write_lock", "widgetfs_readdir"], "widgetfs_readdir"),
        ("hung-task", ["schedule", "mutex_lock", "widgetfs_write_lock", "widgetfs_readdir"], "widgetfs_readdir"),
        ("kmsan", ["kmsan_internal_check_memory", "__copy_msghdr_from_user", "w_recvmsg"], "w_recvmsg"),
        ("kasan", ["kasan_report", "lockref_get_not_dead", "w_lookup"], "w_lookup"),
        ("lockdep", ["lock_acquire", "console_trylock_spinning", "vprintk_emit", "__dynamic_dev_dbg", "w"], "w"),
        ("oops", ["finish_task_switch", "__schedule", "schedule", "widget_read"], "widget_read"),
        ("kmemleak", ["pcpu_alloc_noprof", "__alloc_percpu_gfp", "w_init"], "w_init"),
        ("lockdep", ["lock_acquire", "_raw_spin_lock", "w_ipi", "do_handle_IPI", "ipi_handler", "w_read"], "w_ipi"),
        ("warning", ["__warn", "do_handle_IPI", "ipi_handler", "handle_riscv_irq"], None),
        ("warning", ["__warn", "drm_dev_printk", "ftrace_graph_caller", "return_to_handler", "w_open"], "w_open"),
    ],
)  # fmt: skip
def test_messengers_are_passed_over(kind: str, names: list[str], symbol: str | None) -> None:
    assert blamed(kind, *names) == symbol


def test_a_task_that_does_not_get_on_is_blamed_by_what_it_was_asked_to_do() -> None:
    inner = ["hrtimer_interrupt", "asm_sysvec_apic_timer_interrupt", "_raw_spin_lock", "anywhere", "widget_read"]
    assert blamed("rcu-stall", *inner, "vfs_read", "ksys_read", "do_syscall_64", outer=True) == "widget_read"
    timer = ["_sched_show_task", "__run_hrtimer", "hrtimer_interrupt", "do_interrupt_handler", "widget_ioctl"]
    assert blamed("rcu-stall", *timer, "widget_compat_ioctl", "compat_SyS_ioctl", outer=True) == "widget_ioctl"
    assert blamed("rcu-stall", *timer, "compat_blkdev_ioctl", "compat_SyS_ioctl", outer=True) == "widget_ioctl"
    mount = ["anywhere", "widgetfs_fill_super", "get_tree_bdev", "vfs_get_tree", "do_new_mount", "__x64_sys_mount"]
    assert blamed("soft-lockup", *mount, outer=True) == "widgetfs_fill_super"
    put = ["anywhere", "widgetfs_put_super", "generic_shutdown_super", "deactivate_super", "cleanup_mnt"]
    assert blamed("rcu-stall", *put, "task_work_run", outer=True) == "widgetfs_put_super"
    fault = ["do_page_mkwrite", "__handle_mm_fault", "exc_page_fault", "copyout", "widgetfs_read_iter", "vfs_read"]
    assert blamed("rcu-stall", *fault, "ksys_read", outer=True) == "widgetfs_read_iter"
    packet = ["anywhere", "widget_rcv", "__netif_receive_skb_core", "net_rx_action", "handle_softirqs"]
    assert blamed("soft-lockup", *packet, "widget_xmit", "sock_sendmsg", outer=True) == "widget_rcv"


def test_a_task_that_went_too_deep_is_blamed_by_what_it_was_asked_to_do_at_first() -> None:
    names = [
        "mark_lock",
        "lock_acquire",
        "again",
        "notifier_call_chain",
        "again",
        "notifier_call_chain",
        "widget_newlink",
    ]
    assert blamed("oops", *names, "netlink_sendmsg", "do_syscall_64", deep=True) == "widget_newlink"


def test_a_module_comes_before_the_kernel() -> None:
    frames = [*stack("some_core_function"), *stack("widget_poll", module="widget"), *stack("net_rx_action")]
    found = culprit(frames, "oops")
    assert found is not None
    assert found.symbol == "widget_poll"


def test_a_modules_own_function_is_not_acquitted_by_a_name_of_many() -> None:
    for kind, name in (("kmemleak", "widget_alloc_ring"), ("hung-task", "widget_wait_done")):
        frames = [*stack("__schedule", "kmemleak_alloc"), *stack(name, "widget_open", module="widget")]
        found = culprit(frames, kind)
        assert found is not None
        assert found.symbol == name


@pytest.mark.parametrize(
    "name",
    [
        "poisoned_widget",
        "usb_killer",
        "sg_read",
        "btree_readpage",
        "update_curr",
        "bitmap_ip_add",
        "array_map_update_elem",
        "free_netdev",
    ],
)
def test_names_that_begin_like_a_helpers_are_not_acquitted(name: str) -> None:
    assert not any(is_messenger(name, kind) for kind in KINDS)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("f.isra.0", "f"),
        ("f.cold", "f"),
        ("__pfx_f", "f"),
        ("f.part.0.constprop.1", "f"),
        ("<a::B as c::D>::e", "<a::B as c::D>::e"),
        ("__x64_sys_ioctl", "sys_ioctl"),
        ("__ia32_compat_sys_ioctl", "compat_sys_ioctl"),
        ("__arm64_sys_rt_sigreturn", "sys_rt_sigreturn"),
        ("__se_sys_mount", "sys_mount"),
        ("__do_sys_mount", "sys_mount"),
        ("SyS_mount", "sys_mount"),
        ("C_SYSC_ioctl", "compat_sys_ioctl"),
        ("__x64_system_thing", "__x64_system_thing"),
    ],
)
def test_names_as_in_the_source(name: str, short: str) -> None:
    assert plain_symbol(name) == short


def test_groups_name_kinds_that_there_are() -> None:
    assert {kind for group in GROUPS for key in ("kinds", "except") for kind in group.get(key, [])} <= KINDS


@pytest.mark.parametrize(
    "piece", ["_", "a", "__", "a_", "raw_", "do_", "alloc_", "_lock", "free", "0", ".", "copy_", "k", "sys_"]
)
def test_no_name_takes_long(piece: str) -> None:
    begin = time.process_time()
    for kind in ("hung-task", "kasan", "rcu-stall"):
        blamed(kind, (piece * 400)[:400], outer=True)
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize("piece", [" ", "a", "/a", "0", "a:", "[", "task ", "CPU: 0 PID: 1 ", "(", "=", "a.c:1 "])
@pytest.mark.parametrize(
    "before", ["", "WARNING: ", "BUG: ", "INFO: ", "INFO: task ", "BUG a (", "DMA-API: ", "rcu: INFO: "]
)
def test_no_headline_takes_long(before: str, piece: str) -> None:
    text = before + (piece * 8000)[:8000]
    begin = time.process_time()
    kinds_module.classify(text)
    kinds_module.death(text)
    for pattern in (*kinds_module.TASKS, kinds_module.BELONGS, kinds_module.EVIDENCE, kinds_module.SECTION_END):
        pattern.match(text)
    assert time.process_time() - begin < 0.5
