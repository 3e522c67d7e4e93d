// SPDX-License-Identifier: GPL-2.0-only

//! Streaming DMA.
//!
//! A mapping owns its memory for as long as the device may access it: a buffer that is still mapped
//! can neither be freed nor be read. The lifetime `'bound` ensures
//! that a mapping does not outlive the driver's hold on its device. A forgotten mapping leaks its
//! memory and stays mapped, so the device never writes to memory with another owner.
//!
//! C header: [`include/linux/dma-mapping.h`](srctree/include/linux/dma-mapping.h)

#[cfg(CONFIG_PAGE_POOL)]
mod pool;

#[cfg(CONFIG_PAGE_POOL)]
pub use pool::RxPool;

pub use crate::compat::{
    coherent_address,
    dma_read,
    dma_write, //
};
use crate::{
    bindings,
    bindings::layout,
    skb::{
        RxContext,
        RxSkb,
        Skb, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Coherent memory of pairs of words in the CPU's byte order, for example a ring of descriptors.
///
/// The number of pairs is a power of two, and every index is taken modulo that number. So an access
/// needs no check, and cannot fail. The value must live while the device uses the memory: a driver
/// stops its device before it drops the memory.
///
/// # Invariants
///
/// `pairs` is the result of `dma_alloc_coherent` for `mask + 1` pairs, `dev` and `addr`, not freed
/// yet; `mask + 1` is a power of two.
pub struct CoherentPairs<'bound> {
    dev: &'bound Device<Bound>,
    pairs: NonNull<[u64; 2]>,
    mask: usize,
    addr: DmaAddress,
}

// SAFETY: The memory can be freed by any thread that may sleep, and has no other owner.
unsafe impl Send for CoherentPairs<'_> {}

// SAFETY: Accesses are of whole words, and the device accesses them concurrently in any case.
unsafe impl Sync for CoherentPairs<'_> {}

impl<'bound> CoherentPairs<'bound> {
    /// Allocates zeroed memory for `count` pairs, which must be a power of two.
    ///
    /// Context: process. May sleep.
    pub fn new(dev: &'bound Device<Bound>, count: usize) -> Result<Self> {
        if !count.is_power_of_two() {
            return Err(EINVAL);
        }
        let size = count.checked_mul(size_of::<[u64; 2]>()).ok_or(EINVAL)?;
        let mut addr = 0;
        // SAFETY: The device is valid and bound. The memory is zeroed by this function.
        let pairs = unsafe {
            bindings::dma_alloc_attrs(as_raw(dev), size, &mut addr, bindings::GFP_KERNEL, 0)
        };
        let pairs = NonNull::new(pairs.cast()).ok_or(ENOMEM)?;
        // INVARIANT: Just allocated.
        Ok(Self {
            dev,
            pairs,
            mask: count - 1,
            addr,
        })
    }

    /// Returns the address of the memory for the device.
    pub fn dma_addr(&self) -> DmaAddress {
        self.addr
    }

    /// Returns the number of pairs, less one: the mask by which an index, or the distance of two,
    /// is taken modulo that number.
    #[inline]
    pub fn mask(&self) -> usize {
        self.mask
    }

    #[inline]
    fn at(&self, index: usize) -> *mut u64 {
        // SAFETY: The remainder is below the number of pairs, which is a power of two.
        unsafe { self.pairs.as_ptr().add(index & self.mask).cast() }
    }

    /// Reads the second word of a pair.
    #[inline]
    pub fn read_second(&self, index: usize) -> u64 {
        // SAFETY: Valid and aligned by the type invariant. The device and other CPUs write whole
        // words.
        unsafe { self.at(index).add(1).read_volatile() }
    }

    /// Writes a pair: the first word, and then the second one.
    #[inline]
    pub fn write(&self, index: usize, [first, second]: [u64; 2]) {
        let at = self.at(index);
        // SAFETY: As for `read_second`; any bits are a word.
        unsafe {
            at.write_volatile(first);
            at.add(1).write_volatile(second);
        }
    }
}

impl Drop for CoherentPairs<'_> {
    fn drop(&mut self) {
        // SAFETY: Allocated or mapped by the type invariant; `dev` is bound for `'bound`.
        unsafe {
            bindings::dma_free_attrs(
                as_raw(self.dev),
                (self.mask + 1) * size_of::<[u64; 2]>(),
                self.pairs.as_ptr().cast(),
                self.addr,
                0,
            )
        };
    }
}

