// SPDX-License-Identifier: GPL-2.0-only

//! A spinlock for data that soft interrupts (bottom halves) use too, as all callbacks of the
//! network stack are.
//!
//! With the kernel's own [`SpinLock`](kernel::sync::SpinLock), a soft interrupt that comes to the
//! CPU on which a process holds the lock waits for it for ever.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::bindings;
use kernel::{
    bindings::{lock_class_key, spinlock_t},
    ffi::c_char,
    sync::lock::{Backend, Lock},
};

/// A spinlock that keeps soft interrupts off its CPU while it is held. Not for hard interrupts.
///
/// Made with [`new_spinlock_bh!`](crate::new_spinlock_bh).
pub type SpinLockBh<T> = Lock<T, SpinLockBhBackend>;

/// Makes a [`SpinLockBh`] with a lock class of its own: `new_spinlock_bh!(data)`.
#[macro_export]
macro_rules! new_spinlock_bh {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::lock::SpinLockBh::new(
            $inner,
            ::kernel::optional_name!($($name)?),
            ::kernel::static_lock_class!(),
        )
    };
}

/// What makes a [`SpinLockBh`] of a `spinlock_t`.
pub struct SpinLockBhBackend;

// SAFETY: The underlying `spinlock_t` ensures mutual exclusion. `relock` is the default, which
// takes the lock in the one way that there is.
unsafe impl Backend for SpinLockBhBackend {
    type State = spinlock_t;
    type GuardState = ();

    #[inline]
    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut lock_class_key) {
        // SAFETY: `ptr` is valid for writes, and `name` and `key` for reads for ever, as required
        // of the caller.
        unsafe { kernel::bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: `ptr` was initialised, as required of the caller.
        unsafe { bindings::spin_lock_bh(ptr.cast()) }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _guard_state: &Self::GuardState) {
        // SAFETY: The caller owns the lock, as required. A guard stays on the thread that made it,
        // so this enables what `lock` disabled on this CPU.
        unsafe { bindings::spin_unlock_bh(ptr.cast()) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        // SAFETY: `ptr` was initialised, as required of the caller.
        (unsafe { bindings::spin_trylock_bh(ptr.cast()) } != 0).then_some(())
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: `ptr` was initialised, as required of the caller.
        unsafe { kernel::bindings::spin_assert_is_held(ptr) }
    }
}
