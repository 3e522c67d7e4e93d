// SPDX-License-Identifier: GPL-2.0-only

//! Breaks a rule of the kernel's on purpose, to show the kernel's report, and to test tools that
//! read it: `insmod crashers.ko kind=oops`.
//!
//! Each kind has a function: its documentation names the broken rule, and the statement that breaks
//! the rule stands below `marker: KIND`. Each `unsafe` names the requirement that is not met. Do
//! not load this module into a machine that you need.

use kernel::{
    prelude::*,
    str::CStr, //
};

mod c;
mod dma;
mod locks;
mod memory;
mod napi;
mod traps;

module! {
    type: Crashers,
    name: "crashers",
    authors: ["The r4l authors"],
    description: "Breaks rules of the kernel's on purpose",
    license: "GPL",
}

/// A name of a kind, and its function.
type Kind = (&'static str, fn() -> Result);

/// The values of the parameter `kind`.
const KINDS: &[Kind] = &[
    ("oops", traps::null_dereference),
    ("panic", traps::index_out_of_bounds),
    ("warn", traps::warn),
    ("ubsan", traps::c_shift_out_of_bounds),
    ("use-after-free", memory::use_after_free),
    ("out-of-bounds", memory::out_of_bounds),
    ("leak", memory::leak),
    ("list", memory::list_added_twice),
    ("refcount", memory::refcount_from_zero),
    ("lock-order", locks::lock_order),
    ("sleep", locks::sleep_under_spinlock),
    ("schedule", locks::schedule_under_spinlock),
    ("hung-task", locks::wait_for_ever),
    ("rcu-stall", locks::rcu_stall),
    ("dma-unmap-twice", dma::unmap_twice),
    ("dma-free-irqs-off", dma::free_with_interrupts_off),
    ("ring-under-lock", dma::ring_freed_under_lock),
    ("napi-twice", napi::enable_twice),
];

struct Crashers;

impl kernel::Module for Crashers {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The parameter is text with an end, and read-only in sysfs, so no code writes to
        // it.
        let wanted = unsafe { CStr::from_char_ptr(c::crashers_kind()) }.to_bytes();
        if wanted.is_empty() {
            pr_info!("no kind named, nothing broken\n");
            return Ok(Crashers);
        }
        for (name, crash) in KINDS {
            if name.as_bytes() == wanted {
                pr_info!("about to do: {name}\n");
                crash()?;
                pr_info!("done: {name}\n");
                return Ok(Crashers);
            }
        }
        for (name, _) in KINDS {
            pr_err!("no such kind; there is {name}\n");
        }
        Err(EINVAL)
    }
}
