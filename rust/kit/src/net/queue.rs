// SPDX-License-Identifier: GPL-2.0-only

//! The transmit queue: what was sent and what was completed, as byte queue limits (BQL) count it.

use super::device::Device;
use crate::{
    barrier::smp_mb,
    bindings,
    dma::TxFrame,
    skb::Skb, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::c_int,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// One opening of a device. What was sent in one of them cannot be completed in another: BQL starts
/// anew each time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u32);

/// Counts openings and closings of a device: odd while it is open.
pub(super) struct Openings {
    count: Atomic<u32>,
    dev: NonNull<bindings::net_device>,
}

// SAFETY: The device is only printed with.
unsafe impl Sync for Openings {}

impl Openings {
    /// Begins with a device that is closed, and in whose memory this will lie.
    pub(super) fn new(dev: NonNull<bindings::net_device>) -> Self {
        Self {
            count: Atomic::new(0),
            dev,
        }
    }

    /// The device is opened, or closed: frames of the opening before are not BQL's any more.
    pub(super) fn turn(&self) {
        self.count.add(1, Relaxed);
    }

    /// The present opening.
    #[inline]
    pub(super) fn now(&self) -> Epoch {
        Epoch(self.count.load(Relaxed))
    }
}

/// A frame that BQL was told of, and is to be told of again when it is sent. Reports when it is
/// dropped instead while the device is open.
///
/// # Invariants
///
/// `openings` is valid.
struct Told {
    openings: NonNull<Openings>,
    epoch: Epoch,
}

// SAFETY: `Openings` is `Sync`.
unsafe impl Send for Told {}

impl Drop for Told {
    fn drop(&mut self) {
        // SAFETY: Valid by the type invariant.
        let openings = unsafe { self.openings.as_ref() };
        if openings.now() == self.epoch {
            // SAFETY: `openings` lies in the memory of that device.
            unsafe { bindings::netdev_warn_frame_lost(openings.dev.as_ptr()) };
        }
    }
}

#[inline]
fn queue_of(dev: &Device) -> NonNull<bindings::netdev_queue> {
    // SAFETY: A device of the kit has one transmit queue, which lives as long as the device.
    unsafe { NonNull::new_unchecked((*dev.as_raw())._tx) }
}

/// The transmit queue inside `start_xmit`, with its lock held.
pub struct TxQueue<'a> {
    dev: &'a Device,
    txq: NonNull<bindings::netdev_queue>,
    openings: &'a Openings,
}

/// A frame that byte queue limits (BQL) know to be on its way.
///
/// It is made by [`TxQueue::sent`] and ends in [`Completions::complete`], so what the queue has
/// sent and what it has completed cannot drift apart. One that is dropped while the device is open
/// is missing in that account, and the queue would in the end stay stopped: the kernel warns of it.
/// [`Driver::stop`](super::Driver::stop) may drop what is still on the ring.
#[must_use = "a frame that is not completed stops the queue in the end"]
pub struct InFlight<'bound> {
    frame: TxFrame<'bound>,
    /// Frames and bytes on the wire: more than one if the device cuts it into segments.
    wire: (u32, u32),
    told: Told,
}

/// A frame was sent; [`TxQueue::after_send`] wants it.
#[must_use]
pub struct Sent {
    ring: bool,
}

/// Whether the device shall be told of new frames now, or a next one will come at once.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Doorbell {
    /// Write the tail register.
    Ring,
    /// More frames come.
    Wait,
}

impl<'a> TxQueue<'a> {
    /// # Safety
    ///
    /// This is a `start_xmit` of `dev`, and `openings` lies in its memory.
    #[inline]
    pub(super) unsafe fn new(dev: &'a Device, openings: &'a Openings) -> Self {
        Self {
            dev,
            txq: queue_of(dev),
            openings,
        }
    }