/// Direction of the data.
#[derive(Clone, Copy)]
enum Direction {
    ToDevice,
    FromDevice,
}

impl Direction {
    #[inline]
    fn as_raw(self) -> bindings::dma_data_direction {
        match self {
            Self::ToDevice => bindings::dma_data_direction::DMA_TO_DEVICE,
            Self::FromDevice => bindings::dma_data_direction::DMA_FROM_DEVICE,
        }
    }
}

/// A mapped range, without the memory behind it.
///
/// # Invariants
///
/// `addr` is the result of `dma_map_single`, or of `skb_frag_dma_map` if `page` is set, for `len`
/// bytes, `dev` and `direction`, and is not unmapped yet.
struct Mapping<'bound> {
    dev: &'bound Device<Bound>,
    addr: DmaAddress,
    len: u32,
    direction: Direction,
    page: bool,
}

#[inline]
fn as_raw(dev: &Device<Bound>) -> *mut bindings::device {
    // `Device` is `repr(transparent)` over `Opaque<struct device>`.
    core::ptr::from_ref(dev).cast_mut().cast()
}

impl<'bound> Mapping<'bound> {
    /// # Safety
    ///
    /// The `len` bytes at `ptr` lie in the kernel's linear map, and stay allocated for as long as
    /// the mapping lives, for ever if it is forgotten. No other code accesses them in that time
    /// (for
    /// [`Direction::ToDevice`]: no other code writes to them).
    #[inline]
    unsafe fn new(
        dev: &'bound Device<Bound>,
        ptr: *mut u8,
        len: u32,
        direction: Direction,
    ) -> Result<Self> {
        // SAFETY: `dev` is a valid device, and is bound; the memory is as required of the caller.
        let addr = unsafe {
            bindings::dma_map_single(as_raw(dev), ptr.cast(), len as usize, direction.as_raw())
        };
        // SAFETY: `addr` comes from a map function for this device.
        if unsafe { bindings::dma_mapping_error(as_raw(dev), addr) } != 0 {
            return Err(ENOMEM);
        }
        // INVARIANT: Just mapped.
        Ok(Self {
            dev,
            addr,
            len,
            direction,
            page: false,
        })
    }

    /// Maps a fragment of a socket buffer for the device to read.
    ///
    /// # Safety
    ///
    /// `skb` has more than `index` fragments, and lives as long as the mapping, for ever if that is
    /// forgotten.
    unsafe fn of_fragment(dev: &'bound Device<Bound>, skb: &Skb, index: u32) -> Result<Self> {
        let direction = Direction::ToDevice;
        // SAFETY: `dev` is a valid device, and is bound; the fragment exists.
        let (addr, len) = unsafe {
            (
                bindings::skb_frag_dma_map(as_raw(dev), skb.as_ptr(), index, direction.as_raw()),
                bindings::skb_frag_size(skb.as_ptr(), index),
            )
        };
        // SAFETY: `addr` comes from a map function for this device.
        if unsafe { bindings::dma_mapping_error(as_raw(dev), addr) } != 0 {
            return Err(ENOMEM);
        }
        // INVARIANT: Just mapped.
        Ok(Self {
            dev,
            addr,
            len,
            direction,
            page: true,
        })
    }
}

