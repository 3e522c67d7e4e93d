// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for a condition on data under a lock, until a signal comes or the time is over.
//!
//! The queue is the kernel crate's: a [`CondVar`], or a
//! [`PollCondVar`](kernel::sync::poll::PollCondVar) where poll(2) waits on it too. Both may wake up
//! without a cause, and may return for a pending signal although the condition is met; the
//! functions here add the loop that checks, like `wait_event_interruptible` in C. Code that changes
//! the data calls `notify_all`: `notify_one` may wake a process that a signal takes away at that
//! moment, and no other process sees the change.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use kernel::{
    prelude::*,
    sync::{
        lock::{
            Backend,
            Guard, //
        },
        CondVar,
        CondVarTimeoutResult, //
    },
    time::{
        msecs_to_jiffies,
        Msecs, //
    }, //
};

/// Waits until the condition is met. The lock is released during sleep, and held while the
/// condition is checked and on return.
///
/// Fails with `ERESTARTSYS` when a signal comes first: the caller returns that error, and the
/// kernel restarts the system call or lets it fail with `EINTR`, as the signal's handler was
/// installed.
pub fn interruptible<T: ?Sized, B: Backend>(
    queue: &CondVar,
    guard: &mut Guard<'_, T, B>,
    until: impl Fn(&T) -> bool,
) -> Result {
    let mut signal = false;
    // A condition that is met counts more than a signal that came meanwhile.
    while !until(guard) {
        if signal {
            return Err(ERESTARTSYS);
        }
        signal = queue.wait_interruptible(guard);
    }
    Ok(())
}

/// Waits like the function above, for that many milliseconds at most, and then fails with
/// `ETIMEDOUT`.
pub fn interruptible_timeout<T: ?Sized, B: Backend>(
    queue: &CondVar,
    guard: &mut Guard<'_, T, B>,
    time: Msecs,
    until: impl Fn(&T) -> bool,
) -> Result {
    let mut left = Ok(msecs_to_jiffies(time));
    while !until(guard) {
        left = match queue.wait_interruptible_timeout(guard, left?) {
            CondVarTimeoutResult::Woken { jiffies } => Ok(jiffies),
            CondVarTimeoutResult::Timeout => Err(ETIMEDOUT),
            CondVarTimeoutResult::Signal { .. } => Err(ERESTARTSYS),
        };
    }
    Ok(())
}
