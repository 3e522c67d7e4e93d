// SPDX-License-Identifier: GPL-2.0-only

//! Socket buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use crate::{
    bindings,
    bindings::layout, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// A socket buffer, owned: only its drop frees it.
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

    /// Gives up the reference, for C code to take over.
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

    /// The number of bytes in the linear part; the other bytes are in page fragments.
    #[inline]
    pub fn head_len(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).len - (*self.0.as_ptr()).data_len }
    }

    /// The Internet checksum that the device has to fill in, if any.
    ///
    /// Only a device with [`crate::net::Offloads::scatter_and_checksum`] gets such a frame. A frame
    /// to be cut into TCP segments needs a checksum for each segment, also if the stack marks the
    /// checksum of the whole as right already (`CHECKSUM_UNNECESSARY`).
    #[inline]
    pub fn checksum(&self) -> Option<Checksum> {
        let skb = self.0.as_ptr();
        // SAFETY: Valid by the type invariant.
        unsafe {
            let summed = bindings::skb_ip_summed(skb);
            if summed != layout::CHECKSUM_PARTIAL as u32 {
                if summed != layout::CHECKSUM_UNNECESSARY as u32 {
                    return None;
                }
                return self.checksum_of_segments();
            }
            let start = bindings::skb_checksum_start_offset(skb) as u32;
            Some(Checksum {
                start,
                place: start + bindings::skb_csum_offset(skb),
            })
        }
    }

    /// The VLAN tag (IEEE 802.1Q, its last two bytes) that the device is to put behind the addresses, if
    /// there is one. The frame does not have it, nor do its length and offsets.
    ///
    /// Only a device with [`crate::net::Features::VLAN_INSERT`] gets such a frame.
    #[inline]
    pub fn vlan_tag(&self) -> Option<u16> {
        let skb = self.0.as_ptr();
        // SAFETY: Valid by the type invariant.
        unsafe {
            bindings::skb_vlan_tag_present(skb).then(|| bindings::skb_vlan_tag_get(skb) as u16)
        }
    }

    /// The checksum of a frame that is right as a whole, if it is to be cut into TCP segments.
    #[cold]
    fn checksum_of_segments(&self) -> Option<Checksum> {
        /// Offset of the checksum in a TCP header (RFC 9293, 3.1).
        const TCP_CHECKSUM: u32 = 16;

        if self.shared().gso_size == 0 {
            return None;
        }
        // SAFETY: Valid by the type invariant. The stack sets the offset for each frame that a
        // device is to cut.
        let start = unsafe { bindings::skb_transport_offset(self.0.as_ptr()) } as u32;
        Some(Checksum {
            start,
            place: start + TCP_CHECKSUM,
        })
    }

    /// Fails if the buffer is shared; otherwise its memory may be replaced.
    #[inline]
    fn require_unshared(&self) -> Result {
        // SAFETY: Valid by the type invariant.
        if unsafe { bindings::skb_shared(self.0.as_ptr()) } {
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Computes the checksum in software, for a device that cannot. Copies shared data first.
    ///
    /// Fails without memory for a copy, and if the buffer itself is shared.
    pub fn fill_in_checksum(&mut self) -> Result {
        self.require_unshared()?;
        // SAFETY: Valid by the type invariant and not shared, so it may be given other memory.
        kernel::error::to_result(unsafe { bindings::skb_checksum_help(self.0.as_ptr()) })
    }

    /// The first `len` bytes, writable. Copies shared data first.
    ///
    /// Fails if the frame is shorter, without memory for a copy, and if the buffer itself is shared
    /// (pktgen sends one buffer many times).
    #[inline]
    pub fn header_mut(&mut self, len: u32) -> Result<&mut [u8]> {
        let skb = self.0.as_ptr();
        if len > self.len() {
            return Err(EINVAL);
        }
        self.require_unshared()?;
        // SAFETY: Valid by the type invariant and not shared, so it may be given other memory.
        // Afterwards the first `len` bytes are linear, and no clone writes to or reads them.
        unsafe {
            kernel::error::to_result(bindings::skb_ensure_writable(skb, len))?;
            Ok(core::slice::from_raw_parts_mut(self.data(), len as usize))
        }
    }

    /// The plan by which the device has to cut the frame into TCP segments, if it has to. Prepares
    /// the headers: length zero, and the checksum of the pseudo header without a length.
    ///
    /// Only a device with [`crate::net::Offloads::tcp_segmentation`], or its sister for IP version
    /// 6, gets such a frame.
    #[inline]
    pub fn segmentation(&mut self) -> Result<Option<Segmentation>> {
        let skb = self.0.as_ptr();
        let mss = u32::from(self.shared().gso_size);
        if mss == 0 {
            return Ok(None);
        }
        self.require_unshared()?;
        // SAFETY: Valid by the type invariant and not shared. `skb_cow_head` gives us headers of
        // our own to write to. The stack gives a device only frames of the kinds that it asked for,
        // with both headers in the linear part.
        unsafe {
            kernel::error::to_result(bindings::skb_cow_head(skb, 0))?;
            let kind = self.shared().gso_type as usize;
            let ipv6 = if kind & layout::SKB_GSO_TCPV4 != 0 {
                bindings::tcp_v4_gso_csum_prep(skb);
                false
            } else if kind & layout::SKB_GSO_TCPV6 != 0 {
                bindings::tcp_v6_gso_csum_prep(skb);
                true
            } else {
                return Err(EINVAL);
            };
            Ok(Some(Segmentation {
                mss,
                ipv6,
                headers: bindings::skb_tcp_all_headers(skb),
                network: bindings::skb_network_offset(skb) as u32,
                transport: bindings::skb_transport_offset(skb) as u32,
            }))
        }
    }

    /// Number of frames on the wire, and of their bytes, headers included.
    #[inline]
    pub(crate) fn on_the_wire(&self) -> (u32, u32) {
        let shared = self.shared();
        let (mss, segments) = (shared.gso_size, u32::from(shared.gso_segs));
        if mss == 0 || segments < 2 {
            return (1, self.len());
        }
        // SAFETY: Valid by the type invariant; a frame with a segment size is TCP here.
        let headers = unsafe { bindings::skb_tcp_all_headers(self.0.as_ptr()) };
        (segments, self.len() + (segments - 1) * headers)
    }

    /// The data behind the linear part: fragments and segmentation.
    #[inline]
    pub(crate) fn shared(&self) -> &bindings::skb_shared_info {
        let skb = self.0.as_ptr();
        // SAFETY: Valid by the type invariant. This is what `skb_shinfo` does; `end` is an offset
        // where `NET_SKBUFF_DATA_USES_OFFSET` is defined, and a pointer elsewhere.
        unsafe {
            #[cfg(target_pointer_width = "64")]
            let shared = (*skb).head.add((*skb).end as usize);
            #[cfg(not(target_pointer_width = "64"))]
            let shared = (*skb).end;
            &*shared.cast()
        }
    }

    /// The address of the linear part.
    #[inline]
    pub(crate) fn data(&self) -> *mut u8 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).data }
    }
}

