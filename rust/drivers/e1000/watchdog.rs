// SPDX-License-Identifier: GPL-2.0-only

//! Detection of a transmitter that hangs.

use crate::{
    hw::Hw,
    statistics::Statistics, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kit::{
    net::{
        self,
        Health, //
    },
    netdev_err,
    netdev_info, //
};

/// State of the transmitter at the last check.
pub(crate) struct Watchdog {
    /// Head of the ring, or [`Self::NOTHING`] if no descriptor waited.
    head: Atomic<u32>,
    transmitted: Atomic<u64>,
    /// Number of the link whose loss has stalled the ring.
    flushed: Atomic<u32>,
}

impl Watchdog {
    /// Value that no head has: a ring has at most 4096 descriptors.
    const NOTHING: u32 = u32::MAX;

    pub(crate) fn new() -> Self {
        Self {
            head: Atomic::new(Self::NOTHING),
            transmitted: Atomic::new(0),
            flushed: Atomic::new(u32::MAX),
        }
    }

    /// Checks the transmitter, with statistics of this moment.
    ///
    /// Without a link, frames on the ring stall it, since they would keep their senders waiting until
    /// the link comes back. That is once for each link: netpoll (netconsole) sends without one, also
    /// the messages about the restart. With a link, a transmitter hangs if neither its head nor its
    /// count of frames has changed since the last check; the head alone can have gone round.
    pub(crate) fn look(&self, hw: &Hw<'_>, statistics: &Statistics, dev: &net::Device) -> Health {
        let (head, tail) = hw.tx_position();
        let transmitted = statistics.transmitted();
        let waits = head != tail;
        let before = self
            .head
            .xchg(if waits { head } else { Self::NOTHING }, Relaxed);
        let moved = self.transmitted.xchg(transmitted, Relaxed) != transmitted;
        if !waits {
            return Health::Good;
        }
        if !dev.carrier() {
            self.head.store(Self::NOTHING, Relaxed);
            let link = dev.carrier_up_count();
            if self.flushed.xchg(link, Relaxed) == link {
                return Health::Good;
            }
            netdev_info!(dev, "no link, and frames on the ring\n");
        } else if before == head && !moved && !hw.is_paused() {
            self.head.store(Self::NOTHING, Relaxed);
            netdev_err!(dev, "transmitter hangs: TDH {}, TDT {}\n", head, tail);
        } else {
            return Health::Good;
        }
        Health::Stalled
    }
}
