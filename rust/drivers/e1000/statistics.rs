// SPDX-License-Identifier: GPL-2.0-only

//! Sums of the card's statistics registers (13.7).
//!
//! Reading a register clears it; at its maximum it stays. A count of frames of 64 bytes, at most
//! 1,488,095 a second, takes 48 minutes to get there.

use crate::{
    hw::Hw,
    regs::STATUS, //
};
use kernel::{
    io::Io,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};
use kit::net::DeviceCounts;

/// A counter: name, index of its register in the table of 13.7, and true if the next register has
/// the upper 32 bits.
type Entry = (&'static str, usize, bool);

/// MPC and RNBC are left out, since QEMU's card does not clear them.
const TABLE: [Entry; 44] = [
    ("rx_crc_errors", 0x00, false),
    ("rx_align_errors", 0x01, false),
    ("rx_symbol_errors", 0x02, false),
    ("rx_data_errors", 0x03, false),
    ("tx_single_coll_ok", 0x05, false),
    ("tx_abort_excess_coll", 0x06, false),
    ("tx_multi_coll_ok", 0x07, false),
    ("tx_abort_late_coll", 0x08, false),
    ("collisions", 0x0a, false),
    ("tx_deferred_ok", 0x0c, false),
    ("tx_no_carrier_sense", 0x0d, false),
    ("rx_sequence_errors", 0x0e, false),
    ("rx_carrier_errors", 0x0f, false),
    ("rx_length_errors", 0x10, false),
    ("rx_flow_control_xon", 0x12, false),
    ("tx_flow_control_xon", 0x13, false),
    ("rx_flow_control_xoff", 0x14, false),
    ("tx_flow_control_xoff", 0x15, false),
    ("rx_packets_64", 0x17, false),
    ("rx_packets_65_127", 0x18, false),
    ("rx_packets_128_255", 0x19, false),
    ("rx_packets_256_511", 0x1a, false),
    ("rx_packets_512_1023", 0x1b, false),
    ("rx_packets_1024_max", 0x1c, false),
    ("rx_packets", 0x1d, false),
    ("rx_broadcast", 0x1e, false),
    ("rx_multicast", 0x1f, false),
    ("tx_packets", 0x20, false),
    ("rx_bytes", 0x22, true),
    ("tx_bytes", 0x24, true),
    ("rx_short_length_errors", 0x29, false),
    ("rx_fragments", 0x2a, false),
    ("rx_long_length_errors", 0x2b, false),
    ("rx_jabber", 0x2c, false),
    ("rx_all_packets", 0x34, false),
    ("tx_all_packets", TX_ALL, false),
    ("tx_packets_64", 0x36, false),
    ("tx_packets_65_127", 0x37, false),
    ("tx_packets_128_255", 0x38, false),
    ("tx_packets_256_511", 0x39, false),
    ("tx_packets_512_1023", 0x3a, false),
    ("tx_packets_1024_max", 0x3b, false),
    ("tx_multicast", 0x3c, false),
    ("tx_broadcast", 0x3d, false),
];

/// Indices of the registers that `ip -s link` shows.
const CRC: usize = 0x00;
const ALIGN: usize = 0x01;
const RX_DATA: usize = 0x03;
const EXCESS_COLLISIONS: usize = 0x06;
const LATE_COLLISIONS: usize = 0x08;
const COLLISIONS: usize = 0x0a;
const NO_CARRIER: usize = 0x0d;
const CARRIER_EXTENSION: usize = 0x0f;
const MULTICAST: usize = 0x1f;
const UNDERSIZE: usize = 0x29;
const OVERSIZE: usize = 0x2b;

/// Index of the total packets transmitted, 13.7.44.
const TX_ALL: usize = 0x35;

/// Number of counters.
pub(crate) const COUNT: usize = TABLE.len();

/// Returns the name of a counter.
pub(crate) const fn name(index: usize) -> &'static str {
    TABLE[index].0
}

/// Sums since the driver was bound.
pub(crate) struct Statistics([Atomic<u64>; TABLE.len()]);

impl Statistics {
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|_| Atomic::new(0)))
    }

    /// Adds the counts since the last call. A count is added by the caller whose read clears the
    /// register, so concurrent callers lose none. A card that does not answer counts nothing.
    pub(crate) fn take(&self, hw: &Hw<'_>) {
        for (sum, (_, index, wide)) in self.0.iter().zip(TABLE) {
            let mut count = u64::from(hw.take_statistic(index));
            // Some bits of STATUS are always 0 (13.4.2).
            if count == u64::from(u32::MAX) && hw.bar.read(STATUS).into_raw() == u32::MAX {
                return;
            }
            if wide {
                // The low half first, since a read of the high half clears both.
                count |= u64::from(hw.take_statistic(index + 1)) << 32;
            }
            sum.add(count, Relaxed);
        }
    }

    /// Stores the sums as of the last [`Self::take`], in the order of their names.
    pub(crate) fn sums(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|sum| sum.load(Relaxed))
    }

    /// Returns a sum by the index of its register.
    fn sum_of(&self, place: usize) -> u64 {
        TABLE
            .iter()
            .zip(&self.0)
            .filter(|((_, index, _), _)| *index == place)
            .map(|(_, sum)| sum.load(Relaxed))
            .sum()
    }

    /// Returns the number of sent frames as of the last [`Self::take`].
    pub(crate) fn transmitted(&self) -> u64 {
        self.sum_of(TX_ALL)
    }

    /// Returns the sums that `ip -s link` shows.
    pub(crate) fn counts(&self) -> DeviceCounts {
        let crc = self.sum_of(CRC);
        let align = self.sum_of(ALIGN);
        // Those with a wrong FCS are counted as fragments and jabber (13.7.35, 13.7.37).
        let length = self.sum_of(UNDERSIZE) + self.sum_of(OVERSIZE);
        let (excess, late) = (self.sum_of(EXCESS_COLLISIONS), self.sum_of(LATE_COLLISIONS));
        DeviceCounts {
            multicast: self.sum_of(MULTICAST),
            collisions: self.sum_of(COLLISIONS),
            rx_errors: self.sum_of(RX_DATA) + crc + align + length + self.sum_of(CARRIER_EXTENSION),
            rx_length_errors: length,
            rx_crc_errors: crc,
            rx_frame_errors: align,
            // `Missed` counts them.
            rx_missed_errors: 0,
            tx_errors: excess + late,
            tx_aborted_errors: excess,
            tx_carrier_errors: self.sum_of(NO_CARRIER),
            tx_window_errors: late,
        }
    }
}
