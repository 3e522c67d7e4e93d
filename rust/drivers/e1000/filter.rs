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
    let bits = (u16::from(mac.0[5]) << 4) | (u16::from(mac.0[4]) >> 4);
    (usize::from(bits >> 5), u32::from(bits & 0x1f))
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
            let (word, bit) = table_place(mac);
            table[word] |= 1 << bit;
        }
        for (i, (old, new)) in self.table.iter_mut().zip(table).enumerate() {
            if *old != new {
                hw.set_multicast_word(i, new);
                *old = new;
            }
        }

        // Buffers of 2048 bytes (BSIZE = 0), the frame's checksum stripped.
        let rctl = RCTL::zeroed()
            .with_en(true)
            .with_bam(true)
            .with_secrc(true)
            .with_upe(mode.promiscuous() || mode.has_secondary_unicast())
            .with_mpe(mode.promiscuous() || mode.all_multicast());
        if rctl != self.rctl {
            hw.bar.write_reg(rctl);
            self.rctl = rctl;
        }
    }
}
