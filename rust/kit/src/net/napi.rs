// SPDX-License-Identifier: GPL-2.0-only

//! NAPI: handles of an instance, a run of the poll function, and slots of its budget.

use super::{
    device::Device,
    ethernet::ETH_HEADER_LEN,
    queue::{
        Completions,
        Openings, //
    }, //
};
use crate::{
    bindings,
    skb::{
        sealed,
        RxContext,
        RxSkb,
        Skb, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::ffi::c_int;

/// State of a NAPI instance whose poll function cannot run.
pub enum Disabled {}

/// State of a NAPI instance whose poll function can run.
pub enum Enabled {}

/// The only handle of a NAPI instance, which enables and disables it.
///
/// The kernel hangs if an enabled instance is enabled, or a disabled one disabled. The two methods
/// consume the handle in one state and return it in the other, so such calls do not compile.
///
/// # Invariants
///
/// `ptr` is a valid, registered `struct napi_struct` in the state `S`, and no other handle to it
/// exists.
pub struct Napi<S> {
    ptr: NonNull<bindings::napi_struct>,
    _state: PhantomData<S>,
}

// SAFETY: `napi_enable` and `napi_disable` may be called from any thread.
unsafe impl<S> Send for Napi<S> {}

impl Napi<Disabled> {
    /// Returns the handle of an instance that was just added.
    ///
    /// # Safety
    ///
    /// `ptr` was just added by `netif_napi_add`, is not removed while the handle lives, and has no
    /// other handle.
    #[inline]
    pub(crate) unsafe fn new(ptr: NonNull<bindings::napi_struct>) -> Self {
        // INVARIANT: A NAPI instance is disabled when it is added.
        Self {
            ptr,
            _state: PhantomData,
        }
    }

    /// Lets the poll function run.
    ///
    /// Context: process. May sleep.
    pub fn enable(self) -> Napi<Enabled> {
        // SAFETY: The instance is disabled by the type invariant, and only `self` can change that.
        unsafe { bindings::napi_enable(self.ptr.as_ptr()) };
        // INVARIANT: Just enabled; `self` is consumed.
        Napi {
            ptr: self.ptr,
            _state: PhantomData,
        }
    }
}

impl Napi<Enabled> {
    /// Waits for the end of the poll function, and prevents further runs.
    ///
    /// Context: process. May sleep.
    pub fn disable(self) -> Napi<Disabled> {
        // SAFETY: The instance is enabled by the type invariant, and only `self` can change that.
        unsafe { bindings::napi_disable(self.ptr.as_ptr()) };
        // INVARIANT: Just disabled; `self` is consumed.
        Napi {
            ptr: self.ptr,
            _state: PhantomData,
        }
    }
}

/// One run of the poll function: its budget, and the methods to complete and to receive frames.
///
/// # Invariants
///
/// A value exists only during a poll of `napi`, which belongs to `dev`.
pub struct Poll<'a> {
    dev: &'a Device,
    napi: NonNull<bindings::napi_struct>,
    openings: &'a Openings,
    budget: usize,
    done: usize,
    again: bool,
}

impl<'a> Poll<'a> {
    /// Begins a run.
    ///
    /// # Safety
    ///
    /// The caller is the poll function of `napi`, a NAPI instance of `dev`. `openings` lies in the
    /// memory of `dev`.
    #[inline]
    pub(super) unsafe fn new(
        dev: &'a Device,
        napi: NonNull<bindings::napi_struct>,
        openings: &'a Openings,
        budget: usize,
    ) -> Self {
        // INVARIANT: As required of the caller.
        Self {
            dev,
            napi,
            openings,
            budget,
            done: 0,
            again: false,
        }
    }

    /// Returns the network device.
    #[inline]
    pub fn device(&self) -> &'a Device {
        self.dev
    }

    /// Returns the slot for one received frame, or `None` if the budget is used up.
    #[inline]
    pub fn slot(&mut self) -> Option<RxSlot<'_, 'a>> {
        if self.done < self.budget {
            Some(RxSlot(self))
        } else {
            None
        }
    }

    /// Begins the completion of transmitted frames.
    #[inline]
    pub fn completions(&mut self) -> Completions<'_> {
        // SAFETY: A poll of the device is running, by the type invariant.
        unsafe { Completions::new(self.dev, self.openings, self.budget) }
    }

    /// Requests another poll, for work that the budget does not count.
    pub fn again(&mut self) {
        self.again = true;
    }

    /// Ends the run. Returns the result of the poll function, and true if the driver has to unmask
    /// the interrupts.
    #[inline]
    pub(super) fn finish(self) -> (usize, bool) {
        if self.again {
            return (self.budget, false);
        }
        // A run that has used up its budget must not complete, since another one follows. A run
        // with a budget of 0 (netpoll) must not complete either.
        if self.done >= self.budget {
            return (self.done, false);
        }
        // SAFETY: By the type invariant.
        let idle = unsafe { bindings::napi_complete_done(self.napi.as_ptr(), self.done as c_int) };
        (self.done, idle)
    }
}

