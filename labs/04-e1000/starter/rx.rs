// SPDX-License-Identifier: GPL-2.0-only

//! Receive ring. Each descriptor has a buffer, and a frame goes to the stack in its buffer.

use crate::{
    desc::{
        Descriptors,
        RxStatus,
        BYTES,
        COUNT, //
    },
    hw::Hw, //
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
    dma::RxBuffer,
    net::{
        Poll,
        RxError, //
    }, //
};

/// Size of a buffer in bytes, for RCTL.BSIZE = 0 (13.4.22).
const BUFFER_SIZE: u32 = 2048;

/// Largest frame in bytes that is copied; its buffer stays in the ring.
const COPY_BREAK: u32 = 256;

/// Number of buffers that are given back to the card at once.
const RETURN_EVERY: usize = 32;

/// Receive ring.
///
/// The card owns all descriptors but the one before `next`: head and tail are equal when it owns
/// none (3.2.6).
// The order of the fields is the order of teardown.
pub(crate) struct RxRing<'bound> {
    buffers: KVec<RxBuffer<'bound>>,
    descriptors: Descriptors<'bound>,
    dev: &'bound Device<Bound>,
    next: usize,
    /// True inside a frame that is longer than a buffer, which is dropped to its end.
    discarding: bool,
}

impl<'bound> RxRing<'bound> {
    /// Allocates a ring with a buffer for each descriptor and gives it to the card, whose receiver is
    /// off.
    pub(crate) fn new(dev: &'bound Device<Bound>, hw: &Hw<'_>) -> Result<Self> {
        // YOURS (rings): the ring's memory, see `Descriptors::new` in desc.rs.
        let descriptors: Descriptors<'_> = return Err(ENXIO);
        let mut buffers = KVec::with_capacity(COUNT, GFP_KERNEL)?;
        // YOURS (buffers): for each descriptor make an `RxBuffer` of `BUFFER_SIZE` bytes, write its
        // `dma_addr()` into the descriptor, with a status of 0, and push it to `buffers`.
        //
        // The card must not see the registers before the descriptors.
        dma_wmb();
        hw.set_rx_ring(descriptors.dma_addr(), BYTES, COUNT - 1);
        Ok(Self {
            buffers,
            descriptors,
            dev,
            next: 0,
            discarding: false,
        })
    }

    /// Receives frames until the ring is empty or the budget is used up.
    pub(crate) fn receive(&mut self, hw: &Hw<'_>, poll: &mut Poll<'_>) {
        let mut returned = 0;
        while let Some(slot) = poll.slot() {
            // YOURS (receive), 1: end the loop here if the descriptor `self.next` is not done (DD).
            //
            // Orders the reads of the descriptor's rest, and of the frame, after the read of DD.
            dma_rmb();
            let status = RxStatus::from(self.descriptors.read(self.next));

            let Some(place) = self.buffers.get_mut(self.next) else {
                break;
            };
            let whole = status.eop() && !self.discarding;
            self.discarding = !status.eop();
            // YOURS (receive), 2: what is not whole, or `status.is_bad()`, is counted: `slot.bad(…)`.
            // Of the rest make an `Skb`, and hand it up: `slot.receive(skb)`; without memory:
            // `slot.dropped()`. Up to `COPY_BREAK` bytes are copied with `copy_to_skb`; a longer
            // frame goes up in its buffer with `into_skb`, and a fresh `RxBuffer` takes its place.
            drop(slot);

            // YOURS (receive), 3: write the descriptor anew, go on to the next one, and give the card
            // its descriptors back: `self.return_buffers(hw)` in lots of `RETURN_EVERY`.
            break;
        }
        if returned != 0 {
            self.return_buffers(hw);
        }
    }

    fn return_buffers(&self, hw: &Hw<'_>) {
        // The card must not see the new tail before the descriptors.
        dma_wmb();
        // YOURS (receive), 4: which is the first descriptor that the card may not use (3.2.6)?
        hw.set_rx_tail(0);
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
