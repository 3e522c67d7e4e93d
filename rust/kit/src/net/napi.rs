// SPDX-License-Identifier: GPL-2.0-only

//! NAPI: the right to enable an instance, one run of the poll function, and the
//! right to receive a frame.

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

/// The state of a NAPI instance that does not poll.
pub enum Disabled {}

/// The state of a NAPI instance that may poll.
pub enum Enabled {}

/// The right to enable or to disable a NAPI instance. There is one of it for each instance.
///
/// The kernel hangs when an enabled instance is enabled or a disabled one is disabled. Here both
/// take the handle in the one state and give it back in the other, so neither can be written.
///
/// # Invariants
///
/// `ptr` is a valid, registered `struct napi_struct` in the state that `S` says, and no other
/// handle to it exists.
pub struct Napi<S> {
    ptr: NonNull<bindings::napi_struct>,
    _state: PhantomData<S>,
}

// SAFETY: `napi_enable` and `napi_disable` may be called from any thread.
unsafe impl<S> Send for Napi<S> {}

impl Napi<Disabled> {
    /// # Safety
    ///
    /// `ptr` was just added with `netif_napi_add`, stays so for as long as the handle lives, and
    /// this is done once.
    #[inline]
    pub(crate) unsafe fn new(ptr: NonNull<bindings::napi_struct>) -> Self {
        // INVARIANT: A NAPI instance is disabled when it is added.
        Self {
            ptr,
            _state: PhantomData,
        }
    }

    /// Lets the poll function run. May sleep.
    pub fn enable(self) -> Napi<Enabled> {
        // SAFETY: By the type invariant it is disabled, and only `self` can change that.
        unsafe { bindings::napi_enable(self.ptr.as_ptr()) };
        // INVARIANT: Just enabled, and `self` is gone.
        Napi {
            ptr: self.ptr,
            _state: PhantomData,
        }
    }
}

impl Napi<Enabled> {
    /// Waits for the poll function to end, and keeps it from starting. May sleep.
    pub fn disable(self) -> Napi<Disabled> {
        // SAFETY: By the type invariant it is enabled, and only `self` can change that.
        unsafe { bindings::napi_disable(self.ptr.as_ptr()) };
        // INVARIANT: Just disabled, and `self` is gone.
        Napi {
            ptr: self.ptr,
            _state: PhantomData,
        }
    }
}

/// One run of the poll function: the budget, and the way up to the stack.
///
/// # Invariants
///
/// It exists only inside a NAPI poll of `napi`, which belongs to `dev`.
pub struct Poll<'a> {
    dev: &'a Device,
    napi: NonNull<bindings::napi_struct>,
    openings: &'a Openings,
    budget: usize,
    done: usize,
    again: bool,
}

impl<'a> Poll<'a> {
    /// # Safety
    ///
    /// This is the poll function of `napi`, a NAPI instance of `dev`, and `openings` lies in the
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

    /// The network device.
    #[inline]
    pub fn device(&self) -> &'a Device {
        self.dev
    }

    /// The right to receive one frame, as long as the budget lasts.
    #[inline]
    pub fn slot(&mut self) -> Option<RxSlot<'_, 'a>> {
        if self.done < self.budget {
            Some(RxSlot(self))
        } else {
            None
        }
    }

    /// Takes back frames that were sent.
    #[inline]
    pub fn completions(&mut self) -> Completions<'_> {
        // SAFETY: By the type invariant this is softirq context; the device is valid.
        unsafe { Completions::new(self.dev, self.openings, self.budget) }
    }

    /// Something is left to do that is not counted by the budget: poll again.
    pub fn again(&mut self) {
        self.again = true;
    }

    /// Ends the run: what to return to the stack, and whether interrupts shall be let through.
    #[inline]
    pub(super) fn finish(self) -> (usize, bool) {
        if self.again {
            return (self.budget, false);
        }
        // A run that used up its budget will be followed by another one. A budget of zero
        // (netpoll) must not complete either.
        if self.done >= self.budget {
            return (self.done, false);
        }
        // SAFETY: By the type invariant.
        let idle = unsafe { bindings::napi_complete_done(self.napi.as_ptr(), self.done as c_int) };
        (self.done, idle)
    }
}

/// What was wrong with a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RxError {
    /// Its checksum.
    Crc,
    /// Its length.
    Length,
    /// Its coding or its alignment.
    Frame,
    /// Something else.
    Other,
}

/// The right to receive one frame. Counted when it is used, free when it is dropped.
///
/// It exists only in a run with a budget, so it also proves that socket buffers may be allocated as
/// NAPI does.
pub struct RxSlot<'a, 'b>(&'a mut Poll<'b>);

impl RxContext for RxSlot<'_, '_> {}

// SAFETY: A slot exists only in the poll function of that instance, called with a budget.
unsafe impl sealed::Napi for RxSlot<'_, '_> {
    #[inline]
    fn napi(&self) -> *mut bindings::napi_struct {
        self.0.napi.as_ptr()
    }
}

impl<'b> RxSlot<'_, 'b> {
    /// The network device.
    #[inline]
    pub fn device(&self) -> &'b Device {
        self.0.dev
    }

    /// Hands a frame with its Ethernet header up to the stack, and counts it.
    #[inline]
    pub fn receive(self, skb: RxSkb) {
        let poll = self.0;
        poll.done += 1;
        let dev = poll.dev.as_raw();
        let len = skb.len();
        if len < ETH_HEADER_LEN {
            // SAFETY: `dev` is valid, and the counters are atomic.
            unsafe {
                bindings::dev_stats_inc_rx_length_errors(dev);
                bindings::dev_stats_inc_rx_errors(dev);
            }
            return;
        }
        let skb = skb.into_raw();
        // SAFETY: `skb` is valid and ours alone, its data too, and long enough for an Ethernet
        // header; `napi_gro_receive` takes it over, in the poll function as it must be.
        unsafe {
            bindings::skb_set_protocol(skb, bindings::eth_type_trans(skb, dev));
            bindings::dev_dstats_rx_add(dev, len);
            bindings::napi_gro_receive(poll.napi.as_ptr(), skb);
        }
    }

    /// Hands a frame up that was to be sent (a loopback), and counts it. It goes up without its
    /// sender's claims, and as a copy where others hold the buffer or its data, as a packet socket
    /// or TCP itself may.
    pub fn receive_sent(self, skb: Skb) {
        match RxSkb::of_sent(skb) {
            Some(skb) => self.receive(skb),
            None => self.dropped(),
        }
    }

    /// A frame had to be dropped for want of memory.
    pub fn dropped(self) {
        self.0.done += 1;
        // SAFETY: The device is valid; this is softirq context by the type invariant of `Poll`.
        unsafe { bindings::dev_dstats_rx_dropped(self.0.dev.as_raw()) };
    }

    /// A frame was bad: counted, not handed up.
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
