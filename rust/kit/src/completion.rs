// SPDX-License-Identifier: GPL-2.0-only

//! Completions: tasks sleep until another task or an interrupt reports that work is done.
//!
//! The kernel's own [`kernel::sync::Completion`], in Linux 7.2 and 7.3, has `complete_all` and an
//! uninterruptible wait. This type adds the release of one waiter, waits that a signal or a
//! time-out ends, and a test without waiting. The kernel's type cannot be its base, because that
//! keeps its `struct completion` private.
//!
//! A completion counts: [`Completion::complete`] adds one, each successful wait takes one. So a
//! completion before the wait is not lost. Waiters are woken in the order in which they came.
//!
//! A completion is initialised once, at its final address, to which its waiters are linked. So the
//! only way to make one is the initializer [`Completion::new`], and a completion cannot be copied
//! or moved. A second initialisation would lose the waiters; the next round uses
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

/// Result of a wait with a time-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the wait may have ended with nothing done"]
pub enum Waited {
    /// The completion was done, and this wait has taken it.
    Done {
        /// Rest of the time in jiffies, at least 1.
        left: Jiffies,
    },
    /// The time was over first.
    TimedOut,
    /// A signal came first.
    Interrupted,
}

impl Waited {
    /// Returns the error `ETIMEDOUT` for a time-out, and `ERESTARTSYS` for a signal.
    ///
    /// With `ERESTARTSYS` the kernel may restart the system call, and the time-out with it. A call
    /// whose total wait must not grow with each signal returns `EINTR` instead.
    pub fn into_result(self) -> Result {
        match self {
            Self::Done { .. } => Ok(()),
            Self::TimedOut => Err(ETIMEDOUT),
            Self::Interrupted => Err(ERESTARTSYS),
        }
    }

    /// Makes the result from the value that `wait_for_completion_*_timeout` has returned.
    fn from_raw(returned: c_long) -> Self {
        match returned {
            0 => Self::TimedOut,
            // CAST: Positive in this arm.
            left @ 1.. => Self::Done {
                left: left as Jiffies,
            },
            // -ERESTARTSYS is the only possible error.
            _ => Self::Interrupted,
        }
    }
}

/// A `struct completion`.
///
/// Waiting and completing take a shared reference, which lives as long as the call. So the memory
/// cannot be freed under a waiter, or under a `complete` that has woken the last waiter and still
/// holds the lock.
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
    /// Makes a completion that is not done.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot: *mut kernel::bindings::completion| {
                // SAFETY: `slot` is valid for writes, and pinned: the list's head may point to
                // itself. No other code has a reference to it yet, so no waiter can be lost.
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
    /// Callable in any context, also in a hard interrupt.
    #[inline]
    pub fn complete(&self) {
        // SAFETY: `new` has initialised it, and `self` keeps it until the lock is free again.
        unsafe { kernel::bindings::complete(self.as_raw()) };
    }

    /// Releases all present and future waiters, until [`Self::reinit`].
    ///
    /// Not callable in a hard interrupt on a kernel with `PREEMPT_RT`: the number of woken tasks is
    /// not bounded.
    #[inline]
    pub fn complete_all(&self) {
        // SAFETY: `new` has initialised it, and `self` keeps it until the lock is free again.
        unsafe { kernel::bindings::complete_all(self.as_raw()) };
    }

    /// Waits until it is completed. No signal ends this wait, so the task cannot be killed
    /// meanwhile. May sleep.
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

    /// Waits until it is completed, but not longer than `timeout`. No signal ends this wait. May
    /// sleep.
    #[inline]
    pub fn wait_timeout(&self, timeout: Jiffies) -> Waited {
        let timeout = clamp(timeout);
        // SAFETY: As for `wait`. The waiter is off the list after a time-out too.
        let left = unsafe { kernel::bindings::wait_for_completion_timeout(self.as_raw(), timeout) };
        // CAST: The C function returns it as a `long`, which is never more than `timeout`.
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

    /// Takes one, as a wait does, if this needs no sleep. Returns true if it has.
    ///
    /// Callable in any context.
    #[inline]
    #[must_use = "if it is true, something was taken"]
    pub fn try_wait(&self) -> bool {
        // SAFETY: `new` has initialised it.
        unsafe { kernel::bindings::try_wait_for_completion(self.as_raw()) }
    }

    /// Returns true if a wait would not sleep now, and takes nothing: another task may take it
    /// first.
    ///
    /// Callable in any context.
    #[inline]
    pub fn is_done(&self) -> bool {
        // SAFETY: `new` has initialised it.
        unsafe { kernel::bindings::completion_done(self.as_raw()) }
    }

    /// Resets the completion to not done.
    ///
    /// C code may call `reinit_completion` while tasks wait. That is a race which keeps memory safe
    /// but loses events, because it stores to `done` without the lock. A task that `complete_all`
    /// has woken, but that has not run since, finds `done` at 0 and sleeps on; a task that is about
    /// to count down from 1 reaches -1, which means `complete_all` for ever. So "callers must make
    /// sure that there are no racy waits". Here `&mut` ensures that no other task waits or
    /// completes.
    ///
    /// A completion that stays shared needs a new one for each round, in an
    /// [`Arc`](kernel::sync::Arc): replace it, then `complete_all` the old one. The last of its
    /// waiters frees it.
    #[inline]
    pub fn reinit(self: Pin<&mut Self>) {
        // SAFETY: `new` has initialised it. Nobody else has a reference, so nobody waits, and
        // `done` may be written without the lock.
        unsafe { bindings::reinit_completion(self.as_raw().cast()) };
    }
}

/// Returns a time-out that the C functions can pass on as `long`: the scheduler complains of
/// negative ones.
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