impl Drop for Mapping<'_> {
    #[inline]
    fn drop(&mut self) {
        let (dev, direction) = (as_raw(self.dev), self.direction.as_raw());
        // SAFETY: Allocated or mapped by the type invariant; `dev` is bound for `'bound`.
        unsafe {
            if self.page {
                bindings::dma_unmap_page(dev, self.addr, self.len as usize, direction)
            } else {
                bindings::dma_unmap_single(dev, self.addr, self.len as usize, direction)
            }
        };
    }
}

/// A socket buffer of which all pieces are mapped for the device to read.
// The order of the fields is the order of teardown: unmap, then free.
pub struct TxFrame<'bound> {
    head: Mapping<'bound>,
    fragments: Option<KBox<KVec<Mapping<'bound>>>>,
    skb: Skb,
}

/// The largest number of pieces of a frame: its linear part, and the fragments that the kernel was
/// configured for.
pub const MAX_PIECES: usize = 1 + layout::MAX_SKB_FRAGS;

/// A mapped piece of a frame.
#[derive(Clone, Copy)]
pub struct Piece {
    /// Address of its first byte for the device.
    pub addr: DmaAddress,
    /// Length in bytes.
    pub len: usize,
}

impl<'bound> TxFrame<'bound> {
    /// Maps `skb`. Returns the buffer if that fails.
    #[inline]
    pub fn new(dev: &'bound Device<Bound>, skb: Skb) -> Result<Self, Skb> {
        let head_len = skb.head_len();
        if head_len == 0 {
            return Err(skb);
        }
        let fragments = if head_len == skb.len() {
            None
        } else {
            match Self::map_fragments(dev, &skb) {
                Ok(fragments) => Some(fragments),
                Err(_) => return Err(skb),
            }
        };
        // SAFETY: The linear part of a socket buffer comes from the slab or from page fragments,
        // both in the linear map. It lives as long as `skb`, which is dropped after the mapping.
        // The owner of a buffer that is being sent does not write to it.
        let head = unsafe { Mapping::new(dev, skb.data(), head_len, Direction::ToDevice) };
        match head {
            Ok(head) => Ok(Self {
                head,
                fragments,
                skb,
            }),
            Err(_) => {
                // Unmap before the buffer is returned: the caller may free it.
                drop(fragments);
                Err(skb)
            }
        }
    }

    /// The mappings must be dropped before `skb` is.
    #[cold]
    fn map_fragments(dev: &'bound Device<Bound>, skb: &Skb) -> Result<KBox<KVec<Mapping<'bound>>>> {
        if skb.has_more_buffers() {
            return Err(EINVAL);
        }
        let count = skb.fragments();
        let mut fragments = KVec::with_capacity(count as usize, GFP_ATOMIC)?;
        for i in 0..count {
            // SAFETY: There are `count` fragments. `TxFrame` drops its buffer after them.
            let mapping = unsafe { Mapping::of_fragment(dev, skb, i) }?;
            fragments.push(mapping, GFP_ATOMIC)?;
        }
        Ok(KBox::new(fragments, GFP_ATOMIC)?)
    }

    /// Returns the frame, if it is in one piece.
    #[inline]
    pub fn single(&self) -> Option<Piece> {
        if self.fragments.is_some() {
            return None;
        }
        Some(Piece {
            addr: self.head.addr,
            len: self.head.len as usize,
        })
    }

    /// Returns the pieces of the frame in their order, at least one.
    #[inline]
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let fragments = self
            .fragments
            .as_ref()
            .map_or(&[][..], |all| all.as_slice());
        let mappings = Iterator::chain(core::iter::once(&self.head), fragments);
        Iterator::map(mappings, |mapping| Piece {
            addr: mapping.addr,
            len: mapping.len as usize,
        })
    }

    /// Returns the length of the frame in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    #[inline]
    pub fn len(&self) -> u32 {
        self.skb.len()
    }

    #[inline]
    pub(crate) fn skb(&self) -> &Skb {
        &self.skb
    }

    /// Ends the mapping, and returns the buffer.
    #[inline]
    pub(crate) fn into_skb(self) -> Skb {
        self.skb
    }
}

