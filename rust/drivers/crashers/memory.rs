// SPDX-License-Identifier: GPL-2.0-only

//! Memory that is used after its end, beyond its bounds, or never freed.

use core::{
    hint::black_box,
    mem::forget, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::Refcount,
    types::Opaque, //
};

/// KASAN, slab-use-after-free: reads freed memory.
#[inline(never)]
pub(crate) fn use_after_free() -> Result {
    let buffer = KBox::into_raw(KBox::new([1u8; 64], GFP_KERNEL)?);
    // SAFETY: It comes from `into_raw`, once.
    drop(unsafe { KBox::from_raw(buffer) });
    // marker: use-after-free
    // SAFETY: Broken on purpose: `buffer` has been freed.
    let first = unsafe { buffer.cast::<u8>().read_volatile() };
    pr_info!("first byte {first}\n");
    Ok(())
}

/// KASAN, slab-out-of-bounds: reads the byte behind the last.
#[inline(never)]
pub(crate) fn out_of_bounds() -> Result {
    let buffer = KBox::new([1u8; 64], GFP_KERNEL)?;
    let behind = buffer.as_ptr().wrapping_add(black_box(buffer.len()));
    // marker: out-of-bounds
    // SAFETY: Broken on purpose: `behind` is not in the allocation.
    let byte = unsafe { behind.read_volatile() };
    pr_info!("the byte behind is {byte}\n");
    Ok(())
}

/// kmemleak: memory that is never freed and has no pointer to it. Safe code may leak.
///
/// Leaks many times: the allocator's own lists keep old addresses, which kmemleak takes for
/// pointers.
#[inline(never)]
pub(crate) fn leak() -> Result {
    for _ in 0..256 {
        // marker: leak
        forget(KBox::new([1u8; 300], GFP_KERNEL)?);
    }
    Ok(())
}

/// List corruption: adds an entry to the list that already contains it.
#[inline(never)]
pub(crate) fn list_added_twice() -> Result {
    let head = Opaque::<bindings::list_head>::uninit();
    let entry = Opaque::<bindings::list_head>::uninit();
    // SAFETY: `head` is ours, and stays where it is until the end of this function.
    unsafe { bindings::INIT_LIST_HEAD(head.get()) };
    // SAFETY: As above; the list is valid and `entry` not in it.
    unsafe { bindings::list_add_tail(entry.get(), head.get()) };
    // marker: list
    // SAFETY: Broken on purpose: `entry` is in the list.
    unsafe { bindings::list_add_tail(entry.get(), head.get()) };
    Ok(())
}

/// refcount misuse: increments a count of zero, which means that the object is gone.
#[inline(never)]
pub(crate) fn refcount_from_zero() -> Result {
    let count = Refcount::new(0);
    // marker: refcount
    count.inc();
    pr_info!(
        "count {}\n",
        count.as_atomic().load(kernel::sync::atomic::Relaxed)
    );
    Ok(())
}
