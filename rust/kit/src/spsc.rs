// SPDX-License-Identifier: GPL-2.0-only

//! A ring with one producer and one consumer, without a lock.
//!
//! A transmit ring has this shape: `start_xmit` puts frames in, the poll function takes finished
//! ones out, on different CPUs at the same time. Each end is a value with one owner whose methods
//! take `&mut`, so two producers or two consumers cannot exist.

use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    marker::PhantomData,
    mem::MaybeUninit, //
};
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    }, //
};

/// # Invariants
///
/// - `slots.len()` is a power of two.
/// - `head` and `tail` run freely; `head - tail` (wrapping) is at most `slots.len()`.
/// - The slots from `tail` up to, not including, `head` (modulo the length) are initialised. They
///   belong to the consumer, all others to the producer.
struct Ring<T> {
    slots: KVec<UnsafeCell<MaybeUninit<T>>>,
    head: Atomic<usize>,
    tail: Atomic<usize>,
}

// SAFETY: A `T` only ever moves through the ring, from the thread of the producer to that of the
// consumer. It is never shared: the consumer, which shows it, is not `Sync`.
unsafe impl<T: Send> Send for Ring<T> {}

// SAFETY: As above. By the type invariant the two ends never touch the same slot.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    fn slot(&self, index: usize) -> *mut MaybeUninit<T> {
        self.slots[index & (self.slots.len() - 1)].get()
    }

    fn used(&self) -> usize {
        self.head
            .load(Acquire)
            .wrapping_sub(self.tail.load(Acquire))
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let head = self.head.load(Relaxed);
        let mut tail = self.tail.load(Relaxed);
        while tail != head {
            // SAFETY: By the type invariant this slot is initialised; both ends are gone, since
            // each holds a reference to `self`, and each slot is visited once.
            unsafe { (*self.slot(tail)).assume_init_drop() };
            tail = tail.wrapping_add(1);
        }
    }
}

/// The end that puts values in.
pub struct Producer<T>(Arc<Ring<T>>);

/// The end that takes values out. [`Self::peek`] returns a reference to the oldest value, which
/// need not be `Sync`, so this end belongs to one thread at a time.
pub struct Consumer<T>(Arc<Ring<T>>, PhantomData<Cell<()>>);

/// Makes a ring for `capacity` values, a power of two.
pub fn ring<T: Send>(capacity: usize, flags: Flags) -> Result<(Producer<T>, Consumer<T>)> {
    if !capacity.is_power_of_two() {
        return Err(EINVAL);
    }
    let mut slots = KVec::with_capacity(capacity, flags)?;
    for _ in 0..capacity {
        slots.push(UnsafeCell::new(MaybeUninit::uninit()), flags)?;
    }
    // INVARIANT: `capacity` is a power of two, and no slot is in use.
    let ring = Arc::new(
        Ring {
            slots,
            head: Atomic::new(0),
            tail: Atomic::new(0),
        },
        flags,
    )?;
    Ok((Producer(ring.clone()), Consumer(ring, PhantomData)))
}

impl<T> Producer<T> {
    /// Number of values that can be put in now. Only this end can lower the number.
    pub fn free(&self) -> usize {
        self.0.slots.len() - self.0.used()
    }

    /// Puts `value` in, or hands it back if the ring is full.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.free() == 0 {
            return Err(value);
        }
        let head = self.0.head.load(Relaxed);
        // SAFETY: The ring is not full, so by the type invariant of `Ring` the slot at `head` is
        // the producer's, and `&mut self` is the only producer.
        unsafe { (*self.0.slot(head)).write(value) };
        // INVARIANT: The slot is initialised; `Release` publishes it to the consumer.
        self.0.head.store(head.wrapping_add(1), Release);
        Ok(())
    }
}

impl<T> Consumer<T> {
    /// Number of values that can be put in now. Only this end can raise the number.
    pub fn free(&self) -> usize {
        self.0.slots.len() - self.0.used()
    }

    /// Returns true if there is no value to take out.
    pub fn is_empty(&self) -> bool {
        self.0.used() == 0
    }

    /// Returns a reference to the oldest value.
    pub fn peek(&self) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        let tail = self.0.tail.load(Relaxed);
        // SAFETY: The ring is not empty, so by the type invariant of `Ring` the slot at `tail` is
        // initialised and the consumer's. It stays so until `pop`, which needs `&mut self`.
        Some(unsafe { (*self.0.slot(tail)).assume_init_ref() })
    }

    /// Takes the oldest value out.
    pub fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let tail = self.0.tail.load(Relaxed);
        // SAFETY: The ring is not empty, so by the type invariant of `Ring` the slot at `tail` is
        // initialised and the consumer's; `&mut self` is the only consumer. The `Acquire` in
        // `used` pairs with the `Release` in `push`.
        let value = unsafe { (*self.0.slot(tail)).assume_init_read() };
        // INVARIANT: The slot was moved out of; `Release` gives it back to the producer after
        // that read.
        self.0.tail.store(tail.wrapping_add(1), Release);
        Some(value)
    }
}

#[cfg(r4l_kunit)]
#[kunit_tests(kit_spsc)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_a_power_of_two() {
        for capacity in [0, 3, 6, 255] {
            assert!(ring::<u32>(capacity, GFP_KERNEL).is_err());
        }
        assert!(ring::<u32>(1, GFP_KERNEL).is_ok());
    }

    #[test]
    fn a_full_ring_hands_the_value_back() -> Result {
        let (mut producer, consumer) = ring(2, GFP_KERNEL)?;
        assert_eq!(producer.push(1), Ok(()));
        assert_eq!(producer.push(2), Ok(()));
        assert_eq!(producer.push(3), Err(3));
        assert_eq!((producer.free(), consumer.free()), (0, 0));
        Ok(())
    }

    #[test]
    fn values_come_in_order_round_and_round() -> Result {
        let (mut producer, mut consumer) = ring(4, GFP_KERNEL)?;
        for value in 0..100 {
            assert_eq!(producer.push(value), Ok(()));
            assert_eq!(consumer.peek(), Some(&value));
            assert_eq!(consumer.pop(), Some(value));
            assert!(consumer.is_empty());
        }
        assert_eq!(consumer.pop(), None::<i32>);
        Ok(())
    }

    #[test]
    fn what_is_left_is_dropped_once() -> Result {
        let value = Arc::new(7, GFP_KERNEL)?;
        let (mut producer, mut consumer) = ring(4, GFP_KERNEL)?;
        for _ in 0..3 {
            assert!(producer.push(value.clone()).is_ok());
        }
        drop(consumer.pop());
        drop(consumer);
        drop(producer);
        assert!(Arc::into_unique_or_drop(value).is_some());
        Ok(())
    }
}
