// SPDX-License-Identifier: GPL-2.0-only

//! Whether the transmitter still sends what it was given.

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

/// Where the transmitter stood at the last look, if something waited.
pub(crate) struct Watchdog {
    /// The head, or [`Self::NOTHING`].
    head: Atomic<u32>,
    transmitted: Atomic<u64>,
}

impl Watchdog {
    /// No head: a ring has at most 4096 descriptors.
    const NOTHING: u32 = u32::MAX;

    pub(crate) fn new() -> Self {
        Self {
            head: Atomic::new(Self::NOTHING),
            transmitted: Atomic::new(0),
        }
    }

    /// Looks at the transmitter. `statistics` are as of now.
    ///
    /// Frames that were not sent when the link went are not sent before it comes back, whenever that
    /// is; their senders shall not wait for that. With a link, nothing has moved between two looks in
    /// a transmitter that hangs; the head alone could have gone round.
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
            netdev_info!(dev, "no link, and frames on the ring\n");
        } else if before == head && !moved && !hw.is_paused() {
            netdev_err!(dev, "transmitter hangs: TDH {}, TDT {}\n", head, tail);
        } else {
            return Health::Good;
        }
        self.head.store(Self::NOTHING, Relaxed);
        Health::Stalled
    }
}
