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

/// Present contents of the filters' registers.
pub(crate) struct Filter {
    rctl: RCTL,
    table: [u32; 128],
}

/// Returns word and bit of an address in the multicast table, for RCTL.MO = 0 (13.5.1).
fn table_place(mac: MacAddress) -> (usize, u32) {
    // YOURS (multicast): the upper 12 bits of the address are the place: 7 choose the word, 5 the bit.
    (0, 0)
}

impl Filter {
    /// Returns the contents after a reset: the receiver is off.
    pub(crate) fn new() -> Self {
        Self {
            rctl: RCTL::zeroed(),
            table: [0; 128],
        }
    }

    /// Sets the filters to a mode. Writes changed registers only, since QEMU's card receives nothing
    /// for a second after each write to RCTL.
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
