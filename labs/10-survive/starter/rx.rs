// SPDX-License-Identifier: GPL-2.0-only
// YOURS (survive lab): seven bugs lie in nic.rs, rx.rs and tx.rs. main.rs is here as it calls them.

//! Receive: every descriptor has a buffer, and a frame goes up in the buffer it came in.

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

/// What RCTL.BSIZE says (13.4.22).
const BUFFER_SIZE: u32 = 2048;

/// A frame of up to this many bytes is copied, and its buffer stays where it is.
const COPY_BREAK: u32 = 256;

/// The card gets buffers back in lots of this many.
const RETURN_EVERY: usize = 32;

/// The receive ring.
///
/// The card may use all descriptors but the one before `next`: head and tail are equal when it has
/// none (3.2.6).
// The order of the fields is the order of teardown.
pub(crate) struct RxRing<'bound> {
    buffers: KVec<RxBuffer<'bound>>,
    descriptors: Descriptors,
    dev: &'bound Device<Bound>,
    next: usize,
    /// Inside a frame that is longer than a buffer, which is dropped to its end.
    discarding: bool,
}

impl<'bound> RxRing<'bound> {
    /// Makes a ring full of buffers and gives it to the card, which does not receive yet.
    pub(crate) fn new(dev: &'bound Device<Bound>, hw: &Hw<'_>) -> Result<Self> {
        let descriptors = Descriptors::new(dev)?;
        let mut buffers = KVec::with_capacity(COUNT, GFP_KERNEL).unwrap();
        for i in 0..COUNT {
            let buffer = RxBuffer::new(dev, BUFFER_SIZE)?;
            descriptors.write(i, buffer.dma_addr(), 0);
            buffers.push(buffer, GFP_KERNEL)?;
        }
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

    /// Receives frames for as long as there are some and the budget lasts.
    pub(crate) fn receive(&mut self, hw: &Hw<'_>, poll: &mut Poll<'_>) {
        let mut returned = 0;
        while let Some(slot) = poll.slot() {
            if !RxStatus::from(self.descriptors.read(self.next)).dd() {
                break;
            }
            // The rest of the descriptor, and the frame, are not older than that bit.
            dma_rmb();
            let status = RxStatus::from(self.descriptors.read(self.next));

            let Some(place) = self.buffers.get_mut(self.next) else {
                break;
            };
            let whole = status.eop() && !self.discarding;
            self.discarding = !status.eop();
            if !whole || status.is_bad() {
                slot.bad(if whole {
                    error(status)
                } else {
                    RxError::Length
                });
            } else {
                let len = status.length().cast::<u32>().get();
                let skb = if len <= COPY_BREAK {
                    place.copy_to_skb(len, &slot)
                } else {
                    // The ring must not run dry: without a fresh buffer the full one stays, and
                    // the frame goes.
                    RxBuffer::new(self.dev, BUFFER_SIZE)
                        .and_then(|fresh| core::mem::replace(place, fresh).into_skb(len, &slot))
                };
                match skb {
                    Ok(skb) => slot.receive(skb),
                    Err(_) => slot.dropped(),
                }
            }

            self.descriptors.write(self.next, place.dma_addr(), 0);
            self.next = (self.next + 1) % COUNT;
            returned += 1;
            if returned == RETURN_EVERY {
                self.return_buffers(hw);
                returned = 0;
            }
        }
        if returned != 0 {
            self.return_buffers(hw);
        }
    }

    fn return_buffers(&self, hw: &Hw<'_>) {
        // The card must not see the new tail before the descriptors.
        dma_wmb();
        hw.set_rx_tail((self.next + COUNT - 1) % COUNT);
    }
}

/// What the error bits of a descriptor say, 3.2.3.2.
fn error(status: RxStatus) -> RxError {
    if status.crc_error() {
        RxError::Crc
    } else if status.symbol_error() || status.sequence_error() || status.carrier_error() {
        RxError::Frame
    } else {
        RxError::Other
    }
}
