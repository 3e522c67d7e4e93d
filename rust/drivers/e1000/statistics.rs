// SPDX-License-Identifier: GPL-2.0-only

//! The card's statistics (13.7), summed up before they are full.
//!
//! A register is cleared by reading it and stays at its largest value. The fastest to get there
//! count 64-byte frames at 1,488,095 a second: in 48 minutes.

use crate::hw::Hw;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// A counter: its name, the place of its register in the table of 13.7, and whether the register
/// after it has another 32 bits.
type Entry = (&'static str, usize, bool);

/// Not in the table: MPC and RNBC, which an emulated card does not clear.
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

/// Total packets transmitted, 13.7.48.
const TX_ALL: usize = 0x35;

/// How many there are.
pub(crate) const COUNT: usize = TABLE.len();

/// The name of one.
pub(crate) const fn name(index: usize) -> &'static str {
    TABLE[index].0
}

/// The sums.
pub(crate) struct Statistics([Atomic<u64>; TABLE.len()]);

impl Statistics {
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|_| Atomic::new(0)))
    }

    /// Adds what the card has counted since the last time. Whoever reads a register has its count,
    /// so two callers at once lose nothing.
    pub(crate) fn take(&self, hw: &Hw<'_>) {
        for (sum, (_, index, wide)) in self.0.iter().zip(TABLE) {
            let mut count = u64::from(hw.take_statistic(index));
            if wide {
                // The low half first: reading the high one clears both.
                count |= u64::from(hw.take_statistic(index + 1)) << 32;
            }
            sum.add(count, Relaxed);
        }
    }

    /// The sums as of the last [`Self::take`], in the order of their names.
    pub(crate) fn sums(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|sum| sum.load(Relaxed))
    }

    /// How many frames the card has sent, as of the last [`Self::take`].
    pub(crate) fn transmitted(&self) -> u64 {
        TABLE
            .iter()
            .zip(&self.0)
            .filter(|((_, index, _), _)| *index == TX_ALL)
            .map(|(_, sum)| sum.load(Relaxed))
            .sum()
    }
}
