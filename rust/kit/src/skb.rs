// SPDX-License-Identifier: GPL-2.0-only

//! Socket buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use crate::bindings;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::prelude::*;

/// A socket buffer, owned: nobody else will free it, and it is freed when it is dropped.
///
/// # Invariants
///
/// `self.0` is a valid `struct sk_buff` of which one reference is `self`'s.
pub struct Skb(NonNull<bindings::sk_buff>);

// SAFETY: A `struct sk_buff` is not bound to a thread, and can be freed from any context by
// `dev_kfree_skb_any`.
unsafe impl Send for Skb {}

// SAFETY: The methods of `&Skb` only read.
unsafe impl Sync for Skb {}

impl Skb {
    /// # Safety
    ///
    /// `skb` is valid and the caller hands over one reference to it.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: As required of the caller.
        Self(skb)
    }

    /// Gives the reference up, to be taken over by C.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        let skb = self.0.as_ptr();
        core::mem::forget(self);
        skb
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// The number of bytes of data.
    #[expect(clippy::len_without_is_empty, reason = "a frame always has a header")]
    #[inline]
    pub fn len(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).len }
    }

    /// The number of bytes that lie in the linear part; the others are in page fragments.
    #[inline]
    pub fn head_len(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).len - (*self.0.as_ptr()).data_len }
    }

    /// The address of the linear part.
    #[inline]
    pub(crate) fn data(&self) -> *mut u8 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).data }
    }
}

impl Drop for Skb {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give up. Any context will do.
        unsafe { bindings::dev_kfree_skb_any(self.0.as_ptr()) };
    }
}

/// A socket buffer that the stack wants sent, for as long as the stack may still take it back.
///
/// [`Self::busy`] hands it back as it came. Anything that may change it or replace it turns it
/// into a [`Skb`] first, and that has no way back: the stack would go on with a buffer that it
/// does not know.
pub struct TxSkb<'a>(Skb, PhantomData<&'a ()>);

/// The answer of a transmit function.
///
/// It can be made only from the very buffer that was to be sent, or by saying that this buffer
/// was taken.
#[must_use]
pub struct Verdict<'a>(Option<Skb>, PhantomData<&'a ()>);

impl<'a> Verdict<'a> {
    /// The buffer was taken: it is on the ring, or was dropped.
    pub const TAKEN: Self = Self(None, PhantomData);

    #[inline]
    pub(crate) fn into_busy(self) -> Option<Skb> {
        self.0
    }
}

impl<'a> TxSkb<'a> {
    /// # Safety
    ///
    /// `skb` is valid, and the caller hands over the reference that `ndo_start_xmit` got.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // SAFETY: As required of the caller.
        Self(unsafe { Skb::from_raw(skb) }, PhantomData)
    }

    /// The number of bytes of data.
    #[expect(clippy::len_without_is_empty, reason = "a frame always has a header")]
    #[inline]
    pub fn len(&self) -> u32 {
        self.0.len()
    }

    /// There is no room: hands the buffer back to the stack, which will offer it again.
    #[inline]
    pub fn busy(self) -> Verdict<'a> {
        Verdict(Some(self.0), PhantomData)
    }

    /// Takes the buffer for good.
    #[inline]
    pub fn take(self) -> Skb {
        self.0
    }

    /// Takes the buffer for good, and pads it with zeroes to at least `len` bytes.
    ///
    /// On failure (no memory) the buffer is gone.
    #[inline]
    pub fn pad_to(self, len: u32) -> Result<Skb> {
        if self.0.len() >= len {
            return Ok(self.0);
        }
        let raw = self.0.into_raw();
        // A buffer that others hold too (pktgen, taps) must not be changed under them.
        //
        // SAFETY: `raw` is valid and its reference is ours. `skb_share_check` takes it over, and
        // returns a buffer that is ours alone or NULL.
        let raw = unsafe { bindings::skb_share_check(raw, bindings::GFP_ATOMIC) };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: `raw` is valid and not shared. `skb_put_padto` frees it when it fails.
        kernel::error::to_result(unsafe { bindings::skb_put_padto(raw.as_ptr(), len) })?;
        // SAFETY: Still valid, still ours.
        Ok(unsafe { Skb::from_raw(raw) })
    }
}
