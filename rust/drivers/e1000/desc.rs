// SPDX-License-Identifier: GPL-2.0-only

//! Descriptors, and the rings of them in coherent memory.

use crate::tx::WAKE_AT;
use kernel::{
    bitfield,
    device::{
        Bound,
        Device, //
    },
    dma::DmaAddress,
    prelude::*, //
};
use kit::dma::CoherentPairs;

/// Default number of descriptors in a ring.
pub(crate) const COUNT: usize = 256;

/// Size of a ring of that length, in bytes.
pub(crate) const BYTES: u32 = (COUNT * 16) as u32;

/// Number of descriptors of the smallest ring, with room for the largest frame twice: 256 if the
/// kernel has frames in very many pieces (CONFIG_MAX_SKB_FRAGS). As all greater powers of two it is a
/// multiple of 128 bytes (13.4.27, 13.4.38).
const MIN: u32 = smallest(WAKE_AT);
/// Number of descriptors of the largest ring, 64 KiB of coherent memory.
pub(crate) const MAX: u32 = 4096;

/// Returns the number of descriptors of the smallest ring in which so many can be free. One is always
/// unused (3.4).
const fn smallest(free: usize) -> u32 {
    let count = (free + 1).next_power_of_two() as u32;
    if count < 128 {
        128
    } else {
        count
    }
}

/// Returns the possible number of descriptors next to a wanted one: a power of two, so that an
/// index needs no division and no comparison.
pub(crate) fn fit(count: u32) -> u32 {
    count.clamp(MIN, MAX).next_power_of_two()
}

bitfield! {
    /// The second half of a receive descriptor, 3.2.3.
    pub(crate) struct RxStatus(u64) {
        /// VLAN tag that was removed.
        63:48 special;
        /// Receive data error.
        47:47 data_error => bool;
        /// Wrong checksum of TCP or UDP.
        45:45 tcpe => bool;
        44:44 carrier_error => bool;
        42:42 sequence_error => bool;
        41:41 symbol_error => bool;
        /// Wrong FCS, or alignment error.
        40:40 crc_error => bool;
        /// The checksum of TCP or UDP was verified.
        37:37 tcpcs => bool;
        /// A VLAN tag was removed.
        35:35 vp => bool;
        /// No checksum was verified; the other bits are to be ignored.
        34:34 ixsm => bool;
        /// End of packet.
        33:33 eop => bool;
        /// Descriptor done.
        32:32 dd => bool;
        15:0 length;
    }
}

bitfield! {
    /// The second half of a transmit data descriptor, 3.3.7.
    pub(crate) struct TxData(u64) {
        /// VLAN tag to insert.
        63:48 special;
        /// Insert the TCP or UDP checksum.
        41:41 txsm => bool;
        /// Insert the checksum of the IP header.
        40:40 ixsm => bool;
        /// Descriptor done.
        32:32 dd => bool;
        /// Insert a VLAN tag.
        30:30 vle => bool;
        29:29 dext => bool;
        /// Report status.
        27:27 rs => bool;
        /// TCP segmentation.
        26:26 tse => bool;
        /// Insert the FCS.
        25:25 ifcs => bool;
        /// End of packet.
        24:24 eop => bool;
        23:20 dtyp;
        19:0 length;
    }
}

bitfield! {
    /// The first half of a transmit context descriptor, 3.3.6: start, place and end of checksums.
    pub(crate) struct TxOffsets(u64) {
        63:48 tucse;
        47:40 tucso;
        39:32 tucss;
        31:16 ipcse;
        15:8 ipcso;
        7:0 ipcss;
    }
}

bitfield! {
    /// The second half of a transmit context descriptor, 3.3.6.
    pub(crate) struct TxContext(u64) {
        63:48 mss;
        47:40 hdrlen;
        29:29 dext => bool;
        26:26 tse => bool;
        /// IP version 4.
        25:25 ip => bool;
        24:24 tcp => bool;
        19:0 paylen;
    }
}

impl RxStatus {
    /// Returns true if the frame is bad. A wrong checksum of IP or TCP does not count: the stack
    /// verifies these itself.
    pub(crate) fn is_bad(self) -> bool {
        self.crc_error()
            || self.symbol_error()
            || self.sequence_error()
            || self.carrier_error()
            || self.data_error()
    }

    /// Returns true if the card has verified the checksum of TCP or UDP.
    #[inline]
    pub(crate) fn is_checksum_right(self) -> bool {
        self.tcpcs() && !self.tcpe() && !self.ixsm() && !self.is_bad()
    }
}

/// Ring of descriptors, each an address and a word of bit fields, both little endian.
pub(crate) struct Descriptors<'bound>(CoherentPairs<'bound>);

impl<'bound> Descriptors<'bound> {
    /// Allocates a ring. `count` is a power of two.
    pub(crate) fn new(dev: &'bound Device<Bound>, count: usize) -> Result<Self> {
        Ok(Self(CoherentPairs::new(dev, count)?))
    }

    pub(crate) fn dma_addr(&self) -> DmaAddress {
        self.0.dma_addr()
    }

    /// Returns the number of descriptors.
    pub(crate) fn count(&self) -> usize {
        self.0.mask() + 1
    }

    /// Returns the size in bytes.
    pub(crate) fn bytes(&self) -> u32 {
        (self.count() * 16) as u32
    }

    /// Returns the next index; the first one follows the last.
    #[inline]
    pub(crate) fn after(&self, index: usize) -> usize {
        index.wrapping_add(1) & self.0.mask()
    }

    /// Returns the previous index.
    #[inline]
    pub(crate) fn before(&self, index: usize) -> usize {
        index.wrapping_sub(1) & self.0.mask()
    }

    /// Returns the number of descriptors from one index up to, but not including, another.
    #[inline]
    pub(crate) fn between(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.0.mask()
    }

    /// Writes both halves of a descriptor.
    #[inline]
    pub(crate) fn write(&self, index: usize, first: u64, second: u64) {
        self.0.write(index, [first.to_le(), second.to_le()]);
    }

    /// Reads the second half of a descriptor.
    #[inline]
    pub(crate) fn read(&self, index: usize) -> u64 {
        u64::from_le(self.0.read_second(index))
    }
}

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_desc)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_queue_can_be_woken_on_each_ring() {
        for (free, count) in [(0, 128), (72, 128), (127, 128), (128, 256), (255, 256)] {
            assert_eq!(smallest(free), count);
        }
        assert!(WAKE_AT < MIN as usize && MIN as usize <= COUNT);
    }

    #[test]
    fn rings_have_sizes_that_the_card_can_do() {
        for (wanted, size) in [
            (0, 128),
            (128, 128),
            (129, 256),
            (256, 256),
            (4095, 4096),
            (!0, 4096),
        ] {
            assert_eq!(fit(wanted), size);
        }
    }
}
