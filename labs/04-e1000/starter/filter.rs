// SPDX-License-Identifier: GPL-2.0-only

//! Receive filters: RCTL and the multicast table.

use crate::{
    hw::Hw,
    regs::RCTL, //
};
use kernel::{
    io::Io,
    prelude::*, //
};
use kit::net::{
    MacAddress,
    RxMode, //
};

/// What the card's filters are set to.
pub(crate) struct Filter {
    rctl: RCTL,
    table: [u32; 128],
}

/// Where the multicast table has the bit of an address: word and bit, with RCTL.MO = 0 (13.5.1).
fn table_place(mac: MacAddress) -> (usize, u32) {
    // YOURS (multicast): the upper 12 bits of the address are the place: 7 choose the word, 5 the bit.
    (0, 0)
}

impl Filter {
    /// The state after a reset: the receiver is off.
    pub(crate) fn new() -> Self {
        Self {
            rctl: RCTL::zeroed(),
            table: [0; 128],
        }
    }

    /// Makes the card receive what `mode` says. Writes only what has changed, since every write
    /// to RCTL stops an emulated card from receiving for a second.
    pub(crate) fn apply(&mut self, hw: &Hw<'_>, mode: &RxMode<'_>) {
        let mut table = [0; 128];
        for mac in mode.multicast() {
            // YOURS (multicast): set the bit of `mac` in `table`.
        }
        for (i, (old, new)) in self.table.iter_mut().zip(table).enumerate() {
            if *old != new {
                hw.set_multicast_word(i, new);
                *old = new;
            }
        }

        // YOURS (rx-registers): also EN, BAM and SECRC. Buffers of 2048 bytes are BSIZE = 0.
        let rctl = RCTL::zeroed()
            .with_upe(mode.promiscuous() || mode.has_secondary_unicast())
            .with_mpe(mode.promiscuous() || mode.all_multicast());
        if rctl != self.rctl {
            hw.bar.write_reg(rctl);
            self.rctl = rctl;
        }
    }
}