/// A page fragment.
///
/// # Invariants
///
/// `self.0` comes from `netdev_alloc_frag`, and `self` owns it.
struct Fragment(NonNull<u8>);

impl Fragment {
    #[inline]
    fn new(size: u32) -> Result<Self> {
        // SAFETY: Callable in any context.
        let ptr = unsafe { bindings::netdev_alloc_frag(size) };
        // INVARIANT: Just allocated.
        NonNull::new(ptr.cast()).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Fragment {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::skb_free_frag(self.0.as_ptr().cast()) };
    }
}

/// A buffer that is mapped for the device to write a received frame to.
///
/// [`Self::into_skb`] ends the mapping and builds a socket buffer around the same memory, without a
/// copy. [`Self::copy_to_skb`] copies the data. There is no other access to it, so the stack cannot
/// get a frame that the device may still write to.
// The order of the fields is the order of teardown: unmap, then free.
pub struct RxBuffer<'bound> {
    mapping: Mapping<'bound>,
    fragment: Fragment,
}

// SAFETY: Memory and its mapping, neither of which is bound to a thread.
unsafe impl Send for RxBuffer<'_> {}

/// Space for the stack to put headers in front of the frame, and for the IP header to be aligned.
const HEADROOM: usize = layout::NET_SKB_PAD + layout::NET_IP_ALIGN;

impl<'bound> RxBuffer<'bound> {
    /// Returns the size of the memory of a buffer for `capacity` bytes: headroom, data, and the
    /// space that `build_skb` needs at the end.
    const fn truesize(capacity: u32) -> u32 {
        let data = (HEADROOM + capacity as usize).next_multiple_of(layout::SMP_CACHE_BYTES);
        (data + layout::SKB_SHINFO_SPACE) as u32
    }

    /// The largest capacity: a fragment has at most one page.
    pub const MAX_CAPACITY: u32 = 3072;

    /// Allocates and maps a buffer for frames of up to `capacity` bytes.
    #[inline]
    pub fn new(dev: &'bound Device<Bound>, capacity: u32) -> Result<Self> {
        if capacity == 0 || capacity > Self::MAX_CAPACITY {
            return Err(EINVAL);
        }
        let fragment = Fragment::new(Self::truesize(capacity))?;
        // SAFETY: The fragment is larger than that.
        let data = unsafe { fragment.0.as_ptr().add(HEADROOM) };
        // SAFETY: Page fragments lie in the linear map. `fragment` is dropped after the mapping,
        // and no other code has access to it before `into_skb`.
        let mapping = unsafe { Mapping::new(dev, data, capacity, Direction::FromDevice) }?;
        Ok(Self { mapping, fragment })
    }

    /// Returns the address to which the device writes.
    #[inline]
    pub fn dma_addr(&self) -> DmaAddress {
        self.mapping.addr
    }

