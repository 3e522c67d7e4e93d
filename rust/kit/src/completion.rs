// SPDX-License-Identifier: GPL-2.0-only

//! Completions: a task sleeps until others say that something is done.
//!
//! The kernel's own [`kernel::sync::Completion`] has `complete_all` and the wait that nothing ends,
//! in Linux 7.2 and 7.3. This one has the rest: release of one waiter, waits that a signal or a
//! time-out ends, a look without waiting. It cannot be built upon the kernel's, which keeps its
//! `struct completion` to itself.
//!
//! A completion counts: [`Completion::complete`] adds one, each wait that ends well takes one. So
//! nothing is lost when it is completed before anybody waits. Those who wait are woken in the order
//! in which they came.
//!
//! It is initialised once, where it will stay: it has a list of its waiters, which are linked to
//! its address. That is why it can be had by [`Completion::new`] only, an initializer, and cannot
//! be copied or moved. A second initialisation would lose the waiters; for the next round there is
//! [`Completion::reinit`], or a new completion.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)
//!
//! Reference: <https://docs.kernel.org/scheduler/completion.html>

use crate::bindings;
use core::pin::Pin;
use kernel::{
    error::to_result,
    ffi::{
        c_long,
        c_ulong, //
    },
    prelude::*,
    task::MAX_SCHEDULE_TIMEOUT,
    time::Jiffies,
    types::Opaque, //
};

/// How a wait with a time-out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the wait may have ended with nothing done"]
pub enum Waited {
    /// It was completed, and this wait has taken that.
    Done {
        /// What was left of the time, at least 1.
        left: Jiffies,
    },
    /// The time was over first.
    TimedOut,
    /// A signal came first.
    Interrupted,
}

impl Waited {
    /// As errors go: `ETIMEDOUT`, and `ERESTARTSYS` for a signal.
    ///
    /// With `ERESTARTSYS` the system call may begin anew, and the time-out with it. One that must
    /// not wait longer for each signal returns `EINTR` instead.
    pub fn into_result(self) -> Result {
        match self {
            Self::Done { .. } => Ok(()),
            Self::TimedOut => Err(ETIMEDOUT),
            Self::Interrupted => Err(ERESTARTSYS),
        }
    }

    /// What `wait_for_completion_*_timeout` has returned.
    fn from_raw(returned: c_long) -> Self {
        match returned {
            0 => Self::TimedOut,
            // CAST: Positive in this arm.
            left @ 1.. => Self::Done {
                left: left as Jiffies,
            },
            // -ERESTARTSYS is the only error that there is.
            _ => Self::Interrupted,
        }
    }
}

/// A `struct completion`.
///
/// A reference to it is all that it takes to wait and to complete. While any of these calls lasts
/// the reference does, so that memory cannot be freed under a waiter, or under a `complete` that
/// has woken the last one and still holds the lock.
#[pin_data]
pub struct Completion {
    #[pin]
    inner: Opaque<kernel::bindings::completion>,
}

// SAFETY: Nothing in it belongs to a thread, and `&mut` or ownership mean that nobody waits.
unsafe impl Send for Completion {}

// SAFETY: All that `&self` allows takes the completion's own spinlock, or reads `done` with
// `READ_ONCE`, as kernel/sched/completion.c does for callers on any CPU.
unsafe impl Sync for Completion {}

