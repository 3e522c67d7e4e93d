// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for a condition on data under a lock, until a signal comes or the time is over.
//!
//! The queue is the kernel crate's: a [`CondVar`], or a [`PollCondVar`](kernel::sync::poll::PollCondVar)
//! where poll(2) waits on it too. These wake up without a cause now and then, and return with a
//! signal pending although what was waited for has come; the functions here are the loop about
//! them, `wait_event_interruptible` as Rust. Who changes the data calls `notify_all`:
//! `notify_one` may wake up the very process that a signal takes away at that moment, and then
//! nobody is left to see the change.
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

/// Waits until the condition is met. The lock is given up while it sleeps, and held when it looks
/// and when it returns.
///
/// Fails with `ERESTARTSYS` when a signal comes first: the caller returns that, and the system
/// call is begun anew, or fails with `EINTR`, as the handler of the signal was installed.
pub fn interruptible<T: ?Sized, B: Backend>(
    queue: &CondVar,
    guard: &mut Guard<'_, T, B>,
    until: impl Fn(&T) -> bool,
) -> Result {
    let mut signal = false;
    // What has come is not given up for a signal that has come too.
    while !until(guard) {
        if signal {
            return Err(ERESTARTSYS);
        }
        signal = queue.wait_interruptible(guard);
    }
    Ok(())
}

/// The same, for so many milliseconds at most. Then it fails with `ETIMEDOUT`.
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
