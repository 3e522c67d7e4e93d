// SPDX-License-Identifier: GPL-2.0-only

//! The transmit queue: frames sent and completed, with the accounts of byte queue limits (BQL).

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

/// Number of an opening of a device. BQL starts anew with each, so a frame of one opening must not
/// be completed in another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u32);

/// Number of openings and closings of a device so far, which is odd while it is open.
pub(super) struct Openings {
    count: Atomic<u32>,
    dev: NonNull<bindings::net_device>,
}

// SAFETY: The device is used for printing only, which is safe from any thread.
unsafe impl Sync for Openings {}

impl Openings {
    /// Returns the value for a closed device, in whose memory it will lie.
    pub(super) fn new(dev: NonNull<bindings::net_device>) -> Self {
        Self {
            count: Atomic::new(0),
            dev,
        }
    }

    /// Counts an opening or a closing. BQL does not know frames from before it.
    pub(super) fn turn(&self) {
        self.count.add(1, Relaxed);
    }

    /// Returns the present opening.
    #[inline]
    pub(super) fn now(&self) -> Epoch {
        Epoch(self.count.load(Relaxed))
    }
}

/// Proof that BQL counts a frame as sent. If it is dropped while the device is open, BQL would
/// never see the completion; the kernel prints a warning.
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

/// The transmit queue in `start_xmit`, with its lock held.
pub struct TxQueue<'a> {
    dev: &'a Device,
    txq: NonNull<bindings::netdev_queue>,
    openings: &'a Openings,
}

/// A frame that byte queue limits (BQL) count as sent and not yet completed.
///
/// [`TxQueue::sent`] makes the value and [`Completions::complete`] consumes it, so each frame is
/// counted once as sent and once as completed. Frames that are dropped instead while the device is
/// open would stop the queue for good in the end; the kernel prints a warning for each.
/// [`Driver::stop`](super::Driver::stop) may drop the frames that are still on the ring.
#[must_use = "a frame that is not completed stops the queue in the end"]
pub struct InFlight<'bound> {
    frame: TxFrame<'bound>,
    /// Frames and bytes on the wire: several frames if the device does segmentation.
    wire: (u32, u32),
    told: Told,
}

/// Proof that a frame was sent, for [`TxQueue::after_send`].
#[must_use]
pub struct Sent {
    ring: bool,
}

/// Notification of the device about new descriptors: now, or after the next frame.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Doorbell {
    /// Write the tail register now.
    Ring,
    /// Do not write it yet: another frame follows at once.
    Wait,
}

impl<'a> TxQueue<'a> {
    /// Returns the queue of a device.
    ///
    /// # Safety
    ///
    /// The caller is a `start_xmit` of `dev`. `openings` lies in the memory of `dev`.
    #[inline]
    pub(super) unsafe fn new(dev: &'a Device, openings: &'a Openings) -> Self {
        Self {
            dev,
            txq: queue_of(dev),
            openings,
        }
    }