/// Place of a checksum to be filled in, as offsets into the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    /// The checksum is computed from here to the end of the frame.
    pub start: u32,
    /// The checksum replaces the start value here.
    pub place: u32,
}

/// A plan for cutting a frame into TCP segments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Segmentation {
    /// Number of bytes of data of each segment but the last.
    pub mss: u32,
    /// IP version 6, not 4.
    pub ipv6: bool,
    /// Number of bytes of all headers, which each segment gets.
    pub headers: u32,
    /// Offset of the IP header.
    pub network: u32,
    /// Offset of the TCP header.
    pub transport: u32,
}

impl Drop for Skb {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give up. Any context will do.
        unsafe { bindings::dev_kfree_skb_any(self.0.as_ptr()) };
    }
}

/// A proof that socket buffers may be allocated as NAPI does: the caller is a poll function with a
/// budget.
///
/// [`RxSlot`](crate::net::RxSlot) is one.
pub trait RxContext: sealed::Napi {}

pub(crate) mod sealed {
    use crate::bindings;

    /// # Safety
    ///
    /// A value exists only in the poll function of the instance, called with a budget.
    pub unsafe trait Napi {
        /// The instance.
        fn napi(&self) -> *mut bindings::napi_struct;
    }
}

/// A socket buffer for a frame just received: no other code has a reference to it or to its data,
/// and it carries no sender's state.
///
/// [`RxSlot::receive`](crate::net::RxSlot::receive) hands it up to the stack.
pub struct RxSkb(Skb);

