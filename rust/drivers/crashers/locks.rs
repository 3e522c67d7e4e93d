// SPDX-License-Identifier: GPL-2.0-only

//! Locks in the wrong order or the wrong place, and waits without an end. All functions are safe
//! code: Rust does not check these rules.

use kernel::{
    new_mutex,
    new_spinlock,
    prelude::*,
    sync::{
        rcu,
        Completion,
        Mutex,
        SpinLock, //
    },
    time::{
        delay::{
            fsleep,
            udelay, //
        },
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// Longer than the kernel's shortest time-out (3 s, and 5 s more with PROVE_RCU), and shorter than
/// the time until the kernel's second report (9 s later).
const STALL: Delta = Delta::from_secs(10);

/// lockdep, possible circular locking: B is taken under A, then A under B.
#[inline(never)]
pub(crate) fn lock_order() -> Result {
    let a: Pin<KBox<Mutex<u32>>> = KBox::pin_init(new_mutex!(0u32, "crashers_a"), GFP_KERNEL)?;
    let b: Pin<KBox<Mutex<u32>>> = KBox::pin_init(new_mutex!(0u32, "crashers_b"), GFP_KERNEL)?;
    {
        let mut first = a.lock();
        *first += *b.lock();
    }
    let mut first = b.lock();
    // marker: lock-order
    *first += *a.lock();
    Ok(())
}

/// Sleeping in atomic context: an allocation that may sleep, under a spinlock.
#[inline(never)]
pub(crate) fn sleep_under_spinlock() -> Result {
    let lock: Pin<KBox<SpinLock<u32>>> = KBox::pin_init(new_spinlock!(0u32), GFP_KERNEL)?;
    let mut guard = lock.lock();
    // marker: sleep
    let buffer = KBox::new([1u8; 64], GFP_KERNEL)?;
    *guard += u32::from(buffer[0]);
    Ok(())
}

/// The same mistake, with a real sleep, which kernels without that check report too late.
#[inline(never)]
pub(crate) fn schedule_under_spinlock() -> Result {
    let lock: Pin<KBox<SpinLock<u32>>> = KBox::pin_init(new_spinlock!(0u32), GFP_KERNEL)?;
    let mut guard = lock.lock();
    // marker: schedule
    fsleep(Delta::from_millis(20));
    *guard += 1;
    Ok(())
}

/// A hung task: waits uninterruptibly for a completion that never comes.
#[inline(never)]
pub(crate) fn wait_for_ever() -> Result {
    let never: Pin<KBox<Completion>> = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
    // marker: hung-task
    never.wait_for_completion();
    pr_info!("completed\n");
    Ok(())
}

/// An RCU stall: a read-side section that goes on for ten seconds, with preemption off.
#[inline(never)]
pub(crate) fn rcu_stall() -> Result {
    let lock: Pin<KBox<SpinLock<u32>>> = KBox::pin_init(new_spinlock!(0u32), GFP_KERNEL)?;
    let mut guard = lock.lock();
    let _reading = rcu::read_lock();
    // SAFETY: The function has no requirements. Without it there may be no grace period to hold up.
    unsafe { kernel::bindings::start_poll_synchronize_rcu() };
    let begun = Instant::<Monotonic>::now();
    while begun.elapsed() < STALL {
        // marker: rcu-stall
        udelay(Delta::from_millis(1));
        *guard += 1;
    }
    Ok(())
}
