// SPDX-License-Identifier: GPL-2.0-only

//! Receive buffers in a page pool.
//!
//! C header: [`include/net/page_pool/helpers.h`](srctree/include/net/page_pool/helpers.h)
//!
//! Reference: <https://docs.kernel.org/networking/page_pool.html>

use super::{
    as_raw,
    Direction,
    RxBuffer,
    HEADROOM, //
};
use crate::{
    bindings,
    bindings::layout,
    skb::{
        RxContext,
        RxSkb, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    error::from_err_ptr,
    ffi::c_int,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Memory of the pool, which begins with headroom and ends with the space that `build_skb`
/// needs.
struct Buffer {
    memory: NonNull<u8>,
    /// Address of the memory for the device.
    addr: DmaAddress,
    /// Bytes of the memory.
    truesize: u32,
}

/// The receive buffers of a ring, one for each descriptor, in the pages of a page pool.
///
/// The pool maps its pages once. A buffer that goes to the stack with a frame returns to the pool
/// when the stack frees the frame, and is used again without being allocated, zeroed and mapped.
/// The driver has no access to the memory: frames are built around it or copied.
///
/// A buffer that is in the stack stays mapped, but the device does not have its address any more:
/// [`Self::take`] puts another buffer in its place, whose address the driver writes to the
/// descriptor.
///
/// The number of buffers is a power of two, and each index is taken modulo that number.
///
/// # Invariants
///
/// `pool` is a page pool with the flag `PP_FLAG_DMA_MAP` for `dev`, used by this value only. Each
/// of `buffers` is memory of the pool for `capacity` bytes, and this value owns it. Their number is
/// a power of two once `new` has returned.
pub struct RxPool<'bound> {
    dev: &'bound Device<Bound>,
    pool: NonNull<bindings::page_pool>,
    buffers: KVec<Buffer>,
    capacity: u32,
}

// SAFETY: Neither a pool nor its memory is bound to a thread.
unsafe impl Send for RxPool<'_> {}

impl<'bound> RxPool<'bound> {
    /// The largest capacity of a buffer in bytes: it has at most one page.
    pub const MAX_CAPACITY: u32 = RxBuffer::MAX_CAPACITY;

    /// Allocates and maps `count` buffers for pieces of up to `capacity` bytes.
    ///
    /// Context: process. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `count` is no power of two, or `capacity` is 0 or too large. `ENOMEM`: there is no
    /// memory, or the device cannot reach it.
    pub fn new(dev: &'bound Device<Bound>, count: usize, capacity: u32) -> Result<Self> {
        if !count.is_power_of_two() || capacity == 0 || capacity > Self::MAX_CAPACITY {
            return Err(EINVAL);
        }
        // SAFETY: Integers, pointers and an optional function, of all of which zero is a value.
        let mut parameters: bindings::page_pool_params = unsafe { core::mem::zeroed() };
        // SAFETY: Both unions have the same fields twice, in a structure without a name and in one
        // with a name.
        unsafe {
            let fast = &mut parameters.__bindgen_anon_1.fast;
            fast.pool_size = count as u32;
            fast.nid = bindings::NUMA_NO_NODE;
            fast.dev = as_raw(dev);
            fast.dma_dir = Direction::FromDevice.as_raw();
            // The part of a page that the device may have written to: a page may have several
            // buffers.
            fast.offset = 0;
            fast.max_len = PAGE_SIZE as u32;
            let slow = &mut parameters.__bindgen_anon_2.slow;
            slow.flags = (layout::PP_FLAG_DMA_MAP | layout::PP_FLAG_DMA_SYNC_DEV) as u32;
        }
        // SAFETY: The parameters are valid, and the device is bound. The pool gets a reference to
        // the device of its own.
        let pool = from_err_ptr(unsafe { bindings::page_pool_create(&parameters) })?;
        let pool = NonNull::new(pool).ok_or(ENOMEM)?;

        // INVARIANT: Just created. `drop` frees the buffers that are there by then.
        let mut new = Self {
            dev,
            pool,
            buffers: KVec::new(),
            capacity,
        };
        new.buffers.reserve(count, GFP_KERNEL)?;
        for _ in 0..count {
            let buffer = new.allocate(capacity, bindings::GFP_KERNEL)?;
            new.buffers.push(buffer, GFP_KERNEL)?;
        }
        Ok(new)
    }

    /// Returns the address to which the device writes a piece.
    #[inline]
    pub fn dma_addr(&self, index: usize) -> DmaAddress {
        self.buffer(index).addr + HEADROOM as DmaAddress
    }

    /// Copies the first `len` bytes of a buffer to a socket buffer of their own, in memory of the
    /// pool that is no larger than they need; the device may use the buffer again. For small frames
    /// a copy is cheaper, and keeps no page for a few bytes.
    ///
    /// `slot` proves that the poll function has a budget: socket buffers come from NAPI's cache of
    /// the CPU. netpoll (netconsole) polls without a budget, with interrupts off, and possibly
    /// during another use of that cache.
    ///
    /// # Errors
    ///
    /// `len` is more than the capacity of the buffer, or there is no memory.
    #[inline]
    pub fn copy_to_skb(&mut self, index: usize, len: u32, slot: &impl RxContext) -> Result<RxSkb> {
        if len > self.capacity {
            return Err(EINVAL);
        }
        let own = self.allocate(len, bindings::GFP_ATOMIC)?;
        let skb = self.build(own, 0, slot)?;
        let (addr, size) = (self.dma_addr(index), len as usize);
        let direction = Direction::FromDevice.as_raw();
        // SAFETY: The range is mapped, and the data is copied between the two calls. The socket
        // buffer is valid, not shared, and has room. If a broken device writes at the same time,
        // `memcpy` copies arbitrary bytes.
        unsafe {
            bindings::dma_sync_single_for_cpu(as_raw(self.dev), addr, size, direction);
            let source = self.buffer(index).memory.as_ptr().add(HEADROOM);
            bindings::skb_put_data(skb.as_skb().as_ptr(), source.cast(), len);
            bindings::dma_sync_single_for_device(as_raw(self.dev), addr, size, direction);
        }
        Ok(skb)
    }

    /// Makes a socket buffer of a buffer, without a copy of its first `len` bytes, and puts another
    /// buffer in its place. `slot` proves the same as in [`Self::copy_to_skb`].
    ///
    /// # Errors
    ///
    /// `len`, which may come from the device, is more than the capacity of the buffer, or there is
    /// no memory. A buffer is in the place in any case.
    #[inline]
    pub fn take(&mut self, index: usize, len: u32, slot: &impl RxContext) -> Result<RxSkb> {
        let buffer = self.exchange(index, len)?;
        self.build(buffer, len, slot)
    }

    /// Adds the first `len` bytes of a buffer to a frame that began in another one, and puts
    /// another buffer in its place.
    ///
    /// # Errors
    ///
    /// `len` is more than the capacity of the buffer, the frame has as many pieces as a socket
    /// buffer can have, or there is no memory. The frame is freed then. A buffer is in the place in
    /// any case.
    pub fn append(&mut self, index: usize, len: u32, skb: RxSkb) -> Result<RxSkb> {
        let pieces = skb.as_skb().fragments() as usize;
        if pieces >= layout::MAX_SKB_FRAGS {
            return Err(EINVAL);
        }
        let buffer = self.exchange(index, len)?;
        // SAFETY: The socket buffer is valid, not shared, and has room for another fragment. It
        // takes over the memory, which returns to its pool. The mark is for all memory of the frame;
        // what is of no pool is freed as ever.
        unsafe {
            bindings::skb_mark_for_recycle(skb.as_skb().as_ptr());
            bindings::skb_add_rx_memory(
                skb.as_skb().as_ptr(),
                buffer.memory.as_ptr().add(HEADROOM).cast(),
                len as c_int,
                buffer.truesize,
            );
        }
        Ok(skb)
    }

    /// Makes a socket buffer around memory of the pool, with `len` bytes behind the headroom. `slot`
    /// proves the same as in [`Self::copy_to_skb`].
    #[inline]
    fn build(&self, buffer: Buffer, len: u32, _slot: &impl RxContext) -> Result<RxSkb> {
        // SAFETY: The memory has `truesize` bytes, with the space that `build_skb` needs at its
        // end. `slot` exists in a poll function with a budget only.
        let skb =
            unsafe { bindings::napi_build_skb(buffer.memory.as_ptr().cast(), buffer.truesize) };
        let Some(skb) = NonNull::new(skb) else {
            self.free(&buffer);
            return Err(ENOMEM);
        };
        // SAFETY: The socket buffer is valid, not shared, and has room for both. It takes over the
        // memory, which returns to its pool.
        unsafe {
            bindings::skb_mark_for_recycle(skb.as_ptr());
            bindings::skb_reserve(skb.as_ptr(), HEADROOM as c_int);
            bindings::skb_put(skb.as_ptr(), len);
            Ok(RxSkb::from_raw(skb))
        }
    }

    /// Returns the remainder of an index, which is below the number of buffers, a power of two.
    #[inline]
    fn place(&self, index: usize) -> usize {
        index & (self.buffers.len() - 1)
    }

    #[inline]
    fn buffer(&self, index: usize) -> &Buffer {
        // SAFETY: `place` returns an index that is in range.
        unsafe { self.buffers.get_unchecked(self.place(index)) }
    }

    /// Puts a new buffer in the place of one, and returns that, for the CPU to read `len` bytes.
    #[inline]
    fn exchange(&mut self, index: usize, len: u32) -> Result<Buffer> {
        if len > self.capacity {
            return Err(EINVAL);
        }
        let fresh = self.allocate(self.capacity, bindings::GFP_ATOMIC)?;
        let place = self.place(index);
        // SAFETY: As in `buffer`.
        let place = unsafe { self.buffers.get_unchecked_mut(place) };
        let buffer = core::mem::replace(place, fresh);
        // SAFETY: The pool has mapped the memory.
        unsafe {
            bindings::dma_sync_single_for_cpu(
                as_raw(self.dev),
                buffer.addr + HEADROOM as DmaAddress,
                len as usize,
                Direction::FromDevice.as_raw(),
            );
        }
        Ok(buffer)
    }

    #[inline]
    fn allocate(&mut self, capacity: u32, flags: bindings::gfp_t) -> Result<Buffer> {
        // The pool makes more of it, up to a whole page, where the rest would be too small for
        // another buffer.
        let mut truesize = RxBuffer::truesize(capacity);
        // SAFETY: The pool is valid. A pool has one consumer at a time: `self` is borrowed
        // exclusively, and no other value uses the pool.
        let memory =
            unsafe { bindings::page_pool_alloc_va(self.pool.as_ptr(), &mut truesize, flags) };
        let memory = NonNull::new(memory.cast::<u8>()).ok_or(ENOMEM)?;
        // SAFETY: Memory of a pool that has mapped it.
        let addr = unsafe { bindings::page_pool_get_dma_addr(memory.as_ptr().cast()) };
        // INVARIANT: Just allocated.
        Ok(Buffer {
            memory,
            addr,
            truesize,
        })
    }

    /// Gives a buffer back to the pool. The caller does not use it any more.
    fn free(&self, buffer: &Buffer) {
        // SAFETY: The memory is the pool's, and was `self`'s.
        unsafe {
            bindings::page_pool_free_va(self.pool.as_ptr(), buffer.memory.as_ptr().cast(), false);
        }
    }
}

impl Drop for RxPool<'_> {
    fn drop(&mut self) {
        for buffer in self.buffers.iter() {
            self.free(buffer);
        }
        // Pages that are in the stack by now are unmapped here, and freed when the stack frees
        // their frames; the kernel keeps the pool until then.
        //
        // SAFETY: The pool is valid, and not used after this.
        unsafe { bindings::page_pool_destroy(self.pool.as_ptr()) };
    }
}
