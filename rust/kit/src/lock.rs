// SPDX-License-Identifier: GPL-2.0-only

//! Spinlocks for data that interrupts use too.
//!
//! With the kernel's own [`SpinLock`](kernel::sync::SpinLock), an interrupt on the CPU on which a
//! process holds the lock waits for it for ever. The right lock depends on the other code that
//! takes it:
//!
//! | data is shared by a process and | lock | disabled on its CPU while a process holds it |
//! |---|---|---|
//! | other processes | [`Mutex`](kernel::sync::Mutex), [`SpinLock`](kernel::sync::SpinLock) | nothing |
//! | soft interrupts: timers, a [`capture`](crate::capture) hook | [`SpinLockBh`] | soft interrupts |
//! | interrupt handlers | [`SpinLockIrq`] | all interrupts |
//! | `start_xmit` or `poll` of a network device | [`SpinLockIrq`] | all interrupts |
//!
//! `start_xmit` and `poll` run with soft interrupts off, but netpoll (netconsole) calls both with
//! all interrupts off, from any context that prints. Do not take a [`SpinLockBh`] there: its unlock
//! enables soft interrupts.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::bindings;
use kernel::{
    bindings::{
        lock_class_key,
        spinlock_t, //
    },
    ffi::{
        c_char,
        c_ulong, //
    },
    prelude::*,
    sync::{
        lock::{
            Backend,
            Lock, //
        },
        LockClassKey, //
    }, //
};

/// A spinlock that disables all interrupts on its CPU while it is held, and then restores their
/// state. Usable in any context but that of a non-maskable interrupt.
///
/// The data is lent to a closure, not to a guard: locks are released in the reverse of the order in
/// which they were taken, so that the last release restores the state before the first lock.
///
/// Made with [`new_spinlock_irq!`](crate::new_spinlock_irq).
#[pin_data]
pub struct SpinLockIrq<T> {
    #[pin]
    lock: Lock<T, SpinLockIrqBackend>,
}

impl<T> SpinLockIrq<T> {
    /// Makes the lock. Use [`new_spinlock_irq!`](crate::new_spinlock_irq).
    #[doc(hidden)]
    pub fn new(
        data: impl PinInit<T>,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- Lock::new(data, name, key),
        })
    }

    /// Calls `f` with the lock held and interrupts off. `f` must not sleep.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R
    where
        T: Unpin,
    {
        f(&mut self.lock.lock())
    }
}

/// Makes a [`SpinLockIrq`] with a lock class of its own: `new_spinlock_irq!(data)`.
#[macro_export]
macro_rules! new_spinlock_irq {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::lock::SpinLockIrq::new(
            $inner,
            ::kernel::optional_name!($($name)?),
            ::kernel::static_lock_class!(),
        )
    };
}

/// The backend that makes a [`SpinLockIrq`] of a `spinlock_t`.
#[doc(hidden)]
pub struct SpinLockIrqBackend;

// SAFETY: The underlying `spinlock_t` ensures mutual exclusion. `relock` is the default, which
// takes the lock in the only way.
unsafe impl Backend for SpinLockIrqBackend {
    type State = spinlock_t;
    /// The architecture's flags, which hold whether interrupts were on.
    type GuardState = c_ulong;

    #[inline]
    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut lock_class_key) {
        // SAFETY: `ptr` is valid for writes, and `name` and `key` for reads for ever, as required
        // of the caller.
        unsafe { kernel::bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: `ptr` was initialised, as required of the caller.
        unsafe { bindings::spin_lock_irqsave(ptr.cast()) }
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, guard_state: &Self::GuardState) {
        // SAFETY: The caller owns the lock, as required. A guard stays on the thread that made it,
        // and interrupts are off, so this is the CPU on which `lock` has read the state.
        unsafe { bindings::spin_unlock_irqrestore(ptr.cast(), *guard_state) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        let mut flags = 0;
        // SAFETY: `ptr` was initialised, as required of the caller.
        let locked = unsafe { bindings::spin_trylock_irqsave(ptr.cast(), &mut flags) };
        locked.then_some(flags)
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: `ptr` was initialised, as required of the caller.
        unsafe { kernel::bindings::spin_assert_is_held(ptr) }
    }
}

/// A spinlock that disables soft interrupts on its CPU while it is held. Not for code that runs
/// with interrupts off: see the table [above](self).
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

/// The backend that makes a [`SpinLockBh`] of a `spinlock_t`.
pub struct SpinLockBhBackend;

// SAFETY: The underlying `spinlock_t` ensures mutual exclusion. `relock` is the default, which
// takes the lock in the only way.
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