    /// The network device.
    #[inline]
    pub fn device(&self) -> &'a Device {
        self.dev
    }

    /// Tells BQL of a frame that is about to be given to the device.
    ///
    /// To be called when nothing can keep the frame from being sent any more, and before the
    /// doorbell; the [`InFlight`] goes to the ring.
    #[inline]
    pub fn sent<'bound>(&self, frame: TxFrame<'bound>) -> (InFlight<'bound>, Sent) {
        // SAFETY: The queue is valid, and its lock is held by the type's contract. The frame
        // cannot be completed before, since completion needs the value that is made here.
        let ring = unsafe {
            bindings::skb_tx_timestamp(frame.skb().as_ptr());
            bindings::__netdev_tx_sent_queue(
                self.txq.as_ptr(),
                frame.len(),
                bindings::netdev_xmit_more(),
            )
        };
        let wire = frame.skb().on_the_wire();
        // INVARIANT: The frame borrows from the bound device, and the network device, in whose
        // memory `openings` lies, is freed last of all that does.
        let told = Told {
            openings: NonNull::from(self.openings),
            epoch: self.openings.now(),
        };
        (InFlight { frame, wire, told }, Sent { ring })
    }

    /// Stops the queue when `free()` has fallen below `stop_below`, unless it has risen to
    /// `start_at` meanwhile, and then says whether the doorbell is to be rung.
    ///
    /// To be called after a frame was put on the ring, so that the next one finds room.
    #[inline]
    pub fn after_send(
        &self,
        sent: Sent,
        free: impl Fn() -> usize,
        stop_below: usize,
        start_at: usize,
    ) -> Doorbell {
        // The queue must be looked at in any case.
        let stopped = self.stop_if(free, stop_below, start_at);
        if sent.ring || stopped {
            Doorbell::Ring
        } else {
            Doorbell::Wait
        }
    }

    /// Says whether the queue was stopped, so that no next frame will come.
    #[inline]
    fn stop_if(&self, free: impl Fn() -> usize, stop_below: usize, start_at: usize) -> bool {
        if free() >= stop_below {
            return false;
        }
        // SAFETY: The queue is valid.
        unsafe { bindings::netif_tx_stop_queue(self.txq.as_ptr()) };
        // The completing side first frees room and then looks whether the queue is stopped; this
        // side first stops the queue and then looks for room. With a full barrier on both sides
        // at least one of them sees the other.
        smp_mb();
        if free() < start_at {
            return true;
        }
        // SAFETY: The queue is valid.
        unsafe { bindings::netif_tx_start_queue(self.txq.as_ptr()) };
        false
    }

    /// Drops a frame that cannot be sent, and counts it.
    pub fn drop_frame(&self, skb: Skb) {
        drop(skb);
        self.count_drop();
    }

    /// Counts a frame that is already gone.
    pub fn count_drop(&self) {
        // SAFETY: The device is valid; `start_xmit` runs with bottom halves disabled.
        unsafe { bindings::dev_dstats_tx_dropped(self.dev.as_raw()) };
    }
}

/// Frames that the device has sent, in one run of the poll function.
///
/// [`Self::finish`] tells BQL of all of them, and wakes the queue when there is room again. Without
/// it BQL is told on drop, the queue may stay stopped, and the kernel warns of that.
#[must_use = "`finish` wakes the queue"]
pub struct Completions<'a> {
    dev: &'a Device,
    txq: NonNull<bindings::netdev_queue>,
    openings: &'a Openings,
    budget: usize,
    packets: u32,
    bytes: u32,
}

impl<'a> Completions<'a> {
    /// # Safety
    ///
    /// This is the poll function of a NAPI instance of `dev`, and `openings` lies in its memory.
    #[inline]
    pub(super) unsafe fn new(dev: &'a Device, openings: &'a Openings, budget: usize) -> Self {
        Self {
            dev,
            txq: queue_of(dev),
            openings,
            budget,
            packets: 0,
            bytes: 0,
        }
    }

    /// How many there are so far.
    #[inline]
    pub fn count(&self) -> u32 {
        self.packets
    }

    /// The device is done with this frame: unmaps it, counts it and frees it.
    #[inline]
    pub fn complete(&mut self, frame: InFlight<'_>) {
        let InFlight { frame, wire, told } = frame;
        if told.openings != NonNull::from(self.openings) || told.epoch != self.openings.now() {
            // This queue's BQL has never heard of it, or has forgotten it.
            return;
        }
        // It is told below.
        core::mem::forget(told);
        let len = frame.len();
        let (wire_packets, wire_bytes) = wire;
        let skb = frame.into_skb().into_raw();
        self.packets += 1;
        self.bytes += len;
        // SAFETY: The device is valid; this is softirq context by the type's contract.
        // `napi_consume_skb` takes the buffer over, which is ours, with the budget of this poll.
        unsafe {
            bindings::dev_dstats_tx_add_many(self.dev.as_raw(), wire_packets, wire_bytes);
            bindings::napi_consume_skb(skb, self.budget as c_int);
        }
    }

    /// Ends the run: tells BQL, and wakes the queue if it is stopped and `free()` is at least
    /// `start_at`. Says whether the queue was woken.
    #[inline]
    pub fn finish(mut self, free: impl Fn() -> usize, start_at: usize) -> bool {
        if !self.tell() {
            return false;
        }
        let txq = self.txq.as_ptr();
        if free() < start_at {
            return false;
        }
        // Pairs with the barrier in `TxQueue::stop_if`.
        smp_mb();
        // SAFETY: The queue is valid.
        unsafe {
            if !bindings::netif_tx_queue_stopped(txq) {
                return false;
            }
            bindings::netif_tx_wake_queue(txq);
        }
        true
    }

    /// Tells BQL of what it does not know yet. Says whether there was anything.
    #[inline]
    fn tell(&mut self) -> bool {
        if self.packets == 0 {
            return false;
        }
        // SAFETY: The queue is valid. Every byte was told to BQL by `TxQueue::sent`, and is
        // completed once.
        unsafe { bindings::netdev_tx_completed_queue(self.txq.as_ptr(), self.packets, self.bytes) };
        (self.packets, self.bytes) = (0, 0);
        true
    }
}

impl Drop for Completions<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.tell() {
            // SAFETY: The device is valid.
            unsafe { bindings::netdev_warn_not_finished(self.dev.as_raw()) };
        }
    }
}
