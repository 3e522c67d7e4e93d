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

/// A reference to a socket buffer, which is given up on drop.
///
/// # Invariants
///
/// `self.0` is a valid `struct sk_buff`, and `self` owns one reference to it.
pub struct Skb(NonNull<bindings::sk_buff>);

// SAFETY: A `struct sk_buff` is not bound to a thread, and can be freed from any context by
// `dev_kfree_skb_any`.
unsafe impl Send for Skb {}

// SAFETY: Methods that take `&Skb` only read.
unsafe impl Sync for Skb {}

impl Skb {
    /// # Safety
    ///
    /// `skb` is valid, and the caller gives one reference to the value.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: As required of the caller.
        Self(skb)
    }

    /// Returns the buffer with its reference, for C code.
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

    /// Returns the length of the data in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a frame always has a header")]
    #[inline]
    pub fn len(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).len }
    }

    /// Returns the length of the linear part in bytes. The rest of the data is in page fragments.
    #[inline]
    pub fn head_len(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0.as_ptr()).len - (*self.0.as_ptr()).data_len }
    }

    /// Returns the Internet checksum that the device has to fill in, if there is one.
    ///
    /// Only devices with checksum offload get such frames. A frame that the device has to segment
    /// needs a checksum for each segment, even if the stack has marked the checksum of the frame as
    /// right (`CHECKSUM_UNNECESSARY`).
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
            // The offset of a frame that lost its headers on the way is negative, thus very large
            // here: `skb_checksum_help` warns of such frames and refuses them.
            let start = bindings::skb_checksum_start_offset(skb) as u32;
            Some(Checksum {
                start,
                place: start.wrapping_add(bindings::skb_csum_offset(skb)),
            })
        }
    }

    /// Returns the VLAN tag (IEEE 802.1Q, its last two bytes) that the device has to insert behind
    /// the addresses, if there is one. The frame, its length and its offsets do not include the
    /// tag.
    ///
    /// Only devices with the feature of VLAN insertion get such frames.
    #[inline]
    pub fn vlan_tag(&self) -> Option<u16> {
        let skb = self.0.as_ptr();
        // SAFETY: Valid by the type invariant.
        unsafe {
            bindings::skb_vlan_tag_present(skb).then(|| bindings::skb_vlan_tag_get(skb) as u16)
        }
    }

    /// Returns the checksum of a frame that is marked as right and has to be segmented.
    #[cold]
    fn checksum_of_segments(&self) -> Option<Checksum> {
        /// Offset of the checksum in a TCP header (RFC 9293, 3.1).
        const TCP_CHECKSUM: u32 = 16;

        if self.segment_size() == 0 {
            return None;
        }
        // SAFETY: Valid by the type invariant. The stack sets the offset for each frame that a
        // device has to segment.
        let start = unsafe { bindings::skb_transport_offset(self.0.as_ptr()) } as u32;
        Some(Checksum {
            start,
            place: start.wrapping_add(TCP_CHECKSUM),
        })
    }

    /// Returns an error if the buffer is shared. The memory of one that is not may be replaced.
    #[inline]
    fn require_unshared(&self) -> Result {
        // SAFETY: Valid by the type invariant.
        if unsafe { bindings::skb_shared(self.0.as_ptr()) } {
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Computes the checksum in software. Copies shared data first.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the frame is to be segmented, so each segment needs a checksum. Otherwise, the
    /// buffer itself is shared, or there is no memory for a copy.
    pub fn fill_in_checksum(&mut self) -> Result {
        self.require_unshared()?;
        if self.segment_size() != 0 {
            return Err(EINVAL);
        }
        // SAFETY: Valid by the type invariant and not shared, so it may be given other memory. The
        // helper takes the buffer's device away, of which `skb_dump` would print the name: the
        // device may be gone.
        kernel::error::to_result(unsafe { bindings::skb_fill_in_checksum(self.0.as_ptr()) })
    }

    /// Returns the first `len` bytes, writable. Copies shared data first.
    ///
    /// # Errors
    ///
    /// The frame is shorter, the buffer itself is shared (pktgen sends one buffer many times), or
    /// there is no memory for a copy.
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

    /// Returns the parameters by which the device has to segment the frame, if it has to. Prepares
    /// the headers: length zero, and the checksum of the pseudo header without a length.
    ///
    /// Only devices with TCP segmentation get such frames.
    #[inline]
    pub fn segmentation(&mut self) -> Result<Option<Segmentation>> {
        let skb = self.0.as_ptr();
        let mss = self.segment_size();
        if mss == 0 {
            return Ok(None);
        }
        self.require_unshared()?;
        // SAFETY: Valid by the type invariant and not shared. After `skb_cow_head`, no other code
        // uses the headers. The stack gives a device only frames of the kinds that it asked for,
        // with both headers in the linear part: `__dev_queue_xmit` pulls them there, and frames of
        // untrusted senders, by whatever way, are verified by `tcp_gso_segment`.
        unsafe {
            kernel::error::to_result(bindings::skb_cow_head(skb, 0))?;
            let kind = (*self.shared()).gso_type as usize;
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

    /// Returns the number of frames on the wire, and of their bytes with headers.
    #[inline]
    pub(crate) fn on_the_wire(&self) -> (u32, u32) {
        // SAFETY: `shared` returns a valid pointer.
        let segments = u32::from(unsafe { (*self.shared()).gso_segs });
        if self.segment_size() == 0 || segments < 2 {
            return (1, self.len());
        }
        // SAFETY: Valid by the type invariant; a frame with a segment size is TCP here.
        let headers = unsafe { bindings::skb_tcp_all_headers(self.0.as_ptr()) };
        let more = (segments - 1).wrapping_mul(headers);
        (segments, self.len().wrapping_add(more))
    }

    /// Returns the data that the buffer shares with its clones: fragments and segmentation. A
    /// pointer, since other owners of clones change the count of references there at any time; all
    /// other fields stay as they are while the data is shared.
    #[inline]
    fn shared(&self) -> *const bindings::skb_shared_info {
        let skb = self.0.as_ptr();
        // SAFETY: Valid by the type invariant. As `skb_shinfo` does: `end` is an offset
        // where `NET_SKBUFF_DATA_USES_OFFSET` is defined, and a pointer elsewhere.
        unsafe {
            #[cfg(target_pointer_width = "64")]
            let shared = (*skb).head.add((*skb).end as usize);
            #[cfg(not(target_pointer_width = "64"))]
            let shared = (*skb).end;
            shared.cast()
        }
    }

    /// Returns the number of fragments.
    #[inline]
    pub(crate) fn fragments(&self) -> u32 {
        // SAFETY: `shared` returns a valid pointer.
        u32::from(unsafe { (*self.shared()).nr_frags })
    }

    /// Returns true if further buffers are linked to this one, with the rest of the frame.
    #[inline]
    pub(crate) fn has_more_buffers(&self) -> bool {
        // SAFETY: As in `fragments`.
        !unsafe { (*self.shared()).frag_list }.is_null()
    }

    /// Returns the number of bytes of data of each segment but the last; 0 if the frame is not to be
    /// segmented. Peers on the network choose the number, which may be small.
    #[inline]
    pub fn segment_size(&self) -> u32 {
        // SAFETY: As in `fragments`.
        u32::from(unsafe { (*self.shared()).gso_size })
    }

    /// Returns the address of the linear part.
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

/// Parameters of TCP segmentation by the device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Segmentation {
    /// Number of bytes of data of each segment but the last.
    pub mss: u32,
    /// True for IP version 6, false for IP version 4.
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
        // SAFETY: `self` owns the reference by the type invariant. Callable from any context.
        unsafe { bindings::dev_kfree_skb_any(self.0.as_ptr()) };
    }
}

/// Proof that socket buffers may be allocated from NAPI's cache: the caller is a poll function with
/// a budget. The slots of the budget implement it.
pub trait RxContext: sealed::Napi {}

pub(crate) mod sealed {
    use crate::bindings;

    /// # Safety
    ///
    /// A value exists only in the poll function of the instance, called with a budget.
    pub unsafe trait Napi {
        /// Returns the instance.
        fn napi(&self) -> *mut bindings::napi_struct;
    }
}

/// A socket buffer for a received frame. No other code has a reference to it or to its data, and it
/// has no metadata of a sender. A slot of the poll function's budget hands it to the stack.
pub struct RxSkb(Skb);

impl RxSkb {
    /// # Safety
    ///
    /// `skb` and its data were just allocated, and the caller gives its reference to the value.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // SAFETY: As required of the caller.
        Self(unsafe { Skb::from_raw(skb) })
    }

    /// Makes a received frame of a transmitted one, with data that is not shared and without the
    /// metadata of the sender. Returns `None` if there is no memory; the buffer is freed then.
    pub(crate) fn of_sent(skb: Skb) -> Option<Self> {
        // SAFETY: The buffer is valid, with one reference. `skb_share_check` and `skb_unshare` take
        // it, and return a buffer that is not shared, or NULL. After the latter the data is not
        // shared either, so it may be changed: GRO does, and it takes the memory of the head.
        // Pages that belong to the sender's process are copied.
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

    /// Returns the length of the data in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a frame always has a header")]
    #[inline]
    pub fn len(&self) -> u32 {
        self.0.len()
    }

    /// Stores the VLAN tag (IEEE 802.1Q, its last two bytes) that the device has removed from the
    /// frame.
    #[inline]
    pub fn set_vlan_tag(&mut self, tag: u16) {
        // SAFETY: The buffer is valid and not shared.
        unsafe { bindings::__vlan_hwaccel_put_tag(self.0.as_ptr(), tag) };
    }

    /// Marks the checksum of TCP or UDP in the frame as right, the first one if there are several.
    /// The stack does not verify it any more.
    #[inline]
    pub fn set_checksum_verified(&mut self) {
        // SAFETY: The buffer is valid and not shared.
        unsafe { bindings::skb_checksum_unnecessary(self.0.as_ptr()) };
    }

    /// Returns the buffer with its reference, for C code.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        self.0.into_raw()
    }

    /// Returns the buffer for reading.
    pub(crate) fn as_skb(&self) -> &Skb {
        &self.0
    }
}

/// A socket buffer to transmit, which can still be returned to the stack.
///
/// [`Self::busy`] returns it unchanged. Each method that can change or replace the buffer turns it
/// into an [`Skb`] first, which cannot be returned: the stack would continue with its pointer to
/// the old buffer.
pub struct TxSkb<'a>(Skb, PhantomData<&'a ()>);