impl RxSkb {
    /// # Safety
    ///
    /// `skb` is valid, was allocated with its data for this, and the caller hands it over.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // SAFETY: As required of the caller.
        Self(unsafe { Skb::from_raw(skb) })
    }

    /// Makes one of a buffer that was to be sent, with data of its own and without the sender's
    /// state. `None` without memory; the buffer is freed then.
    pub(crate) fn of_sent(skb: Skb) -> Option<Self> {
        // SAFETY: The buffer is valid and its reference is ours. `skb_share_check` and
        // `skb_unshare` take it over, and return a buffer that is ours alone or NULL. The data is
        // ours alone after the latter, so it may be changed: GRO does, and it takes the memory of
        // the head itself. Pages that belong to the sender's process are copied.
        unsafe {
            let own = bindings::skb_share_check(skb.into_raw(), bindings::GFP_ATOMIC);
            let own = NonNull::new(own)?;
            let own = bindings::skb_unshare(own.as_ptr(), bindings::GFP_ATOMIC);
            let own = Skb::from_raw(NonNull::new(own)?);
            if bindings::skb_orphan_frags_rx(own.as_ptr(), bindings::GFP_ATOMIC) != 0 {
                return None;
            }
            bindings::skb_orphan(own.as_ptr());
            bindings::skb_scrub_packet(own.as_ptr(), false);
            Some(Self(own))
        }
    }

    /// The number of bytes of data.
    #[expect(clippy::len_without_is_empty, reason = "a frame always has a header")]
    #[inline]
    pub fn len(&self) -> u32 {
        self.0.len()
    }

    /// Says that the device has taken a VLAN tag (IEEE 802.1Q, its last two bytes) out of the frame.
    #[inline]
    pub fn set_vlan_tag(&mut self, tag: u16) {
        // SAFETY: The buffer is valid, and ours alone.
        unsafe { bindings::__vlan_hwaccel_put_tag(self.0.as_ptr(), tag) };
    }

    /// Says that the device has found the checksum of TCP or UDP in the frame to be right, the first one
    /// if there are several. The stack does not look at it any more.
    #[inline]
    pub fn set_checksum_verified(&mut self) {
        // SAFETY: The buffer is valid, and ours alone.
        unsafe { bindings::skb_checksum_unnecessary(self.0.as_ptr()) };
    }

    /// Gives up the buffer, for C code to take over.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        self.0.into_raw()
    }

    /// The buffer, read-only.
    pub(crate) fn as_skb(&self) -> &Skb {
        &self.0
    }
}

/// A socket buffer that the stack wants sent, for as long as the stack may still take it back.
///
/// [`Self::busy`] hands it back unchanged. Each method that may change or replace the buffer turns
/// it into a [`Skb`] first, which cannot be handed back: the stack would continue with its own
/// pointer to the old buffer.
pub struct TxSkb<'a>(Skb, PhantomData<&'a ()>);

/// The answer of a transmit function.
///
/// Made only from the buffer that was to be sent, or by stating that this buffer was taken.
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

    /// Hands the buffer back to the stack, for lack of room. The stack will offer it again.
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
    /// A failure (no memory) frees the buffer.
    #[inline]
    pub fn pad_to(self, len: u32) -> Result<Skb> {
        if self.0.len() >= len {
            return Ok(self.0);
        }
        let raw = self.0.into_raw();
        // A shared buffer (pktgen, taps) must not be changed.
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