    /// Copies the first `len` bytes to a socket buffer of their own; the device may use this buffer
    /// again. For small frames a copy is cheaper, and keeps no large buffer for a few bytes.
    ///
    /// `slot` proves that the poll function has a budget: socket buffers come from NAPI's cache of
    /// the CPU. netpoll (netconsole) polls without a budget, with interrupts off, and possibly
    /// during another use of that cache.
    ///
    /// # Errors
    ///
    /// `len` is more than the capacity of the buffer, or there is no memory.
    #[inline]
    pub fn copy_to_skb(&mut self, len: u32, slot: &impl RxContext) -> Result<RxSkb> {
        let Mapping {
            dev,
            addr,
            len: capacity,
            direction,
            ..
        } = self.mapping;
        if len > capacity {
            return Err(EINVAL);
        }
        // SAFETY: `slot` exists in a poll function with a budget only.
        let skb = unsafe { bindings::napi_alloc_skb(slot.napi(), len) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // SAFETY: The range is mapped, and the data is copied between the two calls. The socket
        // buffer is valid, not shared, and has room. If a broken device writes at the same time,
        // `memcpy` copies arbitrary bytes.
        unsafe {
            bindings::dma_sync_single_for_cpu(as_raw(dev), addr, len as usize, direction.as_raw());
            bindings::skb_put_data(
                skb.as_ptr(),
                self.fragment.0.as_ptr().add(HEADROOM).cast(),
                len,
            );
            bindings::dma_sync_single_for_device(
                as_raw(dev),
                addr,
                len as usize,
                direction.as_raw(),
            );
            Ok(RxSkb::from_raw(skb))
        }
    }

    /// Ends the mapping and makes a socket buffer of the first `len` bytes. `slot` proves the same
    /// as in [`Self::copy_to_skb`].
    ///
    /// # Errors
    ///
    /// `len`, which may come from the device, is more than the capacity of the buffer, or there is
    /// no memory. The buffer is freed then.
    #[inline]
    pub fn into_skb(self, len: u32, _slot: &impl RxContext) -> Result<RxSkb> {
        let capacity = self.mapping.len;
        if len > capacity {
            return Err(EINVAL);
        }
        let Self { mapping, fragment } = self;
        drop(mapping);

        // SAFETY: The fragment has `truesize` bytes with the space that `build_skb` needs at its
        // end. `slot` exists in a poll function with a budget only.
        let skb = unsafe {
            bindings::napi_build_skb(fragment.0.as_ptr().cast(), Self::truesize(capacity))
        };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;
        // The buffer owns the fragment now.
        core::mem::forget(fragment);

        // SAFETY: The buffer is valid, not shared, and has room for both.
        unsafe {
            bindings::skb_reserve(skb.as_ptr(), HEADROOM as c_int);
            bindings::skb_put(skb.as_ptr(), len);
            Ok(RxSkb::from_raw(skb))
        }
    }
}

// Page fragments and the memory of a page pool are of one page at most. `build_skb` gets the size and
// looks for its end there.
const _: () = assert!(
    RxBuffer::truesize(RxBuffer::MAX_CAPACITY) as usize <= PAGE_SIZE,
    "the largest receive buffer does not fit a page"
);

impl RxBuffer<'_> {
    /// Ends the mapping and adds the first `len` bytes to a frame that began in another buffer.
    ///
    /// # Errors
    ///
    /// `len` is more than the capacity of the buffer, or the frame has as many pieces as a socket
    /// buffer can have. Both are freed then.
    pub fn append_to(self, skb: RxSkb, len: u32) -> Result<RxSkb> {
        let capacity = self.mapping.len;
        let pieces = skb.as_skb().fragments() as usize;
        if len > capacity || pieces >= layout::MAX_SKB_FRAGS {
            return Err(EINVAL);
        }
        let Self { mapping, fragment } = self;
        drop(mapping);
        // SAFETY: The buffer is valid, not shared, and has room for another fragment. The memory
        // has `capacity` bytes there. It is a page fragment, which is freed like pages of a socket
        // buffer: the buffer takes over the reference.
        unsafe {
            bindings::skb_add_rx_memory(
                skb.as_skb().as_ptr(),
                fragment.0.as_ptr().add(HEADROOM).cast(),
                len as c_int,
                Self::truesize(capacity),
            );
        }
        core::mem::forget(fragment);
        Ok(skb)
    }
}

#[cfg(r4l_kunit)]
#[kunit_tests(kit_rx_buffer)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_behind_a_buffer_has_room_for_all() {
        for capacity in [1, 60, 1518, 2048, RxBuffer::MAX_CAPACITY] {
            let size = RxBuffer::truesize(capacity) as usize;
            assert!(size >= HEADROOM + capacity as usize + layout::SKB_SHINFO_SPACE);
            assert_eq!(
                (size - layout::SKB_SHINFO_SPACE) % layout::SMP_CACHE_BYTES,
                0
            );
        }
    }
}