/// Result of a transmit function: the buffer is taken, or returned.
#[must_use]
pub struct Verdict<'a>(Option<Skb>, PhantomData<&'a ()>);

impl<'a> Verdict<'a> {
    /// The buffer is taken: it is on the ring, or was dropped.
    pub const TAKEN: Self = Self(None, PhantomData);

    #[inline]
    pub(crate) fn into_busy(self) -> Option<Skb> {
        self.0
    }
}

impl<'a> TxSkb<'a> {
    /// Largest length in bytes to which a frame can be padded, by [`Self::pad_to`].
    pub const MAX_PADDED: u32 = 1024;

    /// # Safety
    ///
    /// `skb` is valid, and the caller gives the reference of `ndo_start_xmit` to the value.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // SAFETY: As required of the caller.
        Self(unsafe { Skb::from_raw(skb) }, PhantomData)
    }

    /// Returns the length of the data in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a frame always has a header")]
    #[inline]
    pub fn len(&self) -> u32 {
        self.0.len()
    }

    /// Returns the buffer to the stack, for want of room. The stack transmits it again later.
    #[inline]
    pub fn busy(self) -> Verdict<'a> {
        Verdict(Some(self.0), PhantomData)
    }

    /// Takes the buffer, which cannot be returned any more.
    #[inline]
    pub fn take(self) -> Skb {
        self.0
    }

    /// Takes the buffer, and pads it with zeroes to at least `len` bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the frame is shorter, and `len` is more than [`Self::MAX_PADDED`]. `ENOMEM`: there
    /// is no memory. The buffer is freed in both cases.
    #[inline]
    pub fn pad_to(self, len: u32) -> Result<Skb> {
        if self.0.len() >= len {
            return Ok(self.0);
        }
        if len > Self::MAX_PADDED {
            return Err(EINVAL);
        }
        let raw = self.0.into_raw();
        // A shared buffer (pktgen, taps) must not be changed.
        //
        // SAFETY: `raw` is valid, with one reference. `skb_share_check` takes it, and returns a
        // buffer that is not shared, or NULL.
        let raw = unsafe { bindings::skb_share_check(raw, bindings::GFP_ATOMIC) };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?;
        // SAFETY: `raw` is valid and not shared. `skb_put_padto` frees it when it fails. By the
        // check above, the padding is a positive `int`, which the kernel does not check.
        kernel::error::to_result(unsafe { bindings::skb_put_padto(raw.as_ptr(), len) })?;
        // SAFETY: Valid, with the reference of `raw`.
        Ok(unsafe { Skb::from_raw(raw) })
    }
}