impl Completion {
    /// Makes a completion of which nothing is done.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut kernel::bindings::completion| {
                // SAFETY: `slot` is valid for writes, and pinned: the list's head may point to
                // itself. Nobody knows it yet, so there are no waiters to be lost.
                unsafe { kernel::bindings::init_completion(slot) };
            }),
        })
    }

    #[inline]
    fn as_raw(&self) -> *mut kernel::bindings::completion {
        self.inner.get()
    }

    /// Releases one waiter: the one that has waited longest, or the next to come.
    ///
    /// From any context, also from a hard interrupt.
    #[inline]
    pub fn complete(&self) {
        // SAFETY: `new` has initialised it, and `self` keeps it until the lock is free again.
        unsafe { kernel::bindings::complete(self.as_raw()) };
    }

    /// Releases all waiters, and all that will come, until [`Self::reinit`].
    ///
    /// Not from a hard interrupt on a kernel with `PREEMPT_RT`: it wakes any number of tasks.
    #[inline]
    pub fn complete_all(&self) {
        // SAFETY: `new` has initialised it, and `self` keeps it until the lock is free again.
        unsafe { kernel::bindings::complete_all(self.as_raw()) };
    }

    /// Waits. Nothing else ends it, so the task cannot be killed meanwhile. May sleep.
    #[inline]
    pub fn wait(&self) {
        // SAFETY: `new` has initialised it, and `self` keeps it until the waiter is off the list.
        unsafe { kernel::bindings::wait_for_completion(self.as_raw()) };
    }

    /// Waits until it is completed or a signal comes: `ERESTARTSYS`. May sleep.
    #[inline]
    pub fn wait_interruptible(&self) -> Result {
        // SAFETY: As for `wait`. The waiter is off the list after a signal too.
        to_result(unsafe { kernel::bindings::wait_for_completion_interruptible(self.as_raw()) })
    }

    /// Waits until it is completed or the task is killed: `ERESTARTSYS`. May sleep.
    #[inline]
    pub fn wait_killable(&self) -> Result {
        // SAFETY: As for `wait_interruptible`.
        to_result(unsafe { kernel::bindings::wait_for_completion_killable(self.as_raw()) })
    }

    /// Waits, but not longer than `timeout`; no signal ends it. May sleep.
    #[inline]
    pub fn wait_timeout(&self, timeout: Jiffies) -> Waited {
        let timeout = clamp(timeout);
        // SAFETY: As for `wait`. The waiter is off the list after a time-out too.
        let left = unsafe { kernel::bindings::wait_for_completion_timeout(self.as_raw(), timeout) };
        // CAST: The C function has it as `long`, and it is never more than `timeout`.
        Waited::from_raw(left as c_long)
    }

    /// Waits until it is completed, a signal comes, or `timeout` is over. May sleep.
    #[inline]
    pub fn wait_interruptible_timeout(&self, timeout: Jiffies) -> Waited {
        let timeout = clamp(timeout);
        // SAFETY: As for `wait`. The waiter is off the list in each case.
        Waited::from_raw(unsafe {
            kernel::bindings::wait_for_completion_interruptible_timeout(self.as_raw(), timeout)
        })
    }

    /// Takes what a wait would take, if it need not sleep for it.
    ///
    /// From any context.
    #[inline]
    #[must_use = "if it is true, something was taken"]
    pub fn try_wait(&self) -> bool {
        // SAFETY: `new` has initialised it.
        unsafe { kernel::bindings::try_wait_for_completion(self.as_raw()) }
    }

    /// Whether a wait would not have to sleep now. Takes nothing: the next to come may.
    ///
    /// From any context.
    #[inline]
    pub fn is_done(&self) -> bool {
        // SAFETY: `new` has initialised it.
        unsafe { kernel::bindings::completion_done(self.as_raw()) }
    }

    /// Nothing is done again, as at first.
    ///
    /// In C this may be called while others wait, and is then a race that the memory survives and
    /// the logic does not: it stores to `done` without the lock. A task that `complete_all` has
    /// woken, but that has not run since, finds nothing done and sleeps on; one that is just about
    /// to count down from 1 gets to -1, which reads as `complete_all` for ever. So "callers must
    /// make sure that there are no racy waits". Here that is `&mut`: whoever has it knows that
    /// nobody else waits or completes.
    ///
    /// Where a completion is shared for good, let each round have its own, in an
    /// [`Arc`](kernel::sync::Arc): replace it, then `complete_all` the old one. The last of its
    /// waiters frees it.
    #[inline]
    pub fn reinit(self: Pin<&mut Self>) {
        // SAFETY: `new` has initialised it. Nobody else has a reference, so nobody waits, and
        // `done` may be written without the lock.
        unsafe { bindings::reinit_completion(self.as_raw().cast()) };
    }
}

/// The C functions hand a time-out on as `long`, and the scheduler complains of negative ones.
#[inline]
fn clamp(timeout: Jiffies) -> c_ulong {
    // CAST: The constant is the greatest `long`.
    timeout.min(MAX_SCHEDULE_TIMEOUT as c_ulong)
}

#[cfg(r4l_kunit)]
#[kunit_tests(kit_completion)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wait_has_returned() {
        assert_eq!(Waited::from_raw(0), Waited::TimedOut);
        assert_eq!(Waited::from_raw(1), Waited::Done { left: 1 });
        assert_eq!(Waited::from_raw(-512), Waited::Interrupted);
    }

    #[test]
    fn as_errors_go() {
        assert_eq!(Waited::Done { left: 9 }.into_result(), Ok(()));
        assert_eq!(Waited::TimedOut.into_result(), Err(ETIMEDOUT));
        assert_eq!(Waited::Interrupted.into_result(), Err(ERESTARTSYS));
    }
}
