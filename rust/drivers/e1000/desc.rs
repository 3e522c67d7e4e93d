// SPDX-License-Identifier: GPL-2.0-only

//! Descriptors, and the rings of them in coherent memory.

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

/// How many descriptors a ring has, unless the user wants it otherwise.
pub(crate) const COUNT: usize = 256;

/// The bytes of such a ring.
pub(crate) const BYTES: u32 = (COUNT * 16) as u32;

/// Number of descriptors of the smallest ring, with room for the largest frame twice (`tx`). As all
/// greater powers of two it is a multiple of 128 bytes (13.4.27, 13.4.38).
const MIN: u32 = 128;
/// Number of descriptors of the largest ring, 64 KiB of coherent memory.
pub(crate) const MAX: u32 = 4096;

/// The size that a ring can have next to a wanted one: a power of two, since a place in it is then
/// found without a division, or a comparison.
pub(crate) fn fit(count: u32) -> u32 {
    count.clamp(MIN, MAX).next_power_of_two()
}

bitfield! {
    /// The second half of a receive descriptor, 3.2.3.
    pub(crate) struct RxStatus(u64) {
        /// The VLAN tag that was taken out.
        63:48 special;
        /// Error in the data.
        47:47 data_error => bool;
        /// The checksum of TCP or UDP is wrong.
        45:45 tcpe => bool;
        44:44 carrier_error => bool;
        42:42 sequence_error => bool;
        41:41 symbol_error => bool;
        /// The frame's checksum, or its alignment.
        40:40 crc_error => bool;
        /// The checksum of TCP or UDP was looked at.
        37:37 tcpcs => bool;
        /// A VLAN tag was taken out.
        35:35 vp => bool;
        /// No checksum was looked at, whatever else is said.
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
        /// The VLAN tag to be put in.
        63:48 special;
        /// Fill in the TCP or UDP checksum.
        41:41 txsm => bool;
        /// Fill in the IP header's checksum.
        40:40 ixsm => bool;
        /// Descriptor done.
        32:32 dd => bool;
        /// Put a VLAN tag in.
        30:30 vle => bool;
        29:29 dext => bool;
        /// Report status.
        27:27 rs => bool;
        /// Cut into segments.
        26:26 tse => bool;
        /// Insert the frame's checksum.
        25:25 ifcs => bool;
        /// End of packet.
        24:24 eop => bool;
        23:20 dtyp;
        19:0 length;
    }
}

bitfield! {
    /// The first half of a transmit context descriptor, 3.3.6: where checksums begin, go and end.
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
    /// Whether the frame is bad. The bits that are not asked for say that the checksum of its IP or
    /// TCP header is wrong, which is for the stack to find out.
    pub(crate) fn is_bad(self) -> bool {
        self.crc_error()
            || self.symbol_error()
            || self.sequence_error()
            || self.carrier_error()
            || self.data_error()
    }

    /// Whether the card has found the checksum of TCP or UDP right.
    #[inline]
    pub(crate) fn is_checksum_right(self) -> bool {
        self.tcpcs() && !self.tcpe() && !self.ixsm() && !self.is_bad()
    }
}

/// A ring of descriptors: each is an address and a word of bit fields, both little endian.
pub(crate) struct Descriptors<'bound>(CoherentPairs<'bound>);

impl<'bound> Descriptors<'bound> {
    /// Allocates a ring. `count` is a power of two.
    pub(crate) fn new(dev: &'bound Device<Bound>, count: usize) -> Result<Self> {
        Ok(Self(CoherentPairs::new(dev, count)?))
    }

    pub(crate) fn dma_addr(&self) -> DmaAddress {
        self.0.dma_addr()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.mask() + 1
    }

    /// The bytes of the ring.
    pub(crate) fn bytes(&self) -> u32 {
        (self.count() * 16) as u32
    }

    /// The index after another one: after the last comes the first.
    #[inline]
    pub(crate) fn after(&self, index: usize) -> usize {
        index.wrapping_add(1) & self.0.mask()
    }

    /// The index before another one.
    #[inline]
    pub(crate) fn before(&self, index: usize) -> usize {
        index.wrapping_sub(1) & self.0.mask()
    }

    /// How many descriptors lie from one index up to, not including, another one.
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
