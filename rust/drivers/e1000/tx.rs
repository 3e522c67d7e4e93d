// SPDX-License-Identifier: GPL-2.0-only

//! Transmit: `start_xmit` fills the ring, the poll function empties it.

use crate::{
    desc::{Descriptors, TxCommand, BYTES, COUNT},
    hw::Hw,
};
use kernel::{
    device::{Bound, Device},
    prelude::*,
    sync::Arc,
};
use kit::{
    barrier::dma_wmb,
    dma::TxFrame,
    net::{Doorbell, InFlight, Poll, TxQueue, ETH_MIN_LEN},
    skb::{TxSkb, Verdict},
    spsc::{self, Consumer, Producer},
};

/// Head and tail are equal when the ring is empty, so it is full with one descriptor to spare
/// (3.4). The queue stops when no frame more will fit.
const STOP_BELOW: usize = 2;

/// The queue is woken when this much is free again.
const WAKE_AT: usize = COUNT / 4;

/// The longest frame that one descriptor takes (3.3.3) is longer than any that the MTU allows.
const MAX_LEN: u32 = 16288;

/// The end that `start_xmit` works on.
pub(crate) struct TxRing<'bound> {
    dev: &'bound Device<Bound>,
    descriptors: Arc<Descriptors>,
    frames: Producer<InFlight<'bound>>,
    tail: usize,
    /// Descriptors were written that the card has not been told of.
    pending: bool,
}

/// The end that the poll function works on.
pub(crate) struct TxCleaner<'bound> {
    descriptors: Arc<Descriptors>,
    frames: Consumer<InFlight<'bound>>,
    next: usize,
}

/// Makes a transmit ring, and the card begin to serve it.
pub(crate) fn ring<'bound>(
    dev: &'bound Device<Bound>,
    hw: &Hw<'_>,
) -> Result<(TxRing<'bound>, TxCleaner<'bound>)> {
    let descriptors = Arc::new(Descriptors::new(dev)?, GFP_KERNEL)?;
    let (producer, consumer) = spsc::ring(COUNT, GFP_KERNEL)?;
    hw.set_tx_ring(descriptors.dma_addr(), BYTES);
    Ok((
        TxRing {
            dev,
            descriptors: descriptors.clone(),
            frames: producer,
            tail: 0,
            pending: false,
        },
        TxCleaner {
            descriptors,
            frames: consumer,
            next: 0,
        },
    ))
}

impl TxRing<'_> {
    /// Sends one frame.
    pub(crate) fn xmit<'a>(
        &mut self,
        hw: &Hw<'_>,
        queue: &TxQueue<'a>,
        skb: TxSkb<'a>,
    ) -> Verdict<'a> {
        if self.frames.free() < STOP_BELOW {
            // The queue should be stopped.
            self.ring_doorbell(hw);
            return skb.busy();
        }
        let Ok(skb) = skb.pad_to(ETH_MIN_LEN) else {
            queue.count_drop();
            self.ring_doorbell(hw);
            return Verdict::TAKEN;
        };
        let frame = match TxFrame::new(self.dev, skb) {
            Ok(frame) if frame.len() <= MAX_LEN => frame,
            Ok(_) => {
                queue.count_drop();
                self.ring_doorbell(hw);
                return Verdict::TAKEN;
            }
            Err(skb) => {
                queue.drop_frame(skb);
                self.ring_doorbell(hw);
                return Verdict::TAKEN;
            }
        };

        let command = TxCommand::zeroed()
            .with_length(frame.len() as u16)
            .with_eop(true)
            .with_ifcs(true)
            .with_rs(true);
        self.descriptors
            .write(self.tail, frame.dma_addr(), command.into_raw());
        self.tail = (self.tail + 1) % COUNT;
        self.pending = true;

        let (frame, sent) = queue.sent(frame);
        if self.frames.push(frame).is_err() {
            // There is room: that was asked for above.
            pr_err!("the transmit ring has lost count\n");
        }
        let doorbell = queue.after_send(sent, || self.frames.free(), STOP_BELOW, WAKE_AT);
        if doorbell == Doorbell::Ring {
            self.ring_doorbell(hw);
        }
        Verdict::TAKEN
    }

    /// Tells the card of the descriptors that it does not know of yet.
    fn ring_doorbell(&mut self, hw: &Hw<'_>) {
        if self.pending {
            // The card must not see the new tail before the descriptors.
            dma_wmb();
            hw.set_tx_tail(self.tail);
            self.pending = false;
        }
    }
}

impl TxCleaner<'_> {
    /// Takes back the frames that the card has sent. Says whether that woke the queue.
    pub(crate) fn clean(&mut self, poll: &mut Poll<'_>) -> bool {
        let mut completions = poll.completions();
        // Not more than a ring at a time: it is filled on another CPU meanwhile.
        let mut more = true;
        for _ in 0..COUNT {
            more = !self.frames.is_empty() && self.is_next_done();
            if !more {
                break;
            }
            if let Some(frame) = self.frames.pop() {
                completions.complete(frame);
            }
            self.next = (self.next + 1) % COUNT;
        }
        let woken = completions.finish(|| self.frames.free(), WAKE_AT);
        if more {
            poll.again();
        }
        woken
    }

    fn is_next_done(&self) -> bool {
        TxCommand::from(self.descriptors.read(self.next)).dd()
    }
}