/// Fault of a received frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RxError {
    /// Wrong checksum.
    Crc,
    /// Wrong length.
    Length,
    /// Wrong coding or alignment.
    Frame,
    /// Another fault.
    Other,
}

/// A slot of the budget, for one received frame. A slot that is dropped is not used up.
///
/// A slot exists only in a run with a budget, so it proves that socket buffers can be allocated
/// from NAPI's cache.
pub struct RxSlot<'a, 'b>(&'a mut Poll<'b>);

impl RxContext for RxSlot<'_, '_> {}

// SAFETY: A slot exists only in the poll function of that instance, with a budget.
unsafe impl sealed::Napi for RxSlot<'_, '_> {
    #[inline]
    fn napi(&self) -> *mut bindings::napi_struct {
        self.0.napi.as_ptr()
    }
}

impl<'b> RxSlot<'_, 'b> {
    /// Returns the network device.
    #[inline]
    pub fn device(&self) -> &'b Device {
        self.0.dev
    }

    /// Hands a frame with its Ethernet header to the stack, and counts it. A frame whose first piece
    /// is shorter than that header is dropped, and counted as one of a wrong length.
    #[inline]
    pub fn receive(self, skb: RxSkb) {
        let poll = self.0;
        poll.done += 1;
        let dev = poll.dev.as_raw();
        let len = skb.len();
        // Not the length of the frame: `eth_type_trans` takes the header out of the linear part, and
        // stops the system (`BUG` in `__skb_pull`) if that is shorter. Lengths are the device's.
        if skb.as_skb().head_len() < ETH_HEADER_LEN {
            // SAFETY: `dev` is valid, and the counters are atomic.
            unsafe {
                bindings::dev_stats_inc_rx_length_errors(dev);
                bindings::dev_stats_inc_rx_errors(dev);
            }
            return;
        }
        let skb = skb.into_raw();
        // SAFETY: `skb` and its data are valid and not shared, and the linear part is long enough
        // for an Ethernet header. `napi_gro_receive` takes the reference, and is called in the poll
        // function.
        unsafe {
            bindings::skb_set_protocol(skb, bindings::eth_type_trans(skb, dev));
            bindings::dev_dstats_rx_add(dev, len);
            bindings::napi_gro_receive(poll.napi.as_ptr(), skb);
        }
    }

    /// Hands a transmitted frame to the stack (loopback), and counts it. The frame loses the
    /// metadata of its sender. If the buffer or its data is shared, for example with a packet
    /// socket or TCP, a copy is handed over.
    pub fn receive_sent(self, skb: Skb) {
        match RxSkb::of_sent(skb) {
            Some(skb) => self.receive(skb),
            None => self.dropped(),
        }
    }

    /// Counts a frame that was dropped for want of memory.
    pub fn dropped(self) {
        self.0.done += 1;
        // SAFETY: The device is valid, and bottom halves are off in a poll.
        unsafe { bindings::dev_dstats_rx_dropped(self.0.dev.as_raw()) };
    }

    /// Counts a bad frame, which is not handed to the stack.
    pub fn bad(self, error: RxError) {
        self.0.done += 1;
        let dev = self.0.dev.as_raw();
        // SAFETY: The device is valid, and the counters are atomic.
        unsafe {
            match error {
                RxError::Crc => bindings::dev_stats_inc_rx_crc_errors(dev),
                RxError::Length => bindings::dev_stats_inc_rx_length_errors(dev),
                RxError::Frame => bindings::dev_stats_inc_rx_frame_errors(dev),
                RxError::Other => (),
            }
            bindings::dev_stats_inc_rx_errors(dev);
        }
    }
}