    /// Returns the network device.
    #[inline]
    pub fn device(&self) -> &'a Device {
        self.dev
    }

    /// Counts a frame as sent, and takes its time stamp.
    ///
    /// To be called when transmission of the frame can no longer fail, and before the device is
    /// notified. The [`InFlight`] has to be stored with the frame's descriptors.
    #[inline]
    pub fn sent<'bound>(&self, frame: TxFrame<'bound>) -> (InFlight<'bound>, Sent) {
        // SAFETY: The queue is valid, and its lock is held as required by `new`. The frame cannot
        // be completed before this call, since completion needs the value that is returned here.
        // The buffer and the device are valid.
        let ring = unsafe {
            bindings::skb_tx_timestamp(frame.skb().as_ptr(), self.dev.as_raw());
            bindings::__netdev_tx_sent_queue(
                self.txq.as_ptr(),
                frame.len(),
                bindings::netdev_xmit_more(),
            )
        };
        let wire = frame.skb().on_the_wire();
        // INVARIANT: `openings` lies in the memory of the network device. The frame borrows from
        // the bound device, and of all that does, the network device is freed last.
        let told = Told {
            openings: NonNull::from(self.openings),
            epoch: self.openings.now(),
        };
        (InFlight { frame, wire, told }, Sent { ring })
    }

    /// Stops the queue if `free()`, the number of free descriptors, is below `stop_below`, and
    /// starts it again if the number has reached `start_at` meanwhile. Says when to notify the
    /// device.
    ///
    /// To be called after each frame, so that `start_xmit` always has room for the next one.
    #[inline]
    pub fn after_send(
        &self,
        sent: Sent,
        free: impl Fn() -> usize,
        stop_below: usize,
        start_at: usize,
    ) -> Doorbell {
        // Must be called in any case, since it can stop the queue.
        let stopped = self.stop_if(free, stop_below, start_at);
        if sent.ring || stopped {
            Doorbell::Ring
        } else {
            Doorbell::Wait
        }
    }

    /// Returns true if the queue was stopped, so that no further frame follows.
    #[inline]
    fn stop_if(&self, free: impl Fn() -> usize, stop_below: usize, start_at: usize) -> bool {
        if free() >= stop_below {
            return false;
        }
        // SAFETY: The queue is valid.
        unsafe { bindings::netif_tx_stop_queue(self.txq.as_ptr()) };
        // The completing side frees room, then reads the state of the queue. This side stops the
        // queue, then reads the room. With a full barrier on both sides, at least one of them sees
        // the write of the other. Pairs with the barrier in `Completions::finish`.
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

    /// Counts a dropped frame whose buffer is freed already.
    pub fn count_drop(&self) {
        // SAFETY: The device is valid; `start_xmit` runs with bottom halves disabled.
        unsafe { bindings::dev_dstats_tx_dropped(self.dev.as_raw()) };
    }
}

/// Completion of transmitted frames, in one run of the poll function.
///
/// [`Self::finish`] reports them to BQL, and wakes the queue if it has room again. A value that is
/// dropped without it reports them, too, but the queue can stay stopped; the kernel prints a
/// warning.
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
    /// Begins with no frames.
    ///
    /// # Safety
    ///
    /// The caller is the poll function of a NAPI instance of `dev`. `openings` lies in the memory
    /// of `dev`.
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

    /// Returns the number of frames so far.
    #[inline]
    pub fn count(&self) -> u32 {
        self.packets
    }

    /// Completes a frame that the device has transmitted: unmaps, counts and frees it.
    #[inline]
    pub fn complete(&mut self, frame: InFlight<'_>) {
        let InFlight { frame, wire, told } = frame;
        if told.openings != NonNull::from(self.openings) || told.epoch != self.openings.now() {
            // BQL of this queue does not count the frame: it is another device's, or was sent
            // before the present opening.
            return;
        }
        // `tell` reports it.
        core::mem::forget(told);
        let len = frame.len();
        let (wire_packets, wire_bytes) = wire;
        let skb = frame.into_skb().into_raw();
        self.packets += 1;
        self.bytes += len;
        // SAFETY: The device is valid, and bottom halves are off in a poll. `napi_consume_skb`
        // takes the reference, with the budget of this poll.
        unsafe {
            bindings::dev_dstats_tx_add_many(self.dev.as_raw(), wire_packets, wire_bytes);
            bindings::napi_consume_skb(skb, self.budget as c_int);
        }
    }

    /// Reports the frames to BQL, and wakes the queue if it is stopped and `free()`, the number of
    /// free descriptors, is at least `start_at`. Returns true if the queue was woken.
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

    /// Reports frames to BQL that were not reported yet. Returns true if there were any.
    #[inline]
    fn tell(&mut self) -> bool {
        if self.packets == 0 {
            return false;
        }
        // SAFETY: The queue is valid. `TxQueue::sent` has counted each byte as sent, and each is
        // reported once.
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
