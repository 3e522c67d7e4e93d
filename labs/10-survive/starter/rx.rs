// SPDX-License-Identifier: GPL-2.0-only
// YOURS (survive lab): seven bugs lie in nic.rs, rx.rs and tx.rs. main.rs is here as it calls them.

//! Receive ring. Each descriptor has a buffer, and a frame goes to the stack in its buffer, which
//! another buffer replaces.

use crate::{
    desc::{
        Descriptors,
        RxStatus, //
    },
    features,
    hw::Hw,
    module_parameters, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*, //
};
use kit::{
    barrier::{
        dma_rmb,
        dma_wmb, //
    },
    dma::RxPool,
    net::{
        Features,
        Poll,
        RxError,
        RxSlot, //
    },
    param,
    skb::RxSkb, //
};

/// Size of a buffer in bytes, for RCTL.BSIZE = 0 (13.4.22).
const BUFFER_SIZE: u32 = 2048;

/// Number of buffers that are given back to the card at once.
const RETURN_EVERY: usize = 32;

/// Number of times that buffers are given back in one run of the poll function: enough for NAPI's 64
/// frames, of 16 KiB each.
const MOST_RETURNS: usize = 64 * (16_384 / BUFFER_SIZE as usize) / RETURN_EVERY;

/// Receive ring.
///
/// The card owns all descriptors but the one before `next`: head and tail are equal when it owns
/// none (3.2.6).
// The order of the fields is the order of teardown.
pub(crate) struct RxRing<'bound> {
    buffers: RxPool<'bound>,
    descriptors: Descriptors<'bound>,
    next: usize,
    /// Largest frame in bytes that is copied; its buffer stays in the ring.
    copy_break: u32,
    /// True inside a frame that is longer than a buffer.
    inside: bool,
    /// Received part of that frame; `None` if there was no memory for it.
    begun: Option<RxSkb>,
}

impl<'bound> RxRing<'bound> {
    /// Allocates a ring with a buffer for each descriptor. Does not access the card.
    pub(crate) fn new(dev: &'bound Device<Bound>, count: usize) -> Result<Self> {
        let descriptors = Descriptors::new(dev, count)?;
        let buffers = RxPool::new(dev, count, BUFFER_SIZE).unwrap();
        for i in 0..count {
            descriptors.write(i, buffers.dma_addr(i), 0);
        }
        Ok(Self {
            buffers,
            descriptors,
            next: 0,
            copy_break: param::value(&module_parameters::copybreak),
            inside: false,
            begun: None,
        })
    }

    /// Gives the ring to the card, whose receiver is off.
    pub(crate) fn give(&self, hw: &Hw<'_>) {
        let descriptors = &self.descriptors;
        dma_wmb();
        hw.set_rx_ring(
            descriptors.dma_addr(),
            descriptors.bytes(),
            descriptors.count() - 1,
        );
    }

    /// Receives frames until the ring is empty or the budget is used up. The budget counts frames, and
    /// a broken card may fill the ring with pieces of one that does not end: their number has a limit
    /// of its own. Returns the number of descriptors.
    pub(crate) fn receive(&mut self, hw: &Hw<'_>, poll: &mut Poll<'_>) -> usize {
        let features = poll.device().features();
        let keep_bad = features.has(Features::RX_ALL);
        let (mut returned, mut returns) = (0, 0);
        while let Some(slot) = poll.slot() {
            if !RxStatus::from(self.descriptors.read(self.next)).dd() {
                break;
            }
            // Orders the reads of the descriptor's rest, and of the frame, after the read of DD.
            dma_rmb();
            let status = RxStatus::from(self.descriptors.read(self.next));

            let len = status.length().cast::<u32>().get();
            let whole = status.eop() && !self.inside;
            if !whole {
                let first = !core::mem::replace(&mut self.inside, !status.eop());
                self.begun = self.longer(first, len, &slot);
                if status.eop() {
                    finish(self.begun.take(), status, features, slot);
                }
            } else if status.is_bad() && !keep_bad {
                slot.bad(error(status));
            } else {
                let skb = if len <= self.copy_break {
                    self.buffers.copy_to_skb(self.next, len, &slot)
                } else {
                    self.buffers.take(self.next, len, &slot)
                };
                match skb.map(|skb| features::told(skb, status, features)) {
                    Ok(skb) => slot.receive(skb),
                    Err(_) => slot.dropped(),
                }
            }

            self.descriptors
                .write(self.next, self.buffers.dma_addr(self.next), 0);
            self.next = self.descriptors.after(self.next);
            returned += 1;
            if returned == RETURN_EVERY {
                self.return_buffers(hw);
                returned = 0;
                returns += 1;
                if returns == MOST_RETURNS {
                    poll.again();
                    break;
                }
            }
        }
        if returned != 0 {
            self.return_buffers(hw);
        }
        returns * RETURN_EVERY + returned
    }

    /// Adds the next buffer to a frame that is longer than one, or begins such a frame with its
    /// `first` piece. Returns `None` without memory, and then for each further piece of the frame.
    #[cold]
    fn longer(&mut self, first: bool, len: u32, slot: &RxSlot<'_, '_>) -> Option<RxSkb> {
        if first {
            self.buffers.take(self.next, len, slot).ok()
        } else {
            let begun = self.begun.take()?;
            self.buffers.append(self.next, len, begun).ok()
        }
    }

    fn return_buffers(&self, hw: &Hw<'_>) {
        // The card must not see the new tail before the descriptors.
        dma_wmb();
        hw.set_rx_tail(self.descriptors.before(self.next));
    }
}

/// Passes a long frame to the stack, if its last descriptor has no error.
#[cold]
fn finish(frame: Option<RxSkb>, status: RxStatus, features: Features, slot: RxSlot<'_, '_>) {
    match frame {
        None => slot.dropped(),
        Some(_) if status.is_bad() && !features.has(Features::RX_ALL) => slot.bad(error(status)),
        Some(skb) => slot.receive(features::told(skb, status, features)),
    }
}

/// Returns the error that a descriptor reports, 3.2.3.2.
fn error(status: RxStatus) -> RxError {
    if status.crc_error() {
        RxError::Crc
    } else if status.symbol_error() || status.sequence_error() || status.carrier_error() {
        RxError::Frame
    } else {
        RxError::Other
    }
}
