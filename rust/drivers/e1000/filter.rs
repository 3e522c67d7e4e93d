// SPDX-License-Identifier: GPL-2.0-only

//! Receive filters: RCTL, and the tables of addresses, multicast groups and VLANs.

use crate::{
    hw::Hw,
    regs::RCTL, //
};
use kernel::{
    io::Io,
    prelude::*, //
};
use kit::net::{
    Features,
    MacAddress,
    RxMode,
    Vlans,
    ETH_MTU, //
};

/// Present contents of the filters' registers.
pub(crate) struct Filter {
    rctl: RCTL,
    table: [u32; 128],
    vlans: [u32; Vlans::WORDS],
    /// Receive addresses besides the card's own.
    others: [Option<MacAddress>; 15],
}

/// Returns word and bit of an address in the multicast table, for RCTL.MO = 0 (13.5.1).
fn table_place(mac: MacAddress) -> (usize, u32) {
    let bits = (u16::from(mac.0[5]) << 4) | (u16::from(mac.0[4]) >> 4);
    (usize::from(bits >> 5), u32::from(bits & 0x1f))
}

/// Writes the changed words of a table, from the last to the first (`Hw::configure`).
fn update<'a>(hw: &Hw<'a>, old: &mut [u32], new: &[u32], write: fn(&Hw<'a>, usize, u32)) {
    let mut is_overwritten = false;
    for (i, (old, new)) in old.iter_mut().zip(new).enumerate().rev() {
        let has_changed = *old != *new;
        if has_changed || is_overwritten {
            write(hw, i, *new);
            *old = *new;
        }
        is_overwritten = has_changed && i % 2 == 1 && hw.chip.overwrites_even_words;
        if is_overwritten {
            hw.flush();
        }
    }
}

impl Filter {
    /// Returns the contents after a reset: the receiver is off.
    pub(crate) fn new() -> Self {
        Self {
            rctl: RCTL::zeroed(),
            table: [0; 128],
            vlans: [0; Vlans::WORDS],
            others: [None; 15],
        }
    }

    /// Sets the filters to a mode. Writes changed registers only, since QEMU's card receives nothing
    /// for a second after each write to RCTL.
    pub(crate) fn apply(&mut self, hw: &Hw<'_>, mode: &RxMode<'_>) {
        let mut table = [0; 128];
        for mac in mode.multicast() {
            let (word, bit) = table_place(mac);
            table[word] |= 1 << bit;
        }
        update(hw, &mut self.table, &table, Hw::set_multicast_word);

        let mut wanted = mode.unicast();
        for (i, old) in self.others.iter_mut().enumerate() {
            let new = wanted.next();
            if *old != new {
                hw.set_address(i + 1, new);
                *old = new;
            }
        }
        let too_many = wanted.next().is_some();

        update(hw, &mut self.vlans, mode.vlans().words(), Hw::set_vlan_word);

        let features = mode.features();
        let all = features.has(Features::RX_ALL);
        // BSIZE = 0: buffers of 2048 bytes.
        let rctl = RCTL::zeroed()
            .with_en(true)
            .with_bam(true)
            .with_secrc(!features.has(Features::RX_FCS))
            .with_sbp(all)
            .with_pmcf(all)
            .with_vfe(!mode.vlans().is_empty() && !mode.promiscuous() && !all)
            .with_lpe(mode.device().mtu() > ETH_MTU)
            .with_upe(mode.promiscuous() || too_many)
            .with_mpe(mode.promiscuous() || mode.all_multicast());
        if rctl != self.rctl {
            hw.bar.write_reg(rctl);
            self.rctl = rctl;
        }
    }
}

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_filter)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_the_last_twelve_bits() {
        assert_eq!(table_place(MacAddress([1, 0, 0x5e, 0, 0, 0])), (0, 0));
        assert_eq!(table_place(MacAddress([1, 0, 0x5e, 0, 0, 1])), (0, 16));
        assert_eq!(table_place(MacAddress([1, 0, 0x5e, 0, 0x10, 0])), (0, 1));
        assert_eq!(
            table_place(MacAddress([0x33, 0x33, 0, 0, 0, 0xfb])),
            (125, 16)
        );
        assert_eq!(table_place(MacAddress([0xff; 6])), (127, 31));
    }

    #[test]
    fn bits_before_those_do_not_matter() {
        let place = table_place(MacAddress([1, 0, 0x5e, 1, 0x02, 0x03]));
        assert_eq!(
            place,
            table_place(MacAddress([3, 4, 5, 6, 0x0f & 0x02, 0x03]))
        );
    }
}
